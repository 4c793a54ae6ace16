"""Exponential moving average without the pull towards zero at its start (Kingma & Ba 2015, section 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

USUAL = 0.6
"""The weight that pages begin with."""


def ema(
    values: Sequence[float | None], weight: float, steps: Sequence[float] | None = None
) -> list[float | None]:
    """Smoothed ``values``: the mean of all so far, each weighing ``weight`` times as much per update of age.

    ``weight`` 0 leaves the values as they are; 0.9 averages over about ten updates. Gaps stay gaps.

    Args:
        values: None, or what is not finite, is a gap.
        weight: for one update.
        steps: the update of each value, ascending: a curve that was thinned out is smoothed by as many
            updates as a whole one. None: each value is that of the update after the one before.

    Raises ValueError unless 0 <= weight < 1.
    """
    if not 0 <= weight < 1:
        raise ValueError(f"weight: {weight} is outside [0, 1); 0 is no smoothing, 0.9 is strong")
    total = mass = 0.0
    before: float | None = None
    smoothed: list[float | None] = []
    for place, value in enumerate(values):
        if value is None or not math.isfinite(value):
            smoothed.append(None)
            continue
        age = 1.0 if steps is None or before is None else steps[place] - before
        before = None if steps is None else steps[place]
        fades = weight**age
        total, mass = fades * total + value, fades * mass + 1
        smoothed.append(total / mass)
    return smoothed


def ema_of_logarithms(
    values: Sequence[float | None], weight: float, steps: Sequence[float] | None = None
) -> list[float | None]:
    """The same as a geometric mean, for a log axis; what has no place there (zero and below) is a gap."""
    logarithms = [math.log(v) if v is not None and v > 0 else None for v in values]
    return [None if v is None else math.exp(v) for v in ema(logarithms, weight, steps)]


def smoothing_words(weight: float) -> str:
    """``smoothed over 10 updates``; empty where nothing is smoothed."""
    updates = round(1 / (1 - weight), 1) if weight else 1.0
    return f"smoothed over {updates:.3g} updates" if updates > 1 else ""
