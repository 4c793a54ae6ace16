"""The moving average against its definition, written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts.losses import loss_figure
from dashboard.charts.smoothing import USUAL, ema
from trainer.schema import Series


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


@given(
    values=st.lists(st.floats(-100, 100), min_size=1, max_size=30),
    gaps=st.lists(st.integers(1, 50), min_size=30, max_size=30),
    weight=st.floats(0.01, 0.99),
)
def test_the_weight_acts_for_each_update_however_far_apart_the_points_are(
    values: list[float], gaps: list[int], weight: float
) -> None:
    steps = np.cumsum(gaps)[: len(values)]
    for place, got in enumerate(ema(values, weight, steps.tolist())):
        weights = weight ** (steps[place] - steps[: place + 1]).astype(float)
        assert got == pytest.approx(
            float(np.average(values[: place + 1], weights=weights)), rel=1e-9, abs=1e-9
        )


def test_a_thinned_curve_follows_the_measured_one_as_closely_as_the_whole_curve_does() -> None:
    """A fall of four powers of ten within 100 of 100,000 updates, of which every 250th is left."""
    steps = list(range(0, 100_000, 250))
    values = [max(1.0 * 0.9**step, 1e-4) for step in steps]
    by_update = ema(values, 0.9, steps)
    assert all(got == pytest.approx(value, rel=1e-3) for got, value in zip(by_update, values, strict=True))
    by_point = ema(values, 0.9)
    assert max(got / value for got, value in zip(by_point, values, strict=True) if got) > 1000


def test_a_gap_does_not_stop_the_fading() -> None:
    assert ema([1.0, None, 3.0], 0.5, [1, 2, 4])[2] == pytest.approx((3 + 0.125) / 1.125)


def test_the_pointer_finds_the_measured_and_the_smoothed_value() -> None:
    series = Series(step=[1, 11], value=[1.0, 0.1], seconds=[0.1, 1.1], sequences=[1, 11])
    for y_type in ("linear", "log"):
        figure = loss_figure({"loss": series}, color="#0072b2", smooth=0.9, y_type=y_type)
        (drawn,) = (line for line in figure.data if line.uid == "training")
        assert drawn.hovertemplate == "measured %{customdata:.4g}, smoothed %{y:.4g}"
        assert list(drawn.customdata) == [1.0, 0.1]
        assert drawn.y[1] != 0.1
        assert drawn.name == "training: smoothed over 10 updates"
    (plain,) = (
        line for line in loss_figure({"loss": series}, color="#0072b2").data if line.uid == "training"
    )
    assert plain.hovertemplate == "%{y:.4g}"


def test_pages_begin_with_little_smoothing() -> None:
    assert 0 < USUAL < 0.9
