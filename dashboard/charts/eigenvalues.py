"""Eigenvalues of the matrices that multiply the state, in the complex plane, at one step or played."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import plotly.graph_objects as go

from dashboard.charts.gates import NO_LETTERS, Letters
from dashboard.charts.playback import add_controls
from dashboard.charts.style import GREY, base_figure, nothing_yet, rounded
from dashboard.theme import RUN_COLORS
from trainer.schema import EigenvalueSeries, SpectrumView

CIRCLE = 120
"""Points that draw the unit circle."""
HEIGHT = 440
CONTROLS_HEIGHT = 90

Numbers = Sequence[float | None]


def matrix_title(name: str, letters: Letters = NO_LETTERS) -> str:
    """``Ws/0`` in words: ``layer 1``; of one gate's part of it, ``Ws/0/f``: ``layer 1, forget gate f``."""
    _, layer, *gates = name.split("/")
    words = [letters[gate].name if gate in letters else gate for gate in gates]
    return ", ".join([f"layer {int(layer) + 1}", *words])


def eigenvalue_words(names: Iterable[str], letters: Letters = NO_LETTERS) -> str:
    """What the unit circle says of these matrices: not every one of them is all that multiplies a state."""
    if any(name.count("/") > 1 for name in names):
        return (
            "Each gate reads the old state through a matrix of its own and squashes the result: the circle "
            "tells how large a matrix is, and not whether the state fades. That is for the gates to decide; "
            "the singular values below measure it."
        )
    if "Ws" in letters:
        return (
            f"{letters['Ws'].name} is all that multiplies the state: each part of it shrinks, at every "
            "timestep, to its eigenvalue's distance from the middle, and turns by its angle. Nearer to the "
            "circle it lasts longer."
        )
    return (
        "Inside the circle a small state fades, outside it grows, where the activation function has its "
        "steepest slope of 1 (tanh, ReLU, linear; a sigmoid has 1/4). Where it bends, less is left."
    )


def eigenvalue_figure(
    now: Mapping[str, SpectrumView],
    start: Mapping[str, SpectrumView],
    *,
    step: int | None,
    letters: Letters = NO_LETTERS,
) -> go.Figure:
    """Eigenvalues at one step, with the unit circle; hollow ones are those before training.

    Args:
        now: by matrix.
        start: the same, before training; may be empty.
        step: of the checkpoint.
        letters: what the network's letters stand for.
    """
    figure = _plane()
    _add_hollow(figure, {name: (found.real, found.imaginary) for name, found in start.items()})
    for place, (name, found) in enumerate(now.items()):
        figure.add_trace(_dots(name, found.real, found.imaginary, place, letters))
    if now and step is not None:
        figure.update_layout(legend_title={"text": f"step {step:,}", "font": {"size": 12}})
    return figure


def eigenvalue_playback_figure(
    recorded: Mapping[str, EigenvalueSeries], letters: Letters = NO_LETTERS
) -> go.Figure:
    """The same over training: one frame for each recording, so that the browser plays them by itself."""
    figure = _plane(below=CONTROLS_HEIGHT)
    # While a run trains, the newest step of one matrix may be there before that of another.
    steps = sorted(set.intersection(*(set(series.steps) for series in recorded.values())) if recorded else ())
    if not steps:
        nothing_yet(figure, "The first recording of the eigenvalues appears here.")
        return figure

    def at(step: int) -> dict[str, tuple[Numbers, Numbers]]:
        places = {name: series.steps.index(step) for name, series in recorded.items()}
        return {name: (recorded[name].real[i], recorded[name].imaginary[i]) for name, i in places.items()}

    def dots(step: int) -> list[go.Scatter]:
        return [
            _dots(name, *numbers, place, letters) for place, (name, numbers) in enumerate(at(step).items())
        ]

    _add_hollow(figure, at(steps[0]))
    first = len(figure.data)
    for trace in dots(steps[-1]):
        figure.add_trace(trace)
    moved = list(range(first, len(figure.data)))
    figure.frames = [go.Frame(name=str(step), traces=moved, data=dots(step)) for step in steps]
    seen = (row for series in recorded.values() for row in (*series.real, *series.imaginary))
    reach = max([1.0, *(abs(v) for row in seen for v in row if v)])
    # One range for all recordings, or the plane would seem to breathe.
    figure.update_xaxes(range=[-1.1 * reach, 1.1 * reach])
    figure.update_yaxes(range=[-1.1 * reach, 1.1 * reach])
    add_controls(figure, steps)
    return figure


def _plane(below: int = 0) -> go.Figure:
    """The empty complex plane, a square, with room below it."""
    figure = base_figure("real part", "imaginary part", height=HEIGHT + below)
    angles = [2 * math.pi * i / CIRCLE for i in range(CIRCLE + 1)]
    figure.add_scatter(
        x=[math.cos(angle) for angle in angles],
        y=[math.sin(angle) for angle in angles],
        mode="lines",
        name="unit circle",
        line={"color": GREY, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
        uid="circle",
    )
    legend = {"orientation": "v", "x": 1.0, "y": 1, "yanchor": "top"}  # beside a plot that is a square
    figure.update_layout(hovermode="closest", legend=legend)
    figure.update_xaxes(rangemode="normal", constrain="domain")
    figure.update_yaxes(rangemode="normal", scaleanchor="x", constrain="domain")
    return figure


def _add_hollow(figure: go.Figure, start: Mapping[str, tuple[Numbers, Numbers]]) -> None:
    """Before training, under what comes on top."""
    for place, (name, (real, imaginary)) in enumerate(start.items()):
        figure.add_scatter(
            x=rounded(real),
            y=rounded(imaginary),
            mode="markers",
            marker={"color": _color(place), "size": 7, "symbol": "circle-open"},
            opacity=0.8,  # less is lost on a dark page
            showlegend=False,
            hovertemplate="before training: %{x:.3f} %{y:+.3f} i<extra></extra>",
            uid=f"{_uid(name)}-start",
        )
    if start:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name="hollow: before training",
            marker={"color": GREY, "symbol": "circle-open", "size": 8},
            uid="hollow",
        )


def _dots(name: str, real: Numbers, imaginary: Numbers, place: int, letters: Letters) -> go.Scatter:
    return go.Scatter(
        x=rounded(real),
        y=rounded(imaginary),
        mode="markers",
        name=matrix_title(name, letters),
        marker={"color": _color(place), "size": 7, "symbol": "circle"},
        opacity=0.9,
        hovertemplate="%{x:.3f} %{y:+.3f} i<extra></extra>",
        uid=_uid(name),
    )


def _color(place: int) -> str:
    return RUN_COLORS[place % len(RUN_COLORS)]


def _uid(name: str) -> str:
    return name.replace("/", "-")
