"""Parity, recounted from the inputs alone."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.tasks.guessing import assert_chance_is_reached_and_not_beaten
from trainer.tasks.parity import CLASSES, Parity, ParityConfig

Scored = Literal["every", "last"]


def make(length: int, scored: Scored = "every") -> Parity:
    return Parity(ParityConfig(length=length, scored=scored))


@given(
    length=st.integers(2, 80),
    scored=st.sampled_from(["every", "last"]),
    batch_size=st.integers(1, 6),
    seed=st.integers(0, 2**31),
)
def test_each_target_says_whether_the_ones_so_far_are_odd(
    length: int, scored: Scored, batch_size: int, seed: int
) -> None:
    batch = make(length, scored).draw(batch_size, torch.Generator().manual_seed(seed))
    assert batch.inputs.shape == (batch_size, length, 1)
    assert batch.first == (0 if scored == "every" else length - 1)
    for row in range(batch_size):
        bits = batch.inputs[row, :, 0].tolist()
        assert set(bits) <= {-1.0, 1.0}
        wanted = []
        for step in range(batch.first, length):
            odd = False
            for bit in bits[: step + 1]:
                odd ^= bit == 1.0
            wanted.append(int(odd))
        assert batch.targets[row].tolist() == wanted


@pytest.mark.parametrize("scored", ["every", "last"])
def test_chance_is_one_half_and_ln_2(scored: Scored) -> None:
    task = make(6, scored)
    steps = 6 if scored == "every" else 1
    assert_chance_is_reached_and_not_beaten(
        task, torch.full((steps, 2), 0.5), torch.ones(steps, dtype=torch.int64), 20_000
    )


def test_who_misses_one_bit_knows_nothing() -> None:
    """Whichever bit is hidden, even and odd are equally likely given all the others."""
    batch = make(5, "last").draw(40_000, torch.Generator().manual_seed(2))
    bits = (batch.inputs[:, :, 0] > 0).long()
    for hidden in range(5):
        others = bits[:, [step for step in range(5) if step != hidden]]
        codes = (others * torch.tensor([8, 4, 2, 1])).sum(dim=1)
        for code in range(16):
            odd = batch.targets[codes == code, 0].double()
            assert abs(float(odd.mean()) - 0.5) < 5 * 0.5 / len(odd) ** 0.5


def test_only_the_last_answer_makes_a_sequence_right() -> None:
    task = make(7)
    batch = task.draw(4, torch.Generator().manual_seed(0))
    outputs = torch.nn.functional.one_hot(1 - batch.targets, 2).float()
    outputs[:3, -1] = outputs[:3, -1].flip(-1)
    assert task.score(outputs, batch) == (1, 4)


def test_solved_means_under_one_percent_wrong() -> None:
    assert make(5).is_solved(99, 10_000)
    assert not make(5).is_solved(100, 10_000)


def test_a_rendered_sequence_shows_bits_and_counts_the_ones() -> None:
    task = make(9)
    batch = task.draw(2, torch.Generator().manual_seed(1))
    sample = task.render(batch, torch.zeros(2, 9, 2), 1)
    bits = sample.channels[0].values
    ones = bits.count(1.0)
    assert sample.target == CLASSES[ones % 2]
    assert sample.detail == f"{ones} ones in 9 bits; probability given to {sample.target}: 0.500"
