"""Figures say what the data say: axes, levels, colours, gaps."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import pytest

from dashboard.charts.compare import METRICS, GradientCurve, metric_figure, time_gradient_figure
from dashboard.charts.curves import X_TITLES, Curve
from dashboard.charts.gradient_norms import gradient_norm_figure
from dashboard.charts.lengths import LengthCurve, length_figure
from dashboard.charts.losses import error_figure, loss_figure
from dashboard.charts.pictures import picture_figure
from dashboard.charts.samples import forecast_figure, sequence_figure
from dashboard.charts.style import companion, faint
from dashboard.charts.time_gradients import (
    curve_at,
    heatmap,
    norm_symbol,
    quantity_order,
    quantity_title,
)
from dashboard.theme import RUN_COLORS
from trainer.schema import (
    Chance,
    Channel,
    ForecastSample,
    LengthVerdict,
    SequenceSample,
    Series,
    TrainingConfig,
    VectorSeries,
)

BLUE = "#0072b2"
CHANCE = Chance(loss=1 / 24, error=0.36)


def series(values: list[float | None], **flag: Any) -> Series:
    steps = [10 * (i + 1) for i in range(len(values))]
    return Series(
        step=steps, value=values, seconds=[s / 5 for s in steps], sequences=[32.0 * s for s in steps], **flag
    )


METRIC_POINTS = {
    "loss": series([0.2, 0.1, 0.05, 0.04]),
    "validation/loss": series([0.15, 0.05]),
    "validation/error": series([0.5, 0.25]),
    "gradient_norm/before_clip": series([5.0, 0.5, 2.0]),
    "gradient_norm/after_clip": series([1.0, 0.5, 1.0]),
}
VECTORS = VectorSeries(steps=[0, 50, 100], norms=[[1e-9, 1e-5, 0.1], [1e-6, 1e-3, 0.1], [0.0, None, 0.1]])
SAMPLE = SequenceSample(
    channels=[
        Channel(name="value", values=[0.1, 0.7, 0.3]),
        Channel(name="marker", values=[0.0, 1.0, 0.0]),
        Channel(name="symbol", values=["a", "X", "b"]),
    ],
    informative=[1],
    target="0.70",
    prediction="0.69",
    correct=True,
)
FORECAST = ForecastSample(
    name="height (m)",
    truth=[0.0, 1.0, 0.5, 1.0, 0.0],
    one_ahead=[None, 0.9, 0.6, 1.0, 0.1],
    alone=[None, None, 0.6, 40.0, None],
    given=2,
)

VERDICTS = [
    LengthVerdict(length=80, loss=1.2, error=0.5, wrong=500, total=1000),
    LengthVerdict(length=20, loss=0.1, error=0.0, wrong=0, total=1000),
    LengthVerdict(length=40, loss=0.6, error=0.125, wrong=125, total=1000),
]
LENGTHS = LengthCurve(name="a", color=BLUE, verdicts=VERDICTS, trained=(20, 20))
LOSSES = LengthCurve(
    name="b",
    color=BLUE,
    verdicts=[verdict.model_copy(update={"error": None}) for verdict in VERDICTS],
    trained=(20, 40),
)

FIGURES: dict[str, Callable[[], go.Figure]] = {
    "loss": lambda: loss_figure(METRIC_POINTS, color=BLUE, loss_unit="nats", chance=CHANCE, smooth=0.9),
    "loss, log": lambda: loss_figure(METRIC_POINTS, color=BLUE, loss_unit="nats", y_type="log"),
    "loss, nothing yet": lambda: loss_figure({}, color=BLUE),
    "error": lambda: error_figure(METRIC_POINTS, color=BLUE, error_unit="wrong sequences", chance=CHANCE),
    "error, nothing yet": lambda: error_figure({}, color=BLUE),
    "gradient norms": lambda: gradient_norm_figure(METRIC_POINTS, color=BLUE, training=TrainingConfig()),
    "gradient norms, nothing yet": lambda: gradient_norm_figure({}, color=BLUE, training=TrainingConfig()),
    "heatmap": lambda: heatmap(VECTORS, name="h/0"),
    "heatmap, nothing yet": lambda: heatmap(VectorSeries(steps=[], norms=[]), name="h/0"),
    "curve": lambda: curve_at(VECTORS, name="c/1", step=60, color=BLUE, informative=[1]),
    "curve, nothing yet": lambda: curve_at(VectorSeries(steps=[], norms=[]), name="h/0", step=0, color=BLUE),
    "sequence": lambda: sequence_figure(SAMPLE, color=BLUE),
    "forecast": lambda: forecast_figure(FORECAST, color=BLUE),
    "lengths": lambda: length_figure({"1": LENGTHS}, unit="wrong sequences", chance=0.75),
    "lengths, losses": lambda: length_figure({"1": LOSSES}, unit="nats", chance=1.386, y_type="log"),
    "lengths, nothing yet": lambda: length_figure(
        {"1": LengthCurve(name="a", color=BLUE, verdicts=[], trained=None)}, unit="wrong sequences"
    ),
    "compare gradients": lambda: time_gradient_figure(
        {"1": GradientCurve(name="a", color=BLUE, vectors=VECTORS)}, quantity="h/0"
    ),
    "compare gradients, nothing yet": lambda: time_gradient_figure({}, quantity="h/0"),
    **{
        f"compare {metric} by {x}": lambda metric=metric, x=x: metric_figure(
            {"1": Curve(name="a", color=BLUE, series=METRIC_POINTS["loss"])}, metric=metric, x=x
        )
        for metric in METRICS
        for x in X_TITLES
    },
}


def trace(figure: go.Figure, uid: str) -> Any:
    return next(t for t in figure.data if t.uid == uid)


@pytest.mark.parametrize("name", FIGURES)
def test_every_axis_has_a_title_and_every_quantity_a_unit(name: str) -> None:
    layout = FIGURES[name]().layout
    axes = [layout[key] for key in layout.to_plotly_json() if key.startswith(("xaxis", "yaxis"))]
    assert len(axes) >= 2
    for axis in axes:
        assert axis.title.text
    if not name.startswith("sequence"):  # its lanes carry their channel's name
        for axis in axes:
            words = axis.title.text
            assert "(" in words or "seen" in words, f"{words!r} names no unit"


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_keeps_its_height_and_the_readers_view(name: str) -> None:
    layout = FIGURES[name]().layout
    assert layout.height > 0
    assert layout.uirevision == "keep"
    assert layout.paper_bgcolor == "rgba(0,0,0,0)"


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_valid_json_for_a_browser(name: str) -> None:
    """JSON.parse refuses NaN and Infinity, which Python's decoder takes."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    json.loads(FIGURES[name]().to_json(), parse_constant=refuse)


