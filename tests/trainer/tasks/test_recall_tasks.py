"""Memorisation and copy memory against the rules of their sources, spelled out."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.trainer.tasks.guessing import assert_chance_is_reached_and_not_beaten
from trainer.tasks.base import Batch
from trainer.tasks.copy_memory import CopyMemory, CopyMemoryConfig
from trainer.tasks.memorisation import Memorisation, MemorisationConfig
from trainer.tasks.recall import Recall


def memorisation(length: int, pattern: str = "5_bit") -> Memorisation:
    return Memorisation(MemorisationConfig(length=length, pattern=pattern))  # type: ignore[arg-type]


def copy_memory(length: int) -> CopyMemory:
    return CopyMemory(CopyMemoryConfig(length=length))


def spelled(task: Recall, batch: Batch, row: int) -> tuple[str, str]:
    """Inputs and targets as text: letters, ``.`` for blank, ``!`` for the trigger."""
    alphabet = "abcdefgh"[: task.alphabet] + ".!"
    assert (batch.inputs.sum(dim=2) == 1).all()
    channels = batch.inputs[row].nonzero()[:, 1].tolist()
    return "".join(alphabet[c] for c in channels), "".join(alphabet[t] for t in batch.targets[row].tolist())


@given(
    length=st.integers(1, 200),
    size=st.sampled_from([("5_bit", 5, "ab"), ("20_bit", 10, "abcde")]),
    seed=st.integers(0, 2**31),
)
def test_memorisation_has_the_format_of_pascanus_code(
    length: int, size: tuple[str, int, str], seed: int
) -> None:
    """Pattern, L blanks, trigger, blanks; recall starts at the trigger's own timestep."""
    name, places, letters = size
    task = memorisation(length, name)
    batch = task.draw(3, torch.Generator().manual_seed(seed))
    assert (task.input_size, task.output_size) == (len(letters) + 2, len(letters) + 1)
    assert batch.first == 0
    for row in range(3):
        read, wanted = spelled(task, batch, row)
        pattern = read[:places]
        assert set(pattern) <= set(letters)
        assert read == pattern + "." * length + "!" + "." * (places - 1)
        assert wanted == "." * (places + length) + pattern
        assert batch.informative is not None
        assert batch.informative[row].tolist() == list(range(places))
    assert MemorisationConfig(length=length, pattern=name).timesteps == batch.length  # type: ignore[arg-type]


@given(length=st.integers(1, 200), seed=st.integers(0, 2**31))
def test_copy_memory_has_the_format_of_arjovsky_and_the_targets_of_the_tcn_benchmark(
    length: int, seed: int
) -> None:
    """Ten symbols, T − 1 blanks, trigger, ten blanks; recall starts one timestep after the trigger."""
    task = copy_memory(length)
    batch = task.draw(3, torch.Generator().manual_seed(seed))
    assert (task.input_size, task.output_size) == (10, 9)
    assert batch.first == 0
    for row in range(3):
        read, wanted = spelled(task, batch, row)
        pattern = read[:10]
        assert set(pattern) <= set("abcdefgh")
        assert read == pattern + "." * (length - 1) + "!" + "." * 10
        assert wanted == "." * (length + 10) + pattern
    assert CopyMemoryConfig(length=length).timesteps == batch.length == length + 20


def test_all_32_patterns_of_5_bits_are_equally_likely() -> None:
    """64,000 draws, 2,000 of each, within five standard errors."""
    task = memorisation(1)
    batch = task.draw(64_000, torch.Generator().manual_seed(1))
    patterns, counts = batch.targets[:, -5:].unique(dim=0, return_counts=True)
    assert set(map(tuple, patterns.tolist())) == set(product(range(2), repeat=5))
    assert ((counts - 2_000).abs() < 5 * (2_000 * 31 / 32) ** 0.5).all()


def guess(task: Recall) -> Tensor:
    """Blank until the recall, then all symbols alike."""
    probabilities = torch.zeros(task.length, task.output_size, dtype=torch.float64)
    probabilities[: -task.pattern, task.alphabet] = 1.0
    probabilities[-task.pattern :, : task.alphabet] = 1 / task.alphabet
    return probabilities


@pytest.mark.parametrize("task", [memorisation(7), copy_memory(7)], ids=["memorisation", "copy_memory"])
def test_who_knows_when_to_speak_and_not_what_is_at_chance(task: Recall) -> None:
    assert_chance_is_reached_and_not_beaten(task, guess(task), torch.zeros(task.length).long(), 10_000)


def test_chance_is_the_published_one() -> None:
    """Copy memory: 10 ln 8 / (T + 20). Memorisation, 20 bits: one of 5¹⁰ patterns is guessed right."""
    for length, loss in ((100, 0.1733), (500, 0.0400), (1000, 0.0204)):
        assert copy_memory(length).chance.loss == pytest.approx(loss, abs=5e-5)
    chance = memorisation(50, "20_bit").chance
    assert chance.loss == pytest.approx(10 * math.log(5) / 70)
    assert chance.error == pytest.approx(1 - 1 / 9_765_625, abs=1e-12)


def flawed(batch: Batch, size: int, timesteps: list[int]) -> Tensor:
    """Perfect outputs, but for the first sequence at these timesteps."""
    outputs = torch.nn.functional.one_hot(batch.targets, size).float()
    outputs[0, timesteps] = outputs[0, timesteps].roll(1, dims=-1)
    return outputs


def test_one_wrong_symbol_spoils_a_memorised_sequence_and_counts_once_in_a_copied_one() -> None:
    for task, score in ((memorisation(4), (1, 3)), (copy_memory(4), (2, 30))):
        batch = task.draw(3, torch.Generator().manual_seed(0))
        assert task.score(flawed(batch, task.output_size, [-1, -3]), batch) == score


def test_an_output_that_breaks_the_silence_costs_loss_but_is_no_error() -> None:
    for task in (memorisation(4), copy_memory(4)):
        batch = task.draw(3, torch.Generator().manual_seed(0))
        outputs = flawed(batch, task.output_size, [0, 5])
        assert task.score(outputs, batch).wrong == 0
        sample = task.render(batch, outputs, 0)
        assert sample.correct
        silent = task.length - task.pattern
        assert f"silent at {silent - 2} of {silent} timesteps before" in sample.detail


def test_a_network_that_is_always_silent_recalls_nothing() -> None:
    for task in (memorisation(4), copy_memory(4)):
        batch = task.draw(3, torch.Generator().manual_seed(0))
        blank = torch.zeros(3, task.length, task.output_size)
        blank[..., -1] = 1.0
        score = task.score(blank, batch)
        assert score.wrong == score.total


def test_a_rendered_sequence_shows_what_was_read_wanted_and_said() -> None:
    task = memorisation(2)
    batch = task.draw(1, torch.Generator().manual_seed(5))
    sample = task.render(batch, flawed(batch, task.output_size, [-1]), 0)
    read, wanted, said = ("".join(map(str, channel.values)) for channel in sample.channels)
    ours = tuple(text.replace(".", "–") for text in spelled(task, batch, 0))
    assert (read, wanted) == ours
    assert said[:-1] == wanted[:-1]
    assert said[-1] != wanted[-1]
    assert (sample.target, sample.prediction) == (wanted[-5:], said[-5:])
    assert not sample.correct
    assert sample.detail.startswith("4 of 5 symbols recalled")
