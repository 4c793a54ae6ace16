"""Counting, against strings written out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainer.tasks.base import Batch
from trainer.tasks.counting import INPUTS, NEXT, Counting, CountingConfig


def make(length: int) -> Counting:
    return Counting(CountingConfig(length=length))


def drawn(length: int, batch_size: int, seed: int) -> Batch:
    return make(length).draw(batch_size, torch.Generator().manual_seed(seed))


def spelled(batch: Batch, row: int) -> str:
    assert batch.mask is not None
    steps = int(batch.mask[row].sum())
    one_hot = batch.inputs[row]
    assert (one_hot[:steps].sum(dim=1) == 1).all()
    assert not one_hot[steps:].any()
    assert bool(batch.mask[row, :steps].all())
    return "".join("Sab"[channel] for channel in one_hot[:steps].nonzero()[:, 1].tolist())


def may_follow(beginning: str) -> set[str]:
    """By trying: which symbols go on towards some string of the language, whatever its n."""
    strings = ["S" + n * "a" + n * "b" + "." for n in range(1, 60)]
    return {string[len(beginning)] for string in strings if string.startswith(beginning)}


@given(length=st.integers(2, 40), batch_size=st.integers(1, 6), seed=st.integers(0, 2**31))
def test_strings_are_of_the_language_and_the_sets_are_those_found_by_trying(
    length: int, batch_size: int, seed: int
) -> None:
    batch = drawn(length, batch_size, seed)
    assert batch.length <= CountingConfig(length=length).timesteps
    for row in range(batch_size):
        text = spelled(batch, row)
        n = len(text) // 2
        assert 1 <= n <= length
        assert text == "S" + n * "a" + n * "b"
        for step in range(len(text)):
            said = {"ab."[output] for output in batch.targets[row, step].nonzero().flatten().tolist()}
            assert said == may_follow(text[: step + 1])
            assert set(batch.targets[row, step].tolist()) <= {0.0, 1.0}


def test_every_n_is_equally_likely() -> None:
    batch = drawn(10, 50_000, seed=1)
    assert batch.mask is not None
    shares = (batch.mask.sum(dim=1) // 2).bincount(minlength=11) / 50_000
    assert shares[0] == 0
    assert ((shares[1:] - 0.1).abs() < 5 * (0.09 / 50_000) ** 0.5).all()


@pytest.mark.parametrize("length", [2, 5, 10, 30])
def test_chance_is_who_sees_the_current_symbol_and_does_not_count(length: int) -> None:
    """The best answer to each symbol, fitted to 40,000 strings; and all eight sets tried after a b."""
    task, batch = make(length), drawn(length, 40_000, seed=2)
    assert batch.mask is not None
    fitted = torch.zeros_like(batch.targets)
    for channel in range(len(INPUTS)):
        here = (batch.inputs[..., channel] == 1) & batch.mask
        fitted[here] = batch.targets[here].mean(dim=0)
    loss = float(task.elementwise_loss(fitted, batch.targets)[batch.mask].mean())
    assert loss == pytest.approx(task.chance.loss, rel=0.02)
    errors = []
    for code in range(8):
        outputs = batch.targets.clone()  # after the start and after an a there is nothing to count
        outputs[(batch.inputs[..., 2] == 1)] = torch.tensor([code & 1, code >> 1 & 1, code >> 2]).float()
        score = task.score(outputs, batch)
        errors.append(score.wrong / score.total)
    chance = task.chance.error
    assert chance is not None
    assert abs(min(errors) - chance) < 5 * (chance * (1 - chance) / 40_000) ** 0.5


def test_one_wrong_set_makes_a_string_wrong_and_padding_is_not_judged() -> None:
    task, batch = make(10), drawn(10, 5, seed=3)
    assert batch.mask is not None
    outputs = 0.51 * batch.targets + 0.49 * (1 - batch.targets)  # just on the right sides of 1/2
    outputs[~batch.mask] = torch.nan
    assert task.score(outputs, batch) == (0, 5)
    outputs[1, 0, 2] = 0.5  # on neither side
    outputs[2, 2, 0] = torch.nan
    assert task.score(outputs, batch) == (2, 5)


def test_solved_means_no_string_wrong() -> None:
    assert make(10).is_solved(0, 10_000)
    assert not make(10).is_solved(1, 10_000)


def test_a_rendered_string_says_where_the_network_sees_the_end() -> None:
    task, batch = make(10), drawn(10, 8, seed=4)
    row = max(range(8), key=lambda place: len(spelled(batch, place)))
    n = len(spelled(batch, row)) // 2
    right = task.render(batch, batch.targets, row)
    assert (right.target, right.prediction, right.correct) == (f"end after {n} b", f"end after {n} b", True)
    assert right.channels[1].values == ["a", *["a b"] * n, *["b"] * (n - 1), "end"]
    assert right.channels[2].values == right.channels[1].values
    early = batch.targets.clone()
    early[row, n + 2, NEXT.index("end")] = 1  # after the second b
    wrong = task.render(batch, early, row)
    assert (wrong.prediction, wrong.correct) == ("end after 2 b", False)
    assert wrong.detail == f"{2 * n} of {2 * n + 1} sets right"
    assert task.render(batch, torch.zeros_like(batch.targets), row).prediction == "no end"


def test_sizes_do_not_depend_on_the_length() -> None:
    assert {(make(n).input_size, make(n).output_size) for n in (2, 10, 1000)} == {(3, 3)}


@pytest.mark.parametrize("length", [1, 1001])
def test_a_largest_n_of_one_or_too_large_is_refused(length: int) -> None:
    with pytest.raises(ValidationError, match="length"):
        CountingConfig(length=length)