@pytest.mark.parametrize("name", FIGURES)
def test_every_curve_has_an_identity_that_plotly_can_select(name: str) -> None:
    """Plotly looks a curve's elements up by a CSS class made of its uid."""
    uids = [t.uid for t in FIGURES[name]().data]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", uid) for uid in uids)


@pytest.mark.parametrize("y_type", ["linear", "log"])
def test_chance_is_a_level_line_at_the_tasks_own_value(y_type: Any) -> None:
    line = trace(loss_figure(METRIC_POINTS, color=BLUE, chance=CHANCE, y_type=y_type), "chance")
    assert list(line.y) == [1 / 24, 1 / 24]
    assert list(line.x) == [10, 40]
    assert line.name == "chance in validation 0.0417"


def test_chance_lines_say_of_which_data_they_are() -> None:
    reber = Chance(loss=0.56, error=0.5, training_loss=0.51, held_back="the 256 strings held back")
    figure = loss_figure(METRIC_POINTS, color=BLUE, chance=reber)
    assert [(t.uid, t.name) for t in figure.data if "chance" in t.uid] == [
        ("chance-training", "chance in training 0.51"),
        ("chance", "chance in validation 0.56"),
    ]
    assert trace(figure, "validation").name == "validation (the 256 strings held back)"
    errors = error_figure(METRIC_POINTS, color=BLUE, chance=reber)
    assert trace(errors, "chance").name == "chance in validation 50%"
    assert trace(errors, "error").name == "validation (the 256 strings held back)"

    alike = Chance(loss=1.386, error=0.996, training_loss=1.386, held_back="")
    figure = loss_figure(METRIC_POINTS, color=BLUE, chance=alike)
    assert trace(figure, "chance").name == "chance in training and validation 1.39"
    assert trace(figure, "validation").name == "validation (fresh sequences)"
    assert trace(error_figure(METRIC_POINTS, color=BLUE, chance=alike), "chance").name.endswith("99.6%")

    curves = {"1": Curve(name="a", color=BLUE, series=METRIC_POINTS["loss"])}
    for metric, level, name in (
        ("loss", 0.51, "chance in training 0.51"),
        ("validation/loss", 0.56, "chance in validation 0.56"),
        ("validation/error", 50, "chance in validation 50%"),
    ):
        line = trace(metric_figure(curves, metric=metric, chances=[reber, reber]), "chance")
        assert (line.y[0], line.name) == (level, name)


