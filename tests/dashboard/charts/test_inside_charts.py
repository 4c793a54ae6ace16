"""The figures of the page Inside, from small results made by hand."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from inside_results import (
    CARRIED,
    CLIFF,
    CREDIT,
    EXPONENTS,
    FITS,
    FUTURE,
    JACOBIANS,
    REWIND,
    ROWS,
    TRUNCATION,
)

from dashboard.charts.cliff import cliff_figure, out_of_sight
from dashboard.charts.coloured_text import coloured_text
from dashboard.charts.credit import ratio_figure
from dashboard.charts.eigenvalues import eigenvalue_figure, eigenvalue_playback_figure
from dashboard.charts.gates import heatmaps, tokens_of
from dashboard.charts.jacobians import exponent_figure, exponent_words, hidden_words, product_figure
from dashboard.charts.logs import DECADES, log_range, log_rows
from dashboard.charts.playback import decay_words, fit_line, playback_figure
from dashboard.charts.recorded import recorded_figure
from dashboard.charts.rewind import norm_figure
from dashboard.charts.triangle import by_lag, kept_curve, loss_rows, triangle_figure
from dashboard.charts.truncation import lag_words, match_figure, words
from trainer.schema import Channel, CliffPath, CreditShare, EigenvalueSeries, Letter, Series, VectorSeries

BLUE = "#0072b2"


def trace(figure, uid):
    return next(drawn for drawn in figure.data if drawn.uid == uid)


# --- Colours over powers of ten ----------------------------------------------------------------------


def test_the_colour_scale_spans_the_positive_numbers_and_four_to_twelve_decades() -> None:
    assert log_range([1.0, 1e-6, 0.0, None, math.inf]) == (-6.0, 0.0)
    assert log_range([1.0, 0.01, 0.0, None, math.inf]) == (-4.0, 0.0)
    assert log_range([1.0, 1e-30]) == (-float(DECADES), 0.0)
    low, high = log_range([5.0])
    assert low < high
    assert log_range([]) == (-4.0, 0.0)


def test_zeros_have_the_last_colour_and_what_is_not_finite_has_none() -> None:
    assert log_rows([[100.0, 0.0, None, math.nan, 1e-9]], -3.0) == [[2.0, -3.0, None, None, -3.0]]


# --- The gradient, played ----------------------------------------------------------------------------


def test_the_fitted_line_is_the_least_squares_line_of_the_logarithms() -> None:
    noise = random.Random(0)
    norms = [math.exp(0.3 * t + noise.gauss(0, 0.5)) for t in range(30)]
    slope, height = np.polyfit(range(30), np.log(norms), 1)
    line = fit_line(norms, math.exp(-slope))
    assert line == pytest.approx(list(np.exp(slope * np.arange(30) + height)))


def test_the_fitted_line_leaves_out_zeros_and_what_is_missing() -> None:
    line = fit_line([0.0, None, 0.25, 0.5, 1.0], 0.5)
    assert line == pytest.approx([0.0625, 0.125, 0.25, 0.5, 1.0])
    assert fit_line([0.0, 0.0, 1.0], 0.5) == []
    assert fit_line([1.0, 2.0], None) == []


def test_a_decay_is_told_in_the_services_words() -> None:
    assert decay_words(FITS, 50) == "halves every 3.1 timesteps back (R² 0.98)"
    assert decay_words(FITS, 51) == decay_words(None, 50) == ""


def test_the_line_ends_where_losses_begin_and_there_is_none_without_an_even_pace() -> None:
    vectors = VectorSeries(steps=[0, 50, 100], norms=[[0.25, 0.5, 7.0], [0.1, 0.2, 7.0], [0.3, 0.4, 7.0]])
    figure = playback_figure(vectors, name="h/0", color=BLUE, fits=FITS)
    lines = [frame.data[2] for frame in figure.frames]
    assert (tuple(lines[0].x), tuple(lines[0].y)) == ((1, 2), pytest.approx((0.25, 0.5)))
    assert (tuple(lines[2].y), lines[2].name) == ((None,), FITS.words[2])
    silent = FITS.model_copy(update={"steps": [0, 50], "words": [FITS.words[0], ""]})
    legends = [
        frame.data[2].name for frame in playback_figure(vectors, name="h/0", color=BLUE, fits=silent).frames
    ]
    assert legends[1:] == ["no fit: too few norms are finite and above 0", "no fit for this recording yet"]
    unfitted = playback_figure(vectors, name="h/0", color=BLUE)
    assert not trace(unfitted, "fit").showlegend


def test_every_recording_is_a_frame_with_its_own_curve_and_the_slider_has_a_place_for_each() -> None:
    vectors = VectorSeries(steps=[0, 50, 100], norms=[[0.1, 0.2], [0.0, None], [0.3, 0.4]])
    figure = playback_figure(vectors, name="h/0", color=BLUE, fits=FITS, informative=[0])
    assert [frame.name for frame in figure.frames] == ["0", "50", "100"]
    assert [tuple(frame.data[1].y) for frame in figure.frames] == [(0.1, 0.2), (None, None), (0.3, 0.4)]
    assert [step.args[0][0] for step in figure.layout.sliders[0].steps] == ["0", "50", "100"]
    assert figure.layout.sliders[0].active == 2
    # What stands still at first is the newest recording.
    assert tuple(trace(figure, "chosen").y) == (0.3, 0.4)
    assert "halves every timestep back" in figure.frames[0].data[2].name
    # A frame replaces the very traces that it is meant for.
    assert [figure.data[i].uid for i in figure.frames[0].traces] == ["now", "chosen", "fit"]


def test_without_a_recording_the_player_says_so() -> None:
    figure = playback_figure(VectorSeries(steps=[], norms=[]), name="h/0", color=BLUE)
    assert not figure.data
    assert "first recording" in figure.layout.annotations[0].text


# --- The triangle ------------------------------------------------------------------------------------


def test_the_mean_by_lag_takes_each_diagonal_of_the_rows_that_have_a_loss() -> None:
    assert loss_rows(ROWS) == [0, 1, 3]
    assert by_lag(ROWS) == pytest.approx([(1 + 1 + 2) / 3, (0.5 + 0.5) / 2, 0.25, 0.125])
    assert by_lag([[0.0]]) == [None]


def test_the_triangle_is_blank_above_the_diagonal_and_leaves_out_timesteps_without_loss() -> None:
    drawn = trace(triangle_figure(ROWS, begin=10, quantity="q"), "triangle")
    assert list(drawn.y) == [11, 12, 14]
    assert list(drawn.x) == [11, 12, 13, 14]
    assert [[v is None for v in row] for row in drawn.z] == [
        [False, True, True, True],
        [False, False, True, True],
        [False, False, False, False],
    ]
    assert drawn.z[1][0] == pytest.approx(math.log10(0.5), abs=1e-4)


def test_what_gates_keep_is_drawn_from_where_the_measured_curve_begins() -> None:
    rows = [[3.0 if k <= t else 0.0 for k in range(4)] for t in range(4)]
    assert kept_curve(CARRIED, rows).values == pytest.approx([3.0 * 0.9**lag for lag in range(4)])


def test_what_gates_keep_is_that_of_the_timesteps_with_a_loss() -> None:
    """One unit, one sequence, a loss at the end: along the cell the gradient is the product of its gates."""
    gates, end = [0.9, 0.2, 0.7, 0.5], 3
    products = [[math.prod(gates[k + 1 : t + 1]) if k <= t else 0.0 for k in range(4)] for t in range(4)]
    through_c = [[0.25 * v for v in products[t]] if t == end else [0.0] * 4 for t in range(4)]
    assert kept_curve(products, through_c).values == pytest.approx(by_lag(through_c))


def test_a_window_that_reaches_back_to_the_start_is_not_told_as_one_of_k1() -> None:
    view = TRUNCATION.model_copy(update={"own_k2": None})
    own = trace(match_figure(view, "cosine"), "own")
    assert list(own.x) == [4]
    assert "back to the first timestep" in own.name
    assert "back to the first timestep" in words(view)[0]


def test_words_on_truncation_say_on_what_it_was_measured() -> None:
    assert "4 whole sequences of 4 timesteps, with the weights" in words(TRUNCATION)[1]
    assert "losses from timestep 3 on" in words(TRUNCATION.model_copy(update={"losses_from": 2}))[1]
    assert lag_words(TRUNCATION) == ""
    assert "the last 4 timesteps, from 61 on" in lag_words(TRUNCATION.model_copy(update={"begin": 60}))
    assert words(TRUNCATION.model_copy(update={"own": {}})) == []


@pytest.mark.parametrize(
    ("informative", "distractors", "told"),
    [(0.0, 0.0, "No gradient"), (0.2, 0.0, "Only the timesteps"), (None, 0.1, "no finite number")],
)
def test_a_ratio_that_cannot_be_made_says_why(
    informative: float | None, distractors: float, told: str
) -> None:
    none = CreditShare(informative=informative, distractors=distractors, ratio=None)
    view = CREDIT.model_copy(update={"now": {"x": none}, "at_start": {"x": none}})
    figure = ratio_figure(view, color=BLUE, step=10)
    assert told in figure.layout.annotations[0].text


# --- Truncation, credit, Jacobians -------------------------------------------------------------------


def test_the_runs_own_truncation_is_marked_at_its_k2() -> None:
    own = trace(match_figure(TRUNCATION, "cosine"), "own")
    assert (list(own.x), list(own.y)) == ([2], [0.61])
    each = trace(match_figure(TRUNCATION, "norm_ratio"), "Ws-0")
    assert list(each.x) == [1, 2, 3, 4]
    assert list(each.y) == [0.1, 0.5, 0.8, 1.0]


def test_ratios_of_credit_are_drawn_now_and_before_training_inputs_on_top() -> None:
    figure = ratio_figure(CREDIT, color=BLUE, step=100)
    assert trace(figure, "now").name == "step 100"
    assert list(trace(figure, "now").y)[-1] == "inputs x"  # a category axis counts from the bottom
    assert figure.layout.xaxis.type == "log"


def test_products_of_jacobians_are_shown_as_powers_of_ten() -> None:
    drawn = trace(product_figure(JACOBIANS.product, color=BLUE), "largest")
    assert list(drawn.y) == pytest.approx([math.log10(math.exp(v)) for v in (1.1, 1.2)], rel=1e-4)
    assert list(drawn.x) == [1, 2]


def test_eigenvalues_stand_beside_the_unit_circle_at_one_scale() -> None:
    figure = eigenvalue_figure(JACOBIANS.spectra, JACOBIANS.spectra_at_start, step=100)
    circle = trace(figure, "circle")
    assert all(math.isclose(math.hypot(x, y), 1) for x, y in zip(circle.x, circle.y, strict=True))
    assert figure.layout.yaxis.scaleanchor == "x"
    assert list(trace(figure, "Ws-0").x) == [0.5, -0.5]


def test_each_frame_of_the_played_eigenvalues_is_one_recording() -> None:
    series = {
        f"Ws/0/{gate}": EigenvalueSeries(steps=[0, 50], real=[[0.1], [shift]], imaginary=[[0.0], [-1.5]])
        for gate, shift in (("f", 0.2), ("o", 0.3))
    }
    figure = eigenvalue_playback_figure(series, {"f": Letter(name="forget gate f", does="keeps")})
    assert trace(figure, "Ws-0-f").name == "layer 1, forget gate f"
    assert [frame.name for frame in figure.frames] == ["0", "50"]
    assert [[list(dots.x) for dots in frame.data] for frame in figure.frames] == [[[0.1]] * 2, [[0.2], [0.3]]]
    for frame in figure.frames:  # each moves the traces of its own matrices
        assert [figure.data[place].uid for place in frame.traces] == ["Ws-0-f", "Ws-0-o"]
    assert list(trace(figure, "Ws-0-f").x) == [0.2]
    assert list(trace(figure, "Ws-0-f-start").x) == [0.1]
    assert figure.layout.yaxis.range[0] < -1.5  # no recording leaves the picture
    assert [step.label for step in figure.layout.sliders[0].steps] == ["0", "50"]
    assert not eigenvalue_playback_figure({}).frames


def test_a_recording_that_only_some_matrices_have_yet_is_not_played() -> None:
    series = {
        "Ws/0/f": EigenvalueSeries(steps=[0, 50], real=[[0.1], [0.2]], imaginary=[[0.0], [0.0]]),
        "Ws/0/o": EigenvalueSeries(steps=[0], real=[[None]], imaginary=[[None]]),
    }
    assert [frame.name for frame in eigenvalue_playback_figure(series).frames] == ["0"]
    late = {"Ws/0": EigenvalueSeries(steps=[], real=[], imaginary=[])}
    assert not eigenvalue_playback_figure(late).frames


# --- Clipping, rewind --------------------------------------------------------------------------------


def test_a_descent_that_is_thrown_away_is_found_and_the_axes_keep_to_the_surface() -> None:
    assert out_of_sight(CLIFF, CLIFF.free) == 1
    assert out_of_sight(CLIFF, CLIFF.clipped) is None
    assert out_of_sight(CLIFF, CliffPath(w=[5.0, None], b=[-2.5, None], loss=[], norm=[])) == 1
    figure = cliff_figure(CLIFF, ["clipped"])
    assert list(figure.layout.xaxis.range) == [4.0, 6.0]
    assert [drawn.uid for drawn in figure.data] == ["surface", "clipped", "clipped-end", "start"]
    assert (list(trace(figure, "start").x), list(trace(figure, "clipped-end").x)) == ([5.0], [5.1])
    both = cliff_figure(CLIFF, ["free", "clipped"])
    assert "free-end" not in [drawn.uid for drawn in both.data]  # which is out of sight


def test_the_norm_before_the_clip_is_drawn_only_where_a_clip_acted() -> None:
    view = REWIND.model_copy(update={"changed": FUTURE.model_copy(update={"clipped": [False, False]})})
    assert [drawn.uid for drawn in norm_figure(view).data] == ["untouched-before", "untouched", "changed"]


# --- Gates and text ----------------------------------------------------------------------------------


def test_heatmaps_have_units_down_and_timesteps_across_on_one_axis() -> None:
    lanes = {"f/0": [[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]], "h/0": [[-2.0, 0.5], [0.1, 0.2], [0.0, 1.0]]}
    titles = {"f/0": "forget", "h/0": "state"}
    figure = heatmaps(lanes, begin=5, titles=titles, tokens=list("abcdefg h"), unit=1)
    gate, state = figure.data
    assert [list(row) for row in gate.z] == [[0.1, 0.2, 0.3], [0.9, 0.8, 0.7]]
    assert list(gate.x) == [6, 7, 8]
    assert (gate.zmin, gate.zmax) == (0, 1.0)
    assert (state.zmin, state.zmax) == (-2.0, 2.0)  # white is 0
    assert list(figure.layout.xaxis.ticktext) == ["f", "g", "␣"]
    assert gate.text[1][2] == "␣"


def test_tokens_are_the_first_channel_of_symbols() -> None:
    numbers, symbols = Channel(name="n", values=[1.0]), Channel(name="s", values=["a"])
    assert tokens_of([numbers, symbols]) == ["a"]
    assert tokens_of([numbers]) is None


def test_coloured_text_is_shown_letter_for_letter_and_coloured_by_its_share_of_the_largest() -> None:
    html = coloured_text(["<", "b", "\n"], [2.0, -1.0, None], ['"', "<i>", "given"])
    assert "&lt;" in html
    assert "<i>" not in html
    assert 'title="&quot;"' in html
    assert "rgba(0, 114, 178, 0.75)" in html
    assert "rgba(213, 94, 0, 0.38)" in html
    assert "↵\n" in html


def test_what_was_recorded_is_drawn_by_name_with_the_value_to_compare_with() -> None:
    """One line for each part, in the order given; the reference spans the steps that were recorded."""
    points = {"step": [0, 50, 100], "seconds": [0.0, 1.0, 2.0], "sequences": [0.0, 1600.0, 3200.0]}
    curves = {
        "inputs x": Series(**points, value=[1.0, 2.0, 4.0]),
        "h, layer 1": Series(**points, value=[0.5, None, 0.25], flag={50: "inf"}),
    }
    figure = recorded_figure(
        curves, y_title="ratio", color="#0072b2", y_type="log", line=(1.0, "heard alike")
    )
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name["inputs x"].y) == [1.0, 2.0, 4.0]
    assert list(by_name["h, layer 1"].y)[0::2] == [0.5, 0.25]
    assert by_name["inputs x"].line.color == "#0072b2" != by_name["h, layer 1"].line.color
    assert any(list(trace.x or []) == [0, 100] and set(trace.y) == {1.0} for trace in figure.data)
    assert figure.layout.yaxis.type == "log"
    assert not [t for t in recorded_figure({}, y_title="ratio", color="#0072b2").data if t.x]


def test_exponents_stand_with_what_they_differ_by_between_starts() -> None:
    figure = exponent_figure(EXPONENTS, color=BLUE)
    dots = trace(figure, "exponents")
    assert (list(dots.x), list(dots.y)) == ([1, 2], [-0.1, -0.2])
    assert list(dots.error_y.array) == pytest.approx([0.02, 0.01])
    assert list(dots.error_y.arrayminus) == pytest.approx([0.02, 0.01])
    assert [(label.x, label.text) for label in figure.layout.annotations] == [(3, "−∞")]


def test_exponents_are_told_with_their_window_and_never_as_chaos() -> None:
    told = exponent_words(EXPONENTS)
    for said in (
        "window of 1,000 timesteps",
        "250 that do not count",
        "4 starts",
        "have settled",
        "never reset",
    ):
        assert said in told
    assert "-0.1 ± 0.02" in told
    assert "1 of these 3 are −∞" in told
    grows = EXPONENTS.model_copy(
        update={"mean": [0.1], "lowest": [0.02], "highest": [0.2], "has_settled": False}
    )
    told = exponent_words(grows)
    assert "not settled" in told
    assert "±0.09" in told
    assert (
        "all are −∞"
        in exponent_words(
            EXPONENTS.model_copy(update={name: [None] * 3 for name in ("mean", "lowest", "highest")})
        ).lower()
    )
    assert "beyond all numbers" in exponent_words(None)
    assert not any("chao" in exponent_words(each).lower() for each in (EXPONENTS, grows, None))


def test_a_direction_wiped_out_in_some_starts_only_is_drawn_nowhere_but_counted() -> None:
    some = EXPONENTS.model_copy(
        update={"mean": [-0.1, None, None], "lowest": [-0.1, None, None], "wiped_out": [0, 2, 4]}
    )
    assert list(trace(exponent_figure(some, color=BLUE), "exponents").x) == [1]
    assert "2 of these 3 are −∞" in exponent_words(some)


def test_singular_values_that_no_log_axis_shows_are_named() -> None:
    assert hidden_words(JACOBIANS.step) == ""
    gone = JACOBIANS.step.model_copy(update={"smallest": [None, None]})
    assert "the smallest" in hidden_words(gone)
