"""The adding task against the rules of its source, recomputed from the inputs alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainer.tasks.adding import Adding, AddingConfig
from trainer.tasks.base import Batch


def make(length: int) -> Adding:
    return Adding(AddingConfig(length=length))


def drawn(length: int, batch_size: int, seed: int) -> Batch:
    return make(length).draw(batch_size, torch.Generator().manual_seed(seed))


@given(length=st.integers(10, 400), batch_size=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_a_batch_has_the_format_of_pascanus_code(length: int, batch_size: int, seed: int) -> None:
    batch = drawn(length, batch_size, seed)
    inputs = batch.inputs.double().numpy()
    steps = inputs.shape[1]
    assert length <= steps < length + int(length * 0.1)
    assert batch.first == steps - 1
    values, markers = inputs[..., 0], inputs[..., 1]
    assert ((values >= 0) & (values < 1)).all()
    assert set(np.unique(markers)) == {0.0, 1.0}
    for row in range(batch_size):
        early, late = np.flatnonzero(markers[row])  # exactly two
        assert 0 <= early < int(steps * 0.1)
        assert int(steps * 0.1) <= late < int(steps * 0.4) + int(steps * 0.1) <= steps * 0.5
        assert batch.targets[row, 0, 0].item() == pytest.approx((values[row, early] + values[row, late]) / 2)
        assert batch.informative is not None
        assert batch.informative[row].tolist() == [early, late]


@pytest.mark.parametrize("length", [10, 19, 20, 57])
def test_every_length_and_every_marker_place_of_the_format_occurs(length: int) -> None:
    task, generator = make(length), torch.Generator().manual_seed(1)
    places: dict[int, set[tuple[int, int]]] = {}
    for _ in range(400):
        batch = task.draw(64, generator)
        assert batch.informative is not None
        places.setdefault(batch.length, set()).update(map(tuple, batch.informative.tolist()))
    assert sorted(places) == list(range(length, length + int(length * 0.1)))
    for steps, seen in places.items():
        tenth, wide = int(steps * 0.1), int(steps * 0.4)
        assert {early for early, _ in seen} == set(range(tenth))
        assert {late for _, late in seen} == set(range(tenth, tenth + wide))


def test_no_constant_guess_beats_chance_and_one_half_reaches_it() -> None:
    """Monte Carlo over 200,000 sequences: MSE 1/24 and 36% wrong, within five standard errors."""
    task = make(10)
    targets = drawn(10, 200_000, seed=3).targets.flatten().double()
    squared = (targets - 0.5).square()
    wrong = (squared > 0.04).double()
    for sample, chance in ((squared, task.chance.loss), (wrong, task.chance.error)):
        assert abs(sample.mean() - chance) < 5 * sample.std() / len(sample) ** 0.5
    for guess in (0.4, 0.45, 0.55, 0.6):
        other = (targets - guess).square()
        assert other.mean() > task.chance.loss
        assert (other > 0.04).double().mean() > task.chance.error


def test_a_guess_is_wrong_when_it_is_off_by_more_than_a_fifth() -> None:
    batch = drawn(20, 5, seed=0)
    away = torch.tensor([0.0, 0.199, -0.199, 0.201, -0.201]).view(5, 1, 1)
    assert make(20).score(batch.targets + away, batch) == (2, 5)


def test_an_output_that_is_not_a_number_is_wrong() -> None:
    batch = drawn(20, 3, seed=0)
    assert make(20).score(torch.full((3, 1, 1), torch.nan), batch) == (3, 3)


def test_solved_means_under_one_percent_wrong() -> None:
    assert make(20).is_solved(99, 10_000)
    assert not make(20).is_solved(100, 10_000)


def test_a_rendered_sequence_shows_inputs_target_and_prediction() -> None:
    batch = drawn(20, 2, seed=5)
    outputs = batch.targets + torch.tensor([0.1, 0.3]).view(2, 1, 1)
    sample = make(20).render(batch, outputs, 1)
    value, marker = sample.channels
    assert (value.name, marker.name) == ("value", "marker")
    assert value.values == batch.inputs[1, :, 0].tolist()
    assert [step for step, mark in enumerate(marker.values) if mark == 1.0] == sample.informative
    assert sample.target == f"{batch.targets[1].item():.3f}"
    assert sample.prediction == f"{batch.targets[1].item() + 0.3:.3f}"
    assert not sample.correct
    assert sample.detail == "squared error 0.09"
    assert make(20).render(batch, outputs, 0).correct


@pytest.mark.parametrize("length", [9, 5001, 20.5])
def test_lengths_without_a_place_for_a_marker_or_too_large_are_refused(length: float) -> None:
    with pytest.raises(ValidationError, match="length"):
        AddingConfig(length=length)


# --- The sum, as in the TCN benchmark ----------------------------------------------------------------


def summing(length: int) -> Adding:
    return Adding(AddingConfig(length=length, convention="sum"))


@given(length=st.integers(10, 400), batch_size=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_a_batch_of_sums_has_the_format_of_the_tcn_benchmark(length: int, batch_size: int, seed: int) -> None:
    batch = summing(length).draw(batch_size, torch.Generator().manual_seed(seed))
    assert batch.inputs.shape == (batch_size, length, 2)
    assert batch.first == length - 1
    values, markers = batch.inputs.double().numpy().transpose(2, 0, 1)
    assert ((values >= 0) & (values < 1)).all()
    assert set(np.unique(markers)) == {0.0, 1.0}
    for row in range(batch_size):
        early, late = np.flatnonzero(markers[row])  # exactly two
        assert batch.targets[row, 0, 0].item() == pytest.approx(values[row, early] + values[row, late])
        assert batch.informative is not None
        assert batch.informative[row].tolist() == [early, late]


def test_every_pair_of_places_is_equally_likely_in_a_sum() -> None:
    """45 pairs of 10 places over 90,000 sequences: 2,000 each, within five standard errors."""
    batch = summing(10).draw(90_000, torch.Generator().manual_seed(1))
    assert batch.informative is not None
    pairs, counts = batch.informative.unique(dim=0, return_counts=True)
    assert len(pairs) == 45
    assert ((counts - 2_000).abs() < 5 * (2_000 * 44 / 45) ** 0.5).all()


def test_a_guess_of_one_has_the_loss_and_error_of_chance_on_sums() -> None:
    """Monte Carlo over 200,000 sequences: MSE 1/6 and 36% wrong, within five standard errors."""
    task = summing(10)
    targets = task.draw(200_000, torch.Generator().manual_seed(3)).targets.flatten().double()
    squared = (targets - 1).square()
    wrong = (squared.sqrt() > 0.4).double()
    assert task.chance.loss == pytest.approx(0.1667, abs=5e-5)
    for sample, chance in ((squared, task.chance.loss), (wrong, task.chance.error)):
        assert abs(sample.mean() - chance) < 5 * sample.std() / len(sample) ** 0.5


def test_a_sum_is_wrong_when_it_is_off_by_more_than_two_fifths() -> None:
    batch = summing(20).draw(5, torch.Generator().manual_seed(0))
    away = torch.tensor([0.0, 0.399, -0.399, 0.401, -0.401]).view(5, 1, 1)
    assert summing(20).score(batch.targets + away, batch) == (2, 5)
    assert [summing(20).render(batch, batch.targets + away, row).correct for row in range(5)] == [
        True, True, True, False, False,
    ]  # fmt: skip