def test_a_test_at_each_length_stands_beside_the_chance_at_that_length() -> None:
    blind = {20: 0.5, 40: 0.75, 80: 0.9}
    verdicts = [
        verdict.model_copy(update={"chance": Chance(loss=1.0, error=blind[verdict.length])})
        for verdict in VERDICTS
    ]
    curve = LengthCurve(name="a", color=BLUE, verdicts=verdicts, trained=(20, 20))
    line = trace(length_figure({"1": curve}, unit="wrong sequences", chance=0.5), "chance")
    assert (list(line.x), list(line.y)) == ([20, 40, 80], [50, 75, 90])
    assert line.name == "chance at each length"
    other = LengthCurve(name="b", color=BLUE, verdicts=VERDICTS, trained=(20, 20))
    both = length_figure({"1": curve, "2": other}, unit="wrong sequences")
    assert "chance" not in [t.uid for t in both.data]  # not the same for both


def test_error_and_its_chance_are_drawn_in_percent() -> None:
    figure = error_figure(METRIC_POINTS, color=BLUE, error_unit="wrong sequences", chance=CHANCE)
    assert list(trace(figure, "error").y) == [50, 25]
    assert list(trace(figure, "chance").y) == [36, 36]
    assert figure.layout.yaxis.title.text == "wrong sequences (%)"


def test_compare_draws_chance_only_where_all_runs_share_it() -> None:
    curves = {"1": Curve(name="a", color=BLUE, series=METRIC_POINTS["loss"])}
    same = metric_figure(curves, metric="loss", chances=[CHANCE, CHANCE])
    assert list(trace(same, "chance").y) == [1 / 24, 1 / 24]
    other = metric_figure(curves, metric="loss", chances=[CHANCE, Chance(loss=math.log(4))])
    assert "chance" not in [t.uid for t in other.data]
    norms = metric_figure(curves, metric="gradient_norm/before_clip", chances=[CHANCE])
    assert "chance" not in [t.uid for t in norms.data]


def test_the_clips_threshold_is_drawn_for_norms_only() -> None:
    def drawn(training: TrainingConfig) -> go.Figure:
        return gradient_norm_figure(METRIC_POINTS, color=BLUE, training=training, clip_rate=0.34)

    by_norm = drawn(TrainingConfig(clip="norm", clip_at=2.5))
    assert list(trace(by_norm, "threshold").y) == [2.5, 2.5]
    assert "34%" in by_norm.layout.annotations[0].text
    by_value = drawn(TrainingConfig(clip="value", clip_at=0.1))
    assert "threshold" not in [t.uid for t in by_value.data]
    assert "±0.1" in by_value.layout.annotations[0].text
    off = drawn(TrainingConfig(clip=None))
    assert [t.uid for t in off.data] == ["before"]
    assert off.layout.annotations[0].text == "no clipping"


@pytest.mark.parametrize(("x", "expected"), [("step", 40), ("seconds", 8), ("sequences", 1280)])
def test_compare_lays_curves_along_the_chosen_axis(x: Any, expected: float) -> None:
    curves = {"1": Curve(name="a", color=BLUE, series=METRIC_POINTS["loss"])}
    figure = metric_figure(curves, metric="loss", x=x)
    assert figure.data[0].x[-1] == expected
    assert figure.layout.xaxis.title.text == X_TITLES[x]


