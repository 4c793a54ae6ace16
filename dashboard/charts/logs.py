"""Numbers over many powers of ten as colours: their logarithms, and where the scale begins and ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import plotly.graph_objects as go

from dashboard.charts.style import plain, rounded, short

DECADES = 12
"""Powers of ten below the largest number that colours span; smaller ones share the last colour."""
FEWEST_DECADES = 4
"""That colours span at least: what is nearly even must look even."""
AXIS_DECADES = 2
"""The same of an axis."""


def log_range(values: Iterable[float | None]) -> tuple[float, float]:
    """Both ends of the colour scale, as powers of ten."""
    positive = [v for v in values if v is not None and math.isfinite(v) and v > 0]
    top = math.log10(max(positive)) if positive else 0.0
    bottom = max(math.log10(min(positive)), top - DECADES) if positive else -1.0
    return min(bottom, top - FEWEST_DECADES), top


def axis_range(values: Iterable[float | None]) -> tuple[float, float] | None:
    """Both ends of a log axis for values too even to choose it by: None where they span more.

    An axis that fitted such values closely would show a gradient that keeps its size as a steep fall.
    """
    positive = [math.log10(v) for v in values if v is not None and math.isfinite(v) and v > 0]
    if not positive or max(positive) - min(positive) >= AXIS_DECADES:
        return None
    room = (AXIS_DECADES - (max(positive) - min(positive))) / 2
    return min(positive) - room, max(positive) + room


def log_rows(rows: Sequence[Sequence[float | None]], bottom: float) -> list[list[float | None]]:
    """Their logarithms to base 10, none below ``bottom``; None where there is no finite number."""
    return [rounded([_log10(value, bottom) for value in row], 4) for row in rows]


def worded(rows: Sequence[Sequence[float | None]]) -> list[list[str]]:
    """Each number as a reader meets it under the pointer."""
    return [["not finite" if v is None or not math.isfinite(v) else short(v) for v in row] for row in rows]


def log_heatmap(
    x: Sequence[int],
    y: Sequence[int],
    rows: Sequence[Sequence[float | None]],
    *,
    quantity: str,
    hovertemplate: str,
    uid: str,
    hoverongaps: bool = True,
    words: Sequence[Sequence[str]] | None = None,
) -> go.Heatmap:
    """Norms as colours, log10; ``hovertemplate`` finds their words in ``%{customdata}``.

    Args:
        x: of the columns.
        y: of the rows.
        rows: the norms; None leaves its cell blank.
        quantity: what the norm is of, for the colour bar.
        hovertemplate: what is told under the pointer.
        uid: of the trace.
        hoverongaps: whether blank cells are told of, too.
        words: of each cell, where they are more than its number.
    """
    bottom, top = log_range(value for row in rows for value in row)
    return go.Heatmap(
        x=x,
        y=y,
        z=log_rows(rows, bottom),
        customdata=worded(rows) if words is None else words,
        hovertemplate=f"{hovertemplate}<extra></extra>",
        hoverongaps=hoverongaps,
        colorscale="Viridis",
        zmin=bottom,
        zmax=top,
        colorbar={
            "title": {"text": f"log₁₀ {plain(quantity)}", "side": "right", "font": {"size": 13}},
            "tickfont": {"size": 12},
            "thickness": 14,
            "outlinewidth": 0,
        },
        uid=uid,
    )


def _log10(value: float | None, bottom: float) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return max(math.log10(value), bottom) if value > 0 else bottom
