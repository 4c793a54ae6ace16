"""Gradients relative to the last timestep: by their definition, and where there is nothing to divide by."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts.compare import GradientCurve, time_gradient_figure
from dashboard.charts.playback import playback_figure
from dashboard.charts.relative import absolute, relative
from dashboard.charts.time_gradients import curve_at, heatmap
from trainer.schema import DecaySeries, VectorSeries

BLUE = "#0072b2"


@given(norms=st.lists(st.floats(1e-30, 1e30), min_size=1, max_size=50))
def test_each_norm_is_divided_by_the_last_one(norms: list[float]) -> None:
    found = relative(norms)
    np.testing.assert_allclose(np.array(found.values, dtype=float), np.array(norms) / norms[-1], rtol=1e-12)
    assert found.values[-1] == 1
    assert found.words == ""


@given(norms=st.lists(st.floats(1e-9, 1e9), min_size=2, max_size=20), times=st.floats(1e-6, 1e6))
def test_the_size_of_a_networks_gradients_does_not_matter(norms: list[float], times: float) -> None:
    larger = relative([times * norm for norm in norms]).values
    for one, other in zip(relative(norms).values, larger, strict=True):
        assert one is not None
        assert other == pytest.approx(one, rel=1e-9)


def test_sequences_that_end_early_are_relative_to_their_last_timestep_with_a_gradient() -> None:
    found = relative([1.0, 0.0, 4.0, 2.0, 0.0, 0.0])
    assert found.values == [0.5, 0.0, 2.0, 1.0, 0.0, 0.0]
    assert found.words == (
        "exactly 0 at 3 of 6 timesteps; relative to timestep 4, the last that gets a gradient"
    )


@pytest.mark.parametrize("last", [None, math.nan, math.inf])
def test_without_a_finite_last_norm_nothing_is_drawn_and_that_is_said(last: float | None) -> None:
    found = relative([1.0, 2.0, last])
    assert found.values == [None, None, None]
    assert found.words == "not finite at 1 of 3 timesteps, the last one among them: no relative size"
    assert absolute([1.0, 2.0, last]).values == [1.0, 2.0, None]


def test_no_gradient_at_all_stays_none_and_is_said() -> None:
    assert relative([0.0, 0.0]) == ([0.0, 0.0], "exactly 0 at 2 of 2 timesteps")
    assert relative([]) == ([], "")


VECTORS = VectorSeries(steps=[0, 50], norms=[[1.0, 2.0, 10.0], [3e-4, 3e-3, 3e-2]])


def test_every_chart_divides_each_run_and_recording_by_its_own_last_norm_and_tells_both_sizes() -> None:
    by_hand = {0: [0.1, 0.2, 1.0], 50: [0.01, 0.1, 1.0]}
    curve = curve_at(VECTORS, name="h/0", step=50, color=BLUE, is_relative=True)
    assert [list(line.y) for line in curve.data] == [by_hand[0], by_hand[50]]
    assert curve.data[1].customdata[0] == "0.01 times that at the last timestep (norm 0.0003)"
    assert curve.layout.yaxis.title.text == "‖∂loss/∂h‖ (times that at the last timestep)"
    beside = time_gradient_figure(
        {
            "chance": GradientCurve(name="a", color=BLUE, vectors=VECTORS),
            "solved": GradientCurve(
                name="b", color=BLUE, vectors=VectorSeries(steps=[50], norms=[[1e-9, 3e-9, 3e-9]])
            ),
        },
        quantity="h/0",
        is_relative=True,
    )
    assert list(beside.data[0].y) == by_hand[50]
    assert beside.data[1].y[0] == pytest.approx(1 / 3, rel=1e-4)  # it lies above, though its norms are tiny
    cells = heatmap(VECTORS, name="h/0", is_relative=True).data[0]
    assert [row[0] for row in cells.z] == pytest.approx([-1, math.log10(0.2), 0], abs=1e-3)
    assert [row[1] for row in cells.z] == pytest.approx([-2, -1, 0], abs=1e-3)
    assert cells.customdata[0][0] == "0.1 times that at the last timestep (norm 1)"
    assert "÷ that at the last timestep" in cells.colorbar.title.text
    played = playback_figure(VECTORS, name="h/0", color=BLUE, is_relative=True)
    assert [list(frame.data[1].y) for frame in played.frames] == [by_hand[0], by_hand[50]]


def test_the_fitted_line_goes_with_the_relative_norms() -> None:
    halving = VectorSeries(steps=[0], norms=[[100 * 0.5**back for back in reversed(range(6))]])
    fit = DecaySeries(
        steps=[0], last=5, words=["halves"], factor=[0.5], half_life=[1.0], r_squared=[1.0], ratio=[0.03]
    )
    frame = playback_figure(
        halving, name="h/0", color=BLUE, fits={"h/0": fit}["h/0"], is_relative=True
    ).frames[0]
    assert list(frame.data[2].y) == pytest.approx(list(frame.data[1].y), rel=1e-4)


def test_colours_and_axes_do_not_make_much_of_little() -> None:
    even = VectorSeries(steps=[0], norms=[[0.9, 1.0, 0.95, 1.0]])
    cells = heatmap(even, name="h/0", is_relative=True).data[0]
    assert cells.zmax - cells.zmin >= 4
    for figure, axis in (
        (curve_at(even, name="h/0", step=0, color=BLUE), "yaxis"),
        (playback_figure(even, name="h/0", color=BLUE), "yaxis2"),
    ):
        low, high = figure.layout[axis].range
        assert high - low >= 2


def test_a_zoom_into_norms_is_not_kept_for_relative_sizes() -> None:
    """Plotly keeps the reader's range while an axis has the same revision."""
    curve = {"1": GradientCurve(name="a", color=BLUE, vectors=VECTORS)}
    for axis, make in (
        ("yaxis", lambda kind: curve_at(VECTORS, name="h/0", step=0, color=BLUE, is_relative=kind)),
        ("yaxis", lambda kind: time_gradient_figure(curve, quantity="h/0", is_relative=kind)),
        ("yaxis2", lambda kind: playback_figure(VECTORS, name="h/0", color=BLUE, is_relative=kind)),
    ):
        revisions = [make(kind).layout[axis].uirevision for kind in (True, False)]
        assert None not in revisions
        assert revisions[0] != revisions[1]
