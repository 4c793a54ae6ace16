"""The fitted decay beside series that are known, and beside a least-squares line by numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.bptt.decay import fit_decay, reach, remembered


def test_an_exact_decay_is_found() -> None:
    """0.8 a step back: halves every ln 2 / ln 1.25 steps."""
    fit = fit_decay(torch.tensor([3 * 0.8 ** (49 - t) for t in range(50)], dtype=torch.float64))
    assert fit is not None
    assert fit.factor == pytest.approx(0.8)
    assert fit.half_life == pytest.approx(math.log(2) / math.log(1.25))
    assert fit.doubling is None
    assert fit.r_squared == pytest.approx(1)
    assert fit.ratio == pytest.approx(0.8**49)
    assert fit.points == 50


def test_an_explosion_doubles() -> None:
    fit = fit_decay(torch.tensor([2.0 ** (9 - t) for t in range(10)]))
    assert fit is not None
    assert (fit.factor, fit.half_life, fit.doubling) == (pytest.approx(2), None, pytest.approx(1))


def test_flat_norms_neither_fade_nor_grow() -> None:
    fit = fit_decay(torch.full((9,), 0.1))
    assert fit is not None
    assert (fit.factor, fit.half_life, fit.doubling, fit.r_squared) == (1, None, None, 1)


def test_a_noisy_decay_equals_numpys_line() -> None:
    rng = np.random.default_rng(3)
    t = np.arange(40)
    log = 0.2 * t - 5 + rng.normal(0, 0.7, 40)
    fit = fit_decay(torch.from_numpy(np.exp(log)), first=4, last=35)
    slope, offset = np.polyfit(t[4:36], log[4:36], 1)
    left = log[4:36] - slope * t[4:36] - offset
    assert fit is not None
    assert fit.factor == pytest.approx(math.exp(-slope))
    assert fit.r_squared == pytest.approx(1 - left.var() / log[4:36].var())
    assert fit.points == 32


def test_zeros_and_what_is_not_finite_are_left_out() -> None:
    fit = fit_decay(torch.tensor([0.0, math.nan, 1.0, 2.0, math.inf, 8.0, 0.0]))
    assert fit is not None
    assert fit.points == 3
    assert fit.half_life == pytest.approx(1)
    assert fit.ratio == pytest.approx(1 / 8)


@pytest.mark.parametrize("norms", [[], [1.0], [0.0, 0.0, 3.0], [math.nan, 1.0]])
def test_fewer_than_two_norms_have_no_decay(norms: list[float]) -> None:
    assert fit_decay(torch.tensor(norms)) is None


def test_a_ratio_beyond_all_numbers_is_infinite() -> None:
    fit = fit_decay(torch.tensor([1e300, 1e-300], dtype=torch.float64))
    assert fit is not None
    assert fit.ratio == math.inf


def test_the_spread_is_the_largest_norm_over_the_smallest() -> None:
    fit = fit_decay(torch.tensor([2.0, 8.0, 0.5, 1.0]))
    assert fit is not None
    assert fit.spread == pytest.approx(16)
    assert fit.ratio == pytest.approx(2)


@pytest.mark.parametrize(
    ("norms", "steps"),
    [
        ([1e-5, 0.02, 0.5, 1.0], 2),
        ([1.0, 1.0, 1.0], 0),
        ([0.0, 0.0], 0),
        ([math.nan, 0.5, 1.0, 0.7], 1),
        ([], 0),
    ],
)
def test_reach_counts_steps_back_from_the_largest_norm(norms: list[float], steps: int) -> None:
    assert reach(torch.tensor(norms)) == steps


@pytest.mark.parametrize(
    ("norms", "last", "steps"),
    [
        ([0.0, 0.0, 0.3, 0.5, 1.0], 4, 2),
        ([0.0, 0.0, 0.3, 0.5, 1.0], 3, 1),  # counted from the loss
        ([0.1, 0.0, 0.3], 2, None),  # heard at the first timestep
        ([0.0, 0.0], 1, None),
        ([0.0, 0.0, 1.0], 1, None),
        ([0.0, 1e-44, 1e-20, 1.0], 3, None),  # it has faded below single precision
        ([0.0, math.nan, 1.0], 2, None),
        ([math.inf, 0.0, 1.0], 2, None),
    ],
)
def test_a_memory_that_ends_is_told_from_one_that_fades(
    norms: list[float], last: int, steps: int | None
) -> None:
    assert remembered(torch.tensor(norms, dtype=torch.float64), last) == steps
