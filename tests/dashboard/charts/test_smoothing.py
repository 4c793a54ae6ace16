"""The moving average against its definition, written out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts.smoothing import ema


def by_definition(values: list[float | None], weight: float) -> list[float | None]:
    """Each point: sum over the past of weight^age * value, over the sum of those weights."""
    smoothed: list[float | None] = []
    seen: list[float] = []
    for value in values:
        if value is None:
            smoothed.append(None)
            continue
        seen.append(value)
        weights = [weight**age for age in range(len(seen))]
        smoothed.append(sum(w * v for w, v in zip(weights, reversed(seen), strict=True)) / sum(weights))
    return smoothed


points = st.lists(st.none() | st.floats(-100, 100, allow_subnormal=False), max_size=40)


@given(values=points, weight=st.floats(0.01, 0.99))
def test_equals_the_weighted_mean_of_the_past(values: list[float | None], weight: float) -> None:
    for got, expected in zip(ema(values, weight), by_definition(values, weight), strict=True):
        assert (got is None) == (expected is None)
        if got is not None and expected is not None:
            assert math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9)


def test_the_first_value_is_kept_and_a_constant_stays_constant() -> None:
    """A plain moving average starts near zero: the bias that is taken out."""
    assert ema([7.0, 7.0, 7.0], 0.99) == pytest.approx([7.0, 7.0, 7.0])


def test_weight_zero_changes_nothing_and_gaps_stay_gaps() -> None:
    assert ema([1.0, None, 3.0, math.nan], 0.0) == [1.0, None, 3.0, None]


@pytest.mark.parametrize("weight", [-0.1, 1.0])
def test_a_weight_outside_its_range_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        ema([1.0], weight)
