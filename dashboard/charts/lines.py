"""Lines with gaps: a point without a neighbour gets a dot, and what a log axis cannot show gets words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Values = Sequence[float | None]
DOT = 7
"""Pixels across the dot of a point that no line reaches."""


def alone(values: Values) -> list[bool]:
    """For each value, whether it is drawn and neither the one before it nor the one after it is."""
    drawn = [value is not None and math.isfinite(value) for value in values]
    padded = [False, *drawn, False]
    return [
        here and not before and not after
        for before, here, after in zip(padded, padded[1:], padded[2:], strict=False)
    ]


def as_line(
    values: Values, *, dots: bool = False, size: int = DOT, color: str | None = None
) -> dict[str, Any]:
    """Plotly's ``mode`` and ``marker`` for a line through the values.

    Args:
        values: as they are drawn: None where there is nothing, or nothing that the axis can show.
        dots: one at every value, and not only where a value has no neighbour.
        size: of a dot, in pixels.
        color: of the dots; None leaves them the line's.
    """
    marker: dict[str, Any] = {} if color is None else {"color": color}
    if dots:
        return {"mode": "lines+markers", "marker": {**marker, "size": size}}
    lonely = alone(values)
    if not any(lonely):
        return {"mode": "lines"}
    # Sizes of their own make Plotly take the dots for bubbles, which it draws see-through and with a rim.
    sizes = {"size": [size if at else 0 for at in lonely], "opacity": 1, "line": {"width": 0}}
    return {"mode": "lines+markers", "marker": {**marker, **sizes}}


def gap_words(values: Values, what: str = "timesteps", *, missing: bool = True) -> str:
    """What a log axis cannot show: exact zeros and, where ``missing``, values that are not finite."""
    of = f"of {len(values):,} {what}"
    zeros = sum(v == 0 for v in values)
    bad = sum(v is None or not math.isfinite(v) for v in values) if missing else 0
    parts = [f"exactly 0 at {zeros:,} {of}"] if zeros else []
    parts += [f"not finite at {bad:,} {of}"] if bad else []
    return "; ".join(parts)


def said(name: str, words: str) -> str:
    """A curve's name in the legend, with what must be known of the curve."""
    return f"{name}: {words}" if words else name
