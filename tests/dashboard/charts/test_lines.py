"""A point without a neighbour is seen on every chart with lines, and what a log axis cannot show is said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from inside_results import RESULTS, TRUNCATION

from dashboard.charts.compare import GradientCurve, metric_figure, time_gradient_figure
from dashboard.charts.credit import norms_figure
from dashboard.charts.curves import Curve
from dashboard.charts.gates import Track, track_figure
from dashboard.charts.gradient_norms import gradient_norm_figure
from dashboard.charts.losses import loss_figure
from dashboard.charts.playback import factor_figure, playback_figure
from dashboard.charts.recorded import recorded_figure
from dashboard.charts.rewind import loss_figure as future_losses
from dashboard.charts.rewind import norm_figure
from dashboard.charts.samples import forecast_figure
from dashboard.charts.time_gradients import curve_at
from dashboard.charts.triangle import LagCurve, lag_figure
from dashboard.charts.truncation import lag_norm_figure, match_figure
from trainer.schema import (
    DecaySeries,
    ForecastSample,
    Matches,
    RewindView,
    Series,
    TrainingConfig,
    VectorSeries,
)

BLUE = "#0072b2"
LONELY = [0.0, 0.0, 0.0, 79.0]
"""A dead ReLU's gradient: only the last timestep gets any. On a log axis the others are nowhere."""
GAPPY: list[float | None] = [None, 0.5, None, None]


def series(values: list[float | None]) -> Series:
    steps = list(range(1, len(values) + 1))
    times = [float(step) for step in steps]
    flag: Any = {step: "nan" for step, value in zip(steps, values, strict=True) if value is None}
    return Series(step=steps, value=values, seconds=times, sequences=times, flag=flag)


def decay(factor: list[float | None]) -> DecaySeries:
    many, nothing = list(range(len(factor))), [None] * len(factor)
    return DecaySeries(
        steps=many,
        last=3,
        words=[""] * len(factor),
        factor=factor,
        half_life=nothing,
        r_squared=nothing,
        ratio=nothing,
    )


def rewound() -> RewindView:
    (view,) = (result for result in RESULTS.values() if isinstance(result, RewindView))
    future = view.untouched.model_copy(
        update={"loss": GAPPY, "norm_before": LONELY, "norm_after": LONELY, "clipped": [True] * 4}
    )
    return view.model_copy(update={"steps": [1, 2, 3, 4], "untouched": future, "changed": future})


VECTORS = VectorSeries(steps=[0, 50], norms=[LONELY, LONELY])
NORMS = {"gradient_norm/before_clip": series(LONELY), "gradient_norm/after_clip": series(LONELY)}
ONE_LAG = TRUNCATION.model_copy(
    update={
        "lags": [0, 1, 2, 3],
        "lag_norms": {"all": LONELY},
        "each_step": {"all": Matches(cosine=GAPPY, norm_ratio=GAPPY)},
        "sweep": {},
    }
)

FIGURES: dict[str, tuple[Callable[[], go.Figure], str]] = {
    "Run, gradient through time": (lambda: curve_at(VECTORS, name="h/0", step=50, color=BLUE), "chosen"),
    "Run, relative": (
        lambda: curve_at(VECTORS, name="h/0", step=50, color=BLUE, is_relative=True),
        "chosen",
    ),
    "Run, its first recording": (lambda: curve_at(VECTORS, name="h/0", step=50, color=BLUE), "first"),
    "Compare, gradient through time": (
        lambda: time_gradient_figure(
            {"1": GradientCurve(name="a", color=BLUE, vectors=VECTORS)}, quantity="h/0"
        ),
        "1",
    ),
    "Inside, played": (lambda: playback_figure(VECTORS, name="h/0", color=BLUE), "chosen"),
    "Inside, decay": (
        lambda: factor_figure({"1": decay([*GAPPY, *[None] * 30])}, [BLUE], ["a"]),
        "1",
    ),
    "credit": (lambda: norms_figure({"x": LONELY}, []), "x"),
    "gradient norms": (
        lambda: gradient_norm_figure(NORMS, color=BLUE, training=TrainingConfig()),
        "before",
    ),
    "gradient norms, after": (
        lambda: gradient_norm_figure(NORMS, color=BLUE, training=TrainingConfig()),
        "after",
    ),
    "loss": (lambda: loss_figure({"loss": series(GAPPY)}, color=BLUE), "training"),
    "loss, smoothed": (lambda: loss_figure({"loss": series(GAPPY)}, color=BLUE, smooth=0.9), "training-raw"),
    "Compare, a metric": (
        lambda: metric_figure(
            {"1": Curve(name="a", color=BLUE, series=series(LONELY))}, metric="loss", y_type="log"
        ),
        "1",
    ),
    "recorded": (
        lambda: recorded_figure({"a": series(LONELY)}, y_title="ratio", color=BLUE, y_type="log"),
        "recorded-0",
    ),
    "truncation": (lambda: match_figure(ONE_LAG, "cosine"), "all"),
    "truncation, lags": (lambda: lag_norm_figure(ONE_LAG), "all"),
    "triangle, lags": (
        lambda: lag_figure({"whole": LagCurve(name="measured", color=BLUE, values=LONELY)}, quantity="norm"),
        "whole",
    ),
    "rewind, losses": (lambda: future_losses(rewound(), unit=""), "changed"),
    "rewind, norms": (lambda: norm_figure(rewound()), "changed-before"),
    "track": (
        lambda: track_figure([Track(name="h", color=BLUE, dash="solid", values=GAPPY)], begin=0),
        "h",
    ),
    "forecast": (
        lambda: forecast_figure(
            ForecastSample(truth=[1.0] * 4, one_ahead=GAPPY, alone=[None] * 4, given=2), color=BLUE
        ),
        "ahead",
    ),
}


