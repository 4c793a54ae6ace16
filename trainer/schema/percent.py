"""A share as a percentage, as pages, terminals and reports say it."""

from __future__ import annotations

import math

SMALLEST = 0.01
"""The percentage under which, or nearer to 100 than which, no digits are told."""


def percent(share: float | None, digits: int = 2) -> str:
    """``0.4%``, ``12%``, ``99.6%``; a dash for nothing.

    Never 0% of what is more than nothing, nor 100% of what is not all of it.

    Args:
        share: 0 to 1, or more.
        digits: significant digits, where fewer would not say 0% or 100%.
    """
    if share is None or math.isnan(share):
        return "–"
    value = 100 * share
    if 0 < value < SMALLEST:
        return f"under {SMALLEST:g}%"
    if 100 - SMALLEST < value < 100:
        return f"over {100 - SMALLEST:g}%"
    if value >= 100:
        return f"{value:.0f}%"
    told = f"{value:.{digits}g}"
    while float(told) == 100:
        digits += 1
        told = f"{value:.{digits}g}"
    return f"{float(told):g}%"


def as_percent(share: float | None) -> float | None:
    """A number to be shown in three digits, in a column that can be sorted: likewise never 100 of less."""
    if share is None:
        return None
    return min(100 * share, 99.9) if share < 1 else 100 * share