def test_runs_keep_their_order_names_and_colours_and_raw_values_stay_behind_smoothed_ones() -> None:
    curves = {
        str(i): Curve(name=f"run {i}", color=color, series=METRIC_POINTS["loss"])
        for i, color in enumerate(RUN_COLORS)
    }
    figure = metric_figure(curves, metric="loss", smooth=0.5)
    shown = [t for t in figure.data if t.showlegend is not False]
    assert [t.name for t in shown] == [f"run {i}" for i in range(len(RUN_COLORS))]
    assert [t.line.color for t in shown] == list(RUN_COLORS)
    raw = trace(figure, "0-raw")
    assert list(raw.y) == METRIC_POINTS["loss"].value
    assert raw.line.color == faint(RUN_COLORS[0], 0.28)


def test_a_value_that_is_not_finite_is_a_gap_with_a_cross_and_words() -> None:
    points = series([0.2, 0.1, None], flag={30: "nan"})
    figure = loss_figure({"loss": points}, color=BLUE)
    assert list(trace(figure, "training").y) == [0.2, 0.1, None]
    cross = trace(figure, "training-flags")
    assert list(cross.x) == [30]
    assert list(cross.y) == [0.1]  # where the curve last was
    assert cross.marker.symbol == "x"
    assert cross.text[0] == "not a number (NaN) at step 30"


def test_the_heatmap_has_time_across_timesteps_up_and_powers_of_ten_as_colour() -> None:
    drawn = heatmap(VECTORS, name="h/0").data[0]
    assert list(drawn.x) == [0, 50, 100]
    assert list(drawn.y) == [1, 2, 3]
    assert list(drawn.z[0][:2]) == [-9, -6]  # timestep 1
    assert drawn.z[0][2] == drawn.zmin  # exactly zero: the last colour, and "0" under the pointer
    assert drawn.customdata[0][2] == "0"
    assert drawn.z[1][2] is None  # not finite: blank
    assert drawn.colorbar.title.text == "log₁₀ ‖∂loss/∂h‖"


def test_one_vanished_norm_does_not_flatten_the_heatmaps_colours() -> None:
    drawn = heatmap(VectorSeries(steps=[0], norms=[[1e-38, 1.0]]), name="h/0").data[0]
    assert (drawn.zmin, drawn.zmax) == (-12, 0)


@pytest.mark.parametrize(("step", "recorded"), [(0, 0), (49, 0), (50, 50), (99, 50), (10_000, 100)])
def test_the_curve_is_the_last_recording_up_to_the_chosen_step(step: int, recorded: int) -> None:
    figure = curve_at(VECTORS, name="h/0", step=step, color=BLUE, informative=[1])
    chosen = trace(figure, "chosen")
    assert chosen.name == f"step {recorded}"
    row = VECTORS.norms[VECTORS.steps.index(recorded)]
    assert list(chosen.y) == [v or None for v in row]
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.shapes[0].x0 == 2  # timestep of index 1, counted from 1


def test_what_a_log_axis_cannot_show_is_said_in_words() -> None:
    figure = curve_at(VECTORS, name="h/0", step=100, color=BLUE)
    assert "exactly 0 at 1 of 3 timesteps; not finite at 1 of 3" in figure.layout.annotations[0].text


def test_a_sequence_has_a_lane_for_each_channel_and_shades_what_decides() -> None:
    figure = sequence_figure(SAMPLE, color=BLUE)
    assert [t.yaxis for t in figure.data] == ["y", "y2", "y3"]
    assert list(figure.data[0].y) == [0.1, 0.7, 0.3]
    assert list(figure.data[2].y) == ["a", "X", "b"]
    shade = figure.layout.shapes[0]
    assert (shade.x0, shade.x1) == (1.5, 2.5)