def dots(drawn: Any) -> list[int]:
    """Places at which a reader sees a dot."""
    if "markers" not in drawn.mode:
        return []
    sizes = (
        drawn.marker.size
        if isinstance(drawn.marker.size, list | tuple)
        else [drawn.marker.size] * len(drawn.y)
    )
    return [
        i
        for i, (value, size) in enumerate(zip(drawn.y, sizes, strict=True))
        if value is not None and size > 0
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_a_point_without_a_neighbour_is_seen(name: str) -> None:
    make, uid = FIGURES[name]
    (drawn,) = (drawn for drawn in make().data if drawn.uid == uid)
    (place,) = (i for i, value in enumerate(drawn.y) if value is not None)
    assert dots(drawn) == [place]


def test_points_on_a_line_get_no_dots_beside_one_that_stands_alone() -> None:
    vectors = VectorSeries(steps=[0], norms=[[0.1, 0.2, 0.3, 0.0, 0.5]])
    drawn = curve_at(vectors, name="h/0", step=0, color=BLUE).data[0]
    assert dots(drawn) == [4]


def test_every_frame_that_is_played_shows_its_own_lonely_point() -> None:
    vectors = VectorSeries(steps=[0, 50], norms=[[0.1, 0.2, 0.3, 0.4], LONELY])
    first, second = (frame.data[1] for frame in playback_figure(vectors, name="h/0", color=BLUE).frames)
    assert dots(first) == []
    assert dots(second) == [3]
    assert second.name == "step 50: exactly 0 at 3 of 4 timesteps"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Compare, gradient through time", "a, step 50: exactly 0 at 3 of 4 timesteps"),
        ("Inside, played", "step 50: exactly 0 at 3 of 4 timesteps"),
        ("credit", "‖∂loss/∂x‖: exactly 0 at 3 of 4 timesteps"),
        ("gradient norms", "before the clip: exactly 0 at 3 of 4 points"),
        ("Compare, a metric", "a: exactly 0 at 3 of 4 points"),
        ("recorded", "a: exactly 0 at 3 of 4 points"),
        ("truncation, lags", "all matrices together: exactly 0 at 3 of 4 lags"),
        ("triangle, lags", "measured: exactly 0 at 3 of 4 lags"),
        ("rewind, norms", "changed, before the clip: exactly 0 at 3 of 4 updates"),
    ],
)
def test_the_legend_says_what_a_log_axis_cannot_show(name: str, said: str) -> None:
    make, uid = FIGURES[name]
    (drawn,) = (drawn for drawn in make().data if drawn.uid == uid)
    assert drawn.name == said


@pytest.mark.parametrize("late", [3, 400])
def test_words_beside_a_cross_stay_inside_the_plot(late: int) -> None:
    """They run towards the wider half of the whole plot, other curves included, from its top downwards."""
    blown: list[float | None] = [0.1] * (late - 1) + [None]
    curves = {
        "1": Curve(name="a", color=BLUE, series=series(blown)),
        "2": Curve(name="b", color=BLUE, series=series([0.1] * 500)),
        "3": Curve(name="c", color=BLUE, series=series(blown)),
    }
    figure = metric_figure(curves, metric="loss")
    told = figure.layout.annotations
    assert [label.text for label in told] == [f"{run}: not a number (NaN) at step {late}" for run in "ac"]
    for line, label in enumerate(told):
        assert label.x == late
        assert (label.xanchor, label.xshift > 0) == (("left", True) if late < 250 else ("right", False))
        assert (label.y, label.yref, label.yanchor, label.yshift) == (1, "y domain", "top", -16 * line)
    assert all("text" not in drawn.mode for drawn in figure.data)
