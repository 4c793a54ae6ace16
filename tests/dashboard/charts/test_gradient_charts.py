"""What the charts of the page Inside that follow gradients say of a part, and of what cannot be drawn."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from inside_results import CREDIT, FITS, SHARE, TRUNCATION

from dashboard.charts.credit import missing_words, norms_figure, ratio_figure
from dashboard.charts.playback import playback_figure
from dashboard.charts.time_gradients import curve_at
from dashboard.charts.triangle import kept_curve
from dashboard.charts.truncation import match_figure, words
from trainer.schema import CreditShare, VectorSeries

BLUE = "#0072b2"
NONE = CreditShare(informative=0.0, distractors=0.0, ratio=None)
INFINITE = CreditShare(informative=0.3, distractors=0.0, ratio=None)
EXPLODED = CreditShare(informative=None, distractors=None, ratio=None)
ELSEWHERE = CreditShare(informative=0.0, distractors=0.3, ratio=0.0)


def test_lines_of_a_stretch_say_so_where_they_stand_beside_whole_sequences() -> None:
    parts = TRUNCATION.model_copy(update={"begin": 4, "length": 8, "k2": [2, 8]})
    named = {drawn.uid: drawn.name for drawn in match_figure(parts, "cosine").data}
    assert named["all"] == "all matrices together (last 4 timesteps alone)"
    assert "alone" not in named["all-sweep"] + named["own"] + named["one"]
    assert "alone" not in " ".join(drawn.name for drawn in match_figure(TRUNCATION, "cosine").data)
    assert "on 1 whole sequence of 4" in words(TRUNCATION.model_copy(update={"sequences": 1}))[1]


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (NONE, "No gradient arrives at any timestep."),
        (INFINITE, "Only the timesteps that decide the target get a gradient."),
        (EXPLODED, "The gradient is no finite number here: it has exploded."),
        (ELSEWHERE, "Only the timesteps that do not decide the target get a gradient."),
    ],
)
def test_a_ratio_that_cannot_be_drawn_says_which_one_and_why(share: CreditShare, told: str) -> None:
    alone = CREDIT.model_copy(update={"now": {"x": share}, "at_start": {"x": share}})
    assert ratio_figure(alone, color=BLUE, step=1).layout.annotations[0].text == told
    assert missing_words(alone) == []  # the figure says it
    beside = CREDIT.model_copy(update={"now": {"x": share, "h/0": SHARE}})
    assert not ratio_figure(beside, color=BLUE, step=1).layout.annotations
    assert missing_words(beside) == [f"inputs x: {told}"]
    assert missing_words(CREDIT) == []


def test_different_reasons_are_told_apart() -> None:
    view = CREDIT.model_copy(update={"now": {"x": EXPLODED}, "at_start": {"x": NONE}})
    assert ratio_figure(view, color=BLUE, step=1).layout.annotations[0].text == "There is no ratio to show."
    assert missing_words(view) == [
        "inputs x: The gradient is no finite number here: it has exploded.",
        "inputs x, before training: No gradient arrives at any timestep.",
    ]


def test_the_gates_share_is_that_of_each_loss_by_itself() -> None:
    """Two losses, one a hundred times the other: along a cell each fades by its own gates."""
    carried = [[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.05, 0.1, 1.0]]
    rows = [[0.0, 0.0, 0.0], [1.0, 2.0, 0.0], [10.0, 20.0, 200.0]]
    assert kept_curve(carried, rows).values == pytest.approx([101.0, (2 * 0.5 + 200 * 0.1) / 2, 200 * 0.05])
    unknown = [[0.0, 0.0, 0.0], [1.0, None, 0.0], [10.0, 20.0, 200.0]]
    assert kept_curve(carried, unknown).values == pytest.approx([200.0, 20.0, 10.0])


def test_what_decides_the_target_is_marked_alike_on_every_gradient_over_time() -> None:
    vectors = VectorSeries(steps=[0, 50], norms=[[0.1, 0.2], [0.3, 0.4]])
    figures = {
        "": norms_figure({"x": [0.1, 0.2]}, [1]),
        "curve": curve_at(vectors, name="h/0", step=50, color=BLUE, informative=[1]),
        "2": playback_figure(vectors, name="h/0", color=BLUE, fits=FITS, informative=[1]),
    }
    for name, figure in figures.items():
        (line,) = figure.layout.shapes
        plot = "2" if name == "2" else ""
        assert (line.x0, line.x1, line.xref, line.yref) == (2, 2, f"x{plot}", f"y{plot} domain")
        (entry,) = [drawn for drawn in figure.data if drawn.uid == "informative"]
        assert entry.name == "decides the target"