def test_a_forecast_stands_over_the_true_value_and_a_runaway_one_leaves_the_axis_alone() -> None:
    figure = forecast_figure(FORECAST, color=BLUE)
    assert [t.uid for t in figure.data] == ["truth", "ahead", "alone"]
    assert all(list(t.x) == [1, 2, 3, 4, 5] for t in figure.data)
    assert list(trace(figure, "truth").y) == FORECAST.truth
    assert list(trace(figure, "ahead").y) == FORECAST.one_ahead
    assert list(trace(figure, "alone").y) == FORECAST.alone
    assert len({t.line.color for t in figure.data}) == 3
    low, high = figure.layout.yaxis.range
    assert (low, high) == (-0.5, 1.5)  # half the true values' range beyond them, whatever 40.0 says
    assert figure.layout.shapes[0].x0 == 2.5  # between the last value read and the first made alone


def test_a_picture_is_square_cells_with_its_first_row_on_top_and_no_axes() -> None:
    figure = picture_figure([[0.0, 1.0], [0.5, 0.25]], color=BLUE)
    [cells] = figure.data
    assert [list(row) for row in cells.z] == [[0.0, 1.0], [0.5, 0.25]]
    assert (cells.zmin, cells.zmax) == (0, 1), "a pale picture stays pale"
    assert cells.colorscale[1][1] == BLUE
    assert figure.layout.yaxis.autorange == "reversed"
    assert figure.layout.yaxis.scaleanchor == "x"
    assert not figure.layout.xaxis.visible
    assert not figure.layout.yaxis.visible


def test_error_against_length_has_a_log_axis_the_training_length_and_chance() -> None:
    figure = length_figure({"1": LENGTHS}, unit="wrong sequences", chance=0.75)
    curve = trace(figure, "1")
    assert (list(curve.x), list(curve.y)) == ([20, 40, 80], [0, 12.5, 50])
    assert curve.customdata[2] == "500 wrong of 1,000, loss 1.2"
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.yaxis.title.text == "wrong sequences (%)"
    assert figure.layout.shapes[0].x0 == 20
    assert trace(figure, "trained").name == "trained at 20"
    assert list(trace(figure, "chance").y) == [75, 75]


def test_without_right_and_wrong_the_loss_is_drawn_against_length() -> None:
    figure = length_figure({"1": LOSSES}, unit="nats")
    assert list(trace(figure, "1").y) == [0.1, 0.6, 1.2]
    assert figure.layout.yaxis.title.text == "test loss (nats)"
    assert trace(figure, "trained").name == "trained at 20 to 40"
    band = figure.layout.shapes[0]
    assert (band.x0, band.x1) == (20, 40)


def test_a_training_length_is_marked_only_where_all_runs_share_it() -> None:
    figure = length_figure({"1": LENGTHS, "2": LOSSES}, unit="nats")
    assert "trained" not in [t.uid for t in figure.data]
    assert not figure.layout.shapes


def test_states_of_any_name_and_many_layers_are_told_apart_and_in_order() -> None:
    names = ["zz/0", "c/1", "h/10", "h/2", "im/0", "re/0", "c/0"]
    ordered = ["h/2", "h/10", "c/0", "c/1", "re/0", "im/0", "zz/0"]
    assert sorted(names, key=quantity_order) == ordered
    assert len({quantity_title(name) for name in names}) == len(names)
    assert quantity_title("zz/0") == "state zz, layer 1"
    assert norm_symbol("re/0") == "‖∂loss/∂Re h‖"


def test_names_are_shown_letter_for_letter() -> None:
    """Plotly reads names as HTML: bold, links, line breaks."""
    nasty = '<b>x</b><a href="javascript:alert(1)">y</a>'
    curves = {"1": Curve(name=nasty, color=BLUE, series=METRIC_POINTS["loss"])}
    for shown in (
        metric_figure(curves, metric="loss").data[0].name,
        time_gradient_figure({"1": GradientCurve(name=nasty, color=BLUE, vectors=VECTORS)}, quantity="h/0")
        .data[0]
        .name,
    ):
        assert "<" not in shown
        assert "&lt;b&gt;x" in shown


@pytest.mark.parametrize("color", ["blue", "#12345", "#12345g", "rgb(1,2,3)"])
def test_a_colour_that_plotly_would_silently_replace_is_refused(color: str) -> None:
    with pytest.raises(ValueError, match="#rrggbb"):
        faint(color, 0.5)


@pytest.mark.parametrize("color", RUN_COLORS)
def test_a_runs_second_quantity_never_has_the_runs_own_colour(color: str) -> None:
    assert companion(color) != color
