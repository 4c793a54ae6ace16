"""Numbers over many powers of ten as colours: their logarithms, and where the scale begins and ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from dashboard.charts.style import rounded, short

DECADES = 12
"""Powers of ten below the largest number that colours span; smaller ones share the last colour."""


def log_range(values: Iterable[float | None]) -> tuple[float, float]:
    """Both ends of the colour scale, as powers of ten."""
    positive = [v for v in values if v is not None and math.isfinite(v) and v > 0]
    top = math.log10(max(positive)) if positive else 0.0
    bottom = max(math.log10(min(positive)), top - DECADES) if positive else -1.0
    return min(bottom, top - 0.5), top  # a flat picture still gets two ends to its scale


def log_rows(rows: Sequence[Sequence[float | None]], bottom: float) -> list[list[float | None]]:
    """Their logarithms to base 10, none below ``bottom``; None where there is no finite number."""
    return [rounded([_log10(value, bottom) for value in row], 4) for row in rows]


def worded(rows: Sequence[Sequence[float | None]]) -> list[list[str]]:
    """Each number as a reader meets it under the pointer."""
    return [["not finite" if v is None or not math.isfinite(v) else short(v) for v in row] for row in rows]


def _log10(value: float | None, bottom: float) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return max(math.log10(value), bottom) if value > 0 else bottom
