"""How the gradient travels back through time: ‖∂loss/∂state‖ at each timestep of a fixed probe batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.charts.logs import log_heatmap
from dashboard.charts.style import (
    GREY,
    STEP_TITLE,
    TIMESTEP_TITLE,
    base_figure,
    mark_informative,
    note,
    nothing_yet,
    rounded,
)
from trainer.schema import VectorSeries

QUANTITY_WORDS = {
    "h": "hidden state h",
    "c": "cell state c",
    "n": "normaliser n",
    "m": "stabiliser m",
    "re": "state, real part",
    "im": "state, imaginary part",
    "s": "state units s",
    "x": "past inputs x",
    "y": "past output y",
}
"""What the literature's letters stand for, in the order in which they are offered; others come after."""
SYMBOLS = {"re": "Re h", "im": "Im h"}


def quantity_title(name: str) -> str:
    """``h/0`` in words: ``hidden state h, layer 1``."""
    field, _, layer = name.partition("/")
    words = QUANTITY_WORDS.get(field, f"state {field}")
    return f"{words}, layer {int(layer) + 1}" if layer.isdigit() else words


def quantity_order(name: str) -> tuple[int, str, int]:
    """Sorts hidden states before the others, then by layer."""
    field, _, layer = name.partition("/")
    place = list(QUANTITY_WORDS).index(field) if field in QUANTITY_WORDS else len(QUANTITY_WORDS)
    return place, field, int(layer) if layer.isdigit() else -1


def norm_symbol(name: str) -> str:
    """``h/0`` as an axis title: ``‖∂loss/∂h‖``."""
    field = name.partition("/")[0]
    return f"‖∂loss/∂{SYMBOLS.get(field, field)}‖"


def heatmap(vectors: VectorSeries, *, name: str) -> go.Figure:
    """Across: training. Up: timesteps. Colour: log10 of the norm. Blank cells hold no finite number."""
    figure = base_figure(STEP_TITLE, TIMESTEP_TITLE, height=376)
    figure.update_layout(hovermode="closest", showlegend=False, margin={"r": 8})
    steps, norms = vectors.steps, vectors.norms
    length = max((len(row) for row in norms), default=0)
    if length == 0:
        nothing_yet(figure, "The first recording of the gradient through time appears here.")
        return figure
    columns = [[row[t] if t < len(row) else None for row in norms] for t in range(length)]
    figure.add_trace(
        log_heatmap(
            steps,
            list(range(1, length + 1)),
            columns,
            quantity=norm_symbol(name),
            hovertemplate="step %{x}, timestep %{y}: %{customdata}",
            uid="heatmap",
        )
    )
    return figure


def curve_at(
    vectors: VectorSeries, *, name: str, step: int, color: str, informative: Sequence[int] = ()
) -> go.Figure:
    """The norm at each timestep at the last recording up to ``step``, on a log axis; the first in grey.

    ``informative`` are timesteps, from 0, whose inputs decide the target.
    """
    figure = base_figure(TIMESTEP_TITLE, f"{norm_symbol(name)} (norm)", height=376, y_type="log")
    figure.update_layout(hovermode="x")
    figure.update_xaxes(rangemode="normal")
    if not vectors.steps:
        nothing_yet(figure, "The first recording of the gradient through time appears here.")
        return figure
    index = recording_at(vectors, step)
    if index != 0:
        first = f"step {vectors.steps[0]:,} (first)"
        _add_vector(figure, vectors.norms[0], name=first, color=GREY, width=1.2, uid="first")
    label = f"step {vectors.steps[index]:,}"
    _add_vector(figure, vectors.norms[index], name=label, color=color, width=2.2, uid="chosen")
    row = vectors.norms[index]
    mark_informative(figure, informative)
    if missing := gap_words(row):
        note(figure, missing, inside=True)
    return figure


def recording_at(vectors: VectorSeries, step: int) -> int:
    """Index of the last recording up to ``step``, or of the first if there is none so early."""
    return max((i for i, at in enumerate(vectors.steps) if at <= step), default=0)


def gap_words(row: Sequence[float | None]) -> str:
    """What a log axis cannot show of ``row``: exact zeros and values that are not finite."""
    zeros = sum(v == 0 for v in row)
    bad = sum(v is None or not math.isfinite(v) for v in row)
    parts = [f"exactly 0 at {zeros} of {len(row)} timesteps"] if zeros else []
    parts += [f"not finite at {bad} of {len(row)} timesteps"] if bad else []
    return "; ".join(parts)


def _add_vector(
    figure: go.Figure, row: Sequence[float | None], *, name: str, color: str, width: float, uid: str
) -> None:
    figure.add_scatter(
        x=list(range(1, len(row) + 1)),
        y=rounded([v if v is not None and v > 0 else None for v in row]),
        mode="lines",
        name=name,
        line={"color": color, "width": width},
        hovertemplate="%{y:.3g}",
        uid=uid,
    )
