"""The random permutation task against the rules of its source."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.tasks.guessing import assert_chance_is_reached_and_not_beaten
from trainer.tasks.random_permutation import RandomPermutation, RandomPermutationConfig


def make(length: int) -> RandomPermutation:
    return RandomPermutation(RandomPermutationConfig(length=length))


@given(length=st.integers(2, 200), batch_size=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_a_batch_has_the_format_of_pascanus_code(length: int, batch_size: int, seed: int) -> None:
    batch = make(length).draw(batch_size, torch.Generator().manual_seed(seed))
    assert batch.inputs.shape == (batch_size, length, 100)
    assert batch.first == length - 1
    assert (batch.inputs.sum(dim=2) == 1).all()
    for row in range(batch_size):
        first, *others = batch.inputs[row].nonzero()[:, 1].tolist()
        assert first in (0, 1)
        assert all(2 <= symbol < 100 for symbol in others)
        assert batch.targets[row].tolist() == [first]
        assert batch.informative is not None
        assert batch.informative[row].tolist() == [0]


def test_all_98_distractors_are_equally_likely() -> None:
    """98,000 draws, 1,000 of each, within five standard errors."""
    inputs = make(99).draw(1_000, torch.Generator().manual_seed(1)).inputs
    counts = inputs[:, 1:].sum(dim=(0, 1))[2:]
    assert ((counts - 1_000).abs() < 5 * (1_000 * 97 / 98) ** 0.5).all()


def test_who_knows_that_it_is_0_or_1_and_not_which_is_at_chance() -> None:
    task = make(5)
    half = torch.zeros(1, 100, dtype=torch.float64)
    half[0, :2] = 0.5
    assert_chance_is_reached_and_not_beaten(task, half, torch.zeros(1, dtype=torch.int64), 20_000)
    assert task.chance.loss == pytest.approx(math.log(2))


def test_a_rendered_sequence_shows_symbols_and_answers() -> None:
    batch = make(6).draw(2, torch.Generator().manual_seed(5))
    outputs = torch.zeros(2, 1, 100)
    outputs[:, 0, 7] = 1.0
    sample = make(6).render(batch, outputs, 1)
    assert sample.channels[0].values == batch.inputs[1].argmax(dim=1).tolist()
    assert (sample.target, sample.prediction) == (str(int(batch.targets[1])), "7")
    assert not sample.correct
