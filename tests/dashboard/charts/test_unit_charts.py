"""The figures of single units, of text and of two futures, from small results made by hand."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from inside_results import FUTURE, JACOBIANS, REWIND

from dashboard.charts.coloured_text import coloured_text, largest_of, text_around
from dashboard.charts.eigenvalues import eigenvalue_words
from dashboard.charts.gates import Track, align, heatmaps, saturation_figure, track_figure, unit_title
from dashboard.charts.jacobians import step_figure
from dashboard.charts.recorded import recorded_figure
from dashboard.charts.rewind import loss_figure, parting_words
from dashboard.charts.samples import sequence_figure
from dashboard.charts.style import for_log_axis
from dashboard.charts.weights import role_colors, role_order, role_title
from trainer.schema import Channel, Letter, RewindView, SaturationShares, SequenceSample, Series, Spread

BLUE = "#0072b2"
GATED = {"f": Letter(name="forget gate f", does="keeps"), "z": Letter(name="candidate z")}


def test_a_letter_is_told_as_the_network_means_it_and_as_a_state_where_it_is_none_of_its_gates() -> None:
    assert unit_title("f/0", GATED) == "forget gate f (keeps), layer 1"
    assert unit_title("z/1", GATED) == "candidate z, layer 2"
    assert unit_title("n/0", GATED) == "normaliser n, layer 1"  # an sLSTM's state, and a gate of a GRU
    assert unit_title("h/0", {"h": Letter(name="hidden units h")}) == "hidden units h, layer 1"


def test_input_heatmaps_and_track_show_the_same_timesteps_between_the_same_margins() -> None:
    sample = SequenceSample(
        channels=[Channel(name="value", values=[0.1] * 12)],
        informative=[],
        target="1",
        prediction="1",
        correct=True,
    )
    rows = [[0.5]] * 8
    read = sequence_figure(sample, color=BLUE)
    align(read, 4, 8)
    lanes = heatmaps({"f/0": rows}, begin=4, titles={"f/0": "f"})
    track = track_figure([Track("f", BLUE, "dot", [0.5] * 8)], begin=4)
    for figure in (read, lanes, track):
        assert list(figure.layout.xaxis.range) == [4.5, 12.5]
        assert (figure.layout.margin.l, figure.layout.margin.r) == (76, 84)
    assert lanes.data[0].colorbar.x == 1  # and pixels from there


def test_a_memory_that_is_many_times_a_gate_has_an_axis_of_its_own() -> None:
    tracks = [
        Track("forget gate", BLUE, "dot", [0.1, 0.9], "gates"),
        Track("output gate", BLUE, "dot", [0.1, 0.9], "gates"),
        Track("c", BLUE, "solid", [20.0, 40.0], "cell state c"),
    ]
    figure = track_figure(tracks, begin=0, informative=[1])
    assert [drawn.yaxis for drawn in figure.data[:3]] == ["y", "y", "y2"]
    assert figure.layout.yaxis2.title.text == "cell state c"
    assert figure.layout.yaxis2.domain[1] < figure.layout.yaxis.domain[0]
    assert figure.layout.xaxis.anchor == "y2"
    assert "decides the target" in [drawn.name for drawn in figure.data]


def test_where_a_signed_value_is_zero_the_page_shows_through() -> None:
    drawn = heatmaps({"h/0": [[-1.0], [1.0]]}, begin=0, titles={"h/0": "h"}).data[0]
    middle = [color for place, color in drawn.colorscale if place == 0.5]
    assert len(middle) == 2
    assert all(color.endswith(", 0)") for color in middle)


def test_saturation_is_told_as_near_an_end_whatever_the_range() -> None:
    figure = saturation_figure({"z/0": SaturationShares(low=[0.5], high=[0.25])}, GATED)
    assert figure.data[0].name == "candidate z, layer 1"
    assert "0.1" not in figure.layout.yaxis.title.text + figure.layout.xaxis.title.text


def test_lines_of_places_are_coloured_on_one_scale_and_never_break() -> None:
    assert largest_of([0.004, -2.0, None]) == 2.0
    assert largest_of([]) == 1.0
    strong, weak = (text_around("<b", "x", "\n", v, largest=0.96) for v in (0.96, 0.004))
    assert "rgba(0, 114, 178, 0.75)" in strong
    assert "rgba(0, 114, 178, 0.0)" in weak
    assert "&lt;b" in weak
    assert "↵" in weak
    assert "white-space:pre;" in weak
    assert "break-spaces" not in weak


def test_what_was_given_looks_like_no_probability() -> None:
    html = coloured_text(["a", "b"], [None, 0.0], given=1)
    given, written = re.findall(r'style="(background[^"]*)"', html)
    assert "italic" in given
    assert "italic" not in written


def test_a_value_without_neighbours_gets_a_marker() -> None:
    assert for_log_axis([1.0, 0.0, -1.0, None]) == [1.0, None, None, None]
    one = Spread(largest=[1.0], median=[0.5], smallest=[None])
    assert step_figure(one, begin=0, color=BLUE).data[0].mode == "lines+markers"


@pytest.mark.parametrize(
    ("names", "letters", "said"),
    [
        (["Ws/0"], {}, "activation function"),
        (["Ws/0/f", "Ws/0/z"], GATED, "the gates to decide"),
        (["Ws/0"], {"Ws": Letter(name="diag(λ)")}, "diag(λ) is all that multiplies the state"),
    ],
)
def test_what_the_circle_says_depends_on_what_multiplies_the_state(names, letters, said) -> None:
    assert said in eigenvalue_words(names, letters)
    assert ("state fades by itself" in eigenvalue_words(names, letters)) is False


def futures(**changed) -> RewindView:
    other = FUTURE.model_copy(update=changed)
    return REWIND.model_copy(update={"untouched": FUTURE, "changed": other})


def test_where_two_futures_part_is_said_since_equal_curves_hide_each_other() -> None:
    never = FUTURE.model_copy(update={"clipped": [False, False]})
    same = REWIND.model_copy(update={"untouched": never, "changed": never})
    assert (
        parting_words(same)
        == "Both futures were the same over these 2 updates: no gradient was so long that it was clipped."
    )
    other = same.model_copy(update={"changes": {"k1": "full → 10"}})
    assert parting_words(other) == "Both futures were the same over these 2 updates."
    one = FUTURE.model_copy(update={"loss": [0.3], "norm_after": [1.0]})
    single = other.model_copy(update={"steps": [101], "untouched": one, "changed": one})
    assert parting_words(single) == "Both futures were the same over this one update."
    assert parting_words(futures(loss=[0.3, 0.9])) == "They are the same up to step 101 and part at step 102."
    assert parting_words(futures(norm_after=[5.0, 1.0])) == "They part at once, at step 101."
    assert (
        parting_words(futures(loss=[0.3], norm_after=[1.0]))
        == "Both futures were the same as far as both went."
    )


def test_losses_that_are_far_apart_share_a_log_axis() -> None:
    assert loss_figure(futures(loss=[0.3, 0.9]), unit="").layout.yaxis.type == "linear"
    assert loss_figure(futures(loss=[0.3, 90.0]), unit="").layout.yaxis.type == "log"
    assert loss_figure(futures(loss=[0.0, 90.0]), unit="").layout.yaxis.type == "linear"


def test_what_was_recorded_keeps_the_colours_that_the_page_gives_it() -> None:
    roles = ["Wy", "Ws/0", "We", "Wx/0", "all"]
    assert sorted(roles, key=role_order) == ["We", "Ws/0", "Wx/0", "Wy", "all"]
    assert role_title("We") == "We (input to embedding)"
    colors = role_colors(roles)
    series = Series(step=[0], seconds=[0.0], sequences=[0.0], value=[1.0])
    named = {role_title(role): colors[role] for role in ("Ws/0", "Wy")}
    figure = recorded_figure(
        dict.fromkeys(reversed(named), series), y_title="cosine", color=BLUE, colors=named
    )
    assert {drawn.name: drawn.line.color for drawn in figure.data} == named


def test_jacobians_compare_with_the_length_that_is_kept() -> None:
    figure = step_figure(JACOBIANS.step, begin=0, color=BLUE)
    level = next(drawn for drawn in figure.data if drawn.uid == "level")
    assert (list(level.x), list(level.y)) == ([1, 2], [1, 1])
