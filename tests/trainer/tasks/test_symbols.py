"""Symbols as inputs and as answers."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.tasks.base import Batch
from trainer.tasks.symbols import one_hot, probability_errors, score_symbols, spelled, under_one_percent


@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 7), st.integers(0, 2**31))
def test_one_hot_equals_pytorchs(batch_size: int, length: int, size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    symbols = torch.randint(size, (batch_size, length), generator=generator)
    ours = one_hot(symbols, size)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, torch.nn.functional.one_hot(symbols, size).float())


def test_symbols_outside_the_mask_are_not_judged() -> None:
    outputs = torch.eye(3).unsqueeze(0)  # says 0, 1, 2
    targets = torch.tensor([[0, 0, 0]])
    inputs = torch.zeros(1, 3, 1)
    assert score_symbols(outputs, Batch(inputs, targets, first=0)) == (2, 3)
    mask = torch.tensor([[True, True, False]])
    assert score_symbols(outputs, Batch(inputs, targets, first=0, mask=mask)) == (1, 2)


def test_the_error_of_probabilities_is_that_of_the_class_furthest_off() -> None:
    """Odds of 3 : 1 : 0 give 3/4, 1/4, 0."""
    outputs = torch.tensor([3.0, 1.0, 0.0]).log().expand(1, 3, 3)
    errors = probability_errors(outputs, torch.tensor([[0, 1, 2]]))
    assert torch.allclose(errors, torch.tensor([[0.25, 0.75, 1.0]]))
    assert math.isnan(probability_errors(torch.full((1, 1, 2), torch.nan), torch.tensor([[0]])).item())


def test_a_hundredth_wrong_is_not_under_one_percent() -> None:
    assert under_one_percent(99, 10_000)
    assert not under_one_percent(100, 10_000)


def test_a_long_row_of_symbols_is_shortened_in_its_middle() -> None:
    assert spelled(["a"] * 60) == "a" * 60
    assert spelled(["a"] * 50 + ["b"] * 50) == "a" * 30 + "…" + "b" * 30
