"""How the gradient travels back through time: ‖∂loss/∂state‖ at each timestep of a fixed probe batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.charts.lines import as_line
from dashboard.charts.logs import axis_range, log_heatmap
from dashboard.charts.relative import RELATIVE_UNIT, Shown, shown
from dashboard.charts.style import (
    GREY,
    STEP_TITLE,
    TIMESTEP_TITLE,
    base_figure,
    for_log_axis,
    mark_informative,
    note,
    nothing_yet,
    plain,
    short,
    with_layer,
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
    return with_layer(QUANTITY_WORDS.get(field, f"state {field}"), layer)


def quantity_order(name: str) -> tuple[int, str, int]:
    """Sorts hidden states before the others, then by layer."""
    field, _, layer = name.partition("/")
    place = list(QUANTITY_WORDS).index(field) if field in QUANTITY_WORDS else len(QUANTITY_WORDS)
    return place, field, int(layer) if layer.isdigit() else -1


def norm_symbol(name: str) -> str:
    """``h/0`` as an axis title: ``‖∂loss/∂h‖``."""
    field = name.partition("/")[0]
    return f"‖∂loss/∂{SYMBOLS.get(field, field)}‖"


def norm_title(name: str, *, is_relative: bool) -> str:
    """``h/0`` as an axis title with its unit."""
    return f"{norm_symbol(name)} ({RELATIVE_UNIT if is_relative else 'norm'})"


def heatmap(vectors: VectorSeries, *, name: str, is_relative: bool = False) -> go.Figure:
    """Across: training. Up: timesteps. Colour: log10 of the norm. Blank cells hold no finite number.

    ``is_relative`` divides each recording by its norm at the last timestep.
    """
    figure = base_figure(STEP_TITLE, TIMESTEP_TITLE, height=376)
    figure.update_layout(hovermode="closest", showlegend=False, margin={"r": 8})
    steps, norms = vectors.steps, vectors.norms
    length = max((len(row) for row in norms), default=0)
    if length == 0:
        nothing_yet(figure, "The first recording of the gradient through time appears here.")
        return figure
    recordings = [shown(row, is_relative=is_relative) for row in norms]
    told = [
        hover_words(row, at.values, is_relative=is_relative)
        for row, at in zip(norms, recordings, strict=True)
    ]
    figure.add_trace(
        log_heatmap(
            steps,
            list(range(1, length + 1)),
            [[at.values[t] if t < len(at.values) else None for at in recordings] for t in range(length)],
            quantity=f"({norm_symbol(name)} ÷ that at the last timestep)"
            if is_relative
            else norm_symbol(name),
            hovertemplate="step %{x}, timestep %{y}: %{customdata}",
            uid="heatmap",
            words=[[words[t] if t < len(words) else "" for words in told] for t in range(length)],
        )
    )
    return figure


def hover_words(
    norms: Sequence[float | None], values: Sequence[float | None], *, is_relative: bool
) -> list[str]:
    """What the pointer finds at each timestep: the size as drawn, and the norm itself."""
    words = ["not finite" if norm is None else short(norm) for norm in norms]
    if not is_relative:
        return words
    return [
        f"norm {word}" if value is None else f"{short(value)} {RELATIVE_UNIT} (norm {word})"
        for word, value in zip(words, values, strict=True)
    ]


def curve_at(
    vectors: VectorSeries,
    *,
    name: str,
    step: int,
    color: str,
    informative: Mapping[int, int] | Sequence[int] = (),
    is_relative: bool = False,
) -> go.Figure:
    """The norm at each timestep at the last recording up to ``step``, on a log axis; the first in grey.

    Args:
        vectors: what was recorded; norms by timestep.
        name: of the quantity, ``h/0``.
        step: of the recording.
        color: of its curve.
        informative: timesteps, from 0, whose inputs decide the target, as ``mark_informative`` takes them.
        is_relative: divides each recording by its norm at the last timestep.
    """
    title = norm_title(name, is_relative=is_relative)
    figure = base_figure(TIMESTEP_TITLE, title, height=376, y_type="log")
    figure.update_layout(hovermode="x", yaxis={"uirevision": title})
    figure.update_xaxes(rangemode="normal")
    if not vectors.steps:
        nothing_yet(figure, "The first recording of the gradient through time appears here.")
        return figure
    index = recording_at(vectors, step)
    if index != 0:
        name = f"step {vectors.steps[0]:,} (first)"
        figure.add_trace(
            vector_line(
                vectors.norms[0], name=name, color=GREY, uid="first", is_relative=is_relative, width=1.2
            )
        )
    name = f"step {vectors.steps[index]:,}"
    figure.add_trace(
        vector_line(
            vectors.norms[index], name=name, color=color, uid="chosen", is_relative=is_relative, width=2.2
        )
    )
    mark_informative(figure, informative)
    keep_even(figure)
    if words := shown(vectors.norms[index], is_relative=is_relative).words:
        note(figure, words, inside=True)
    return figure


def recording_at(vectors: VectorSeries, step: int) -> int:
    """Index of the last recording up to ``step``, or of the first if there is none so early."""
    return max((i for i, at in enumerate(vectors.steps) if at <= step), default=0)


def vector_line(
    norms: Sequence[float | None],
    *,
    name: str,
    color: str,
    uid: str,
    is_relative: bool = False,
    width: float = 2.0,
    dash: str = "solid",
    **axes: Any,
) -> go.Scatter:
    """One recording by timestep, from 1, for a log axis."""
    found: Shown = shown(norms, is_relative=is_relative)
    values = for_log_axis(found.values)
    return go.Scatter(
        x=list(range(1, len(values) + 1)),
        y=values,
        **as_line(values, color=color),
        name=plain(name),
        line={"color": color, "width": width, "dash": dash},
        customdata=hover_words(norms, found.values, is_relative=is_relative),
        hovertemplate="%{customdata}",
        uid=uid,
        **axes,
    )


def keep_even(figure: go.Figure) -> None:
    """Give the log axis a range of its own where the figure's lines are too even for Plotly to choose it."""
    ends = axis_range(v for line in figure.data for v in line.y or ())
    if ends is not None:
        figure.update_yaxes(range=ends)
