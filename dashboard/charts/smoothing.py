"""Exponential moving average without the pull towards zero at its start (Kingma & Ba 2015, section 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence


def ema(values: Sequence[float | None], weight: float) -> list[float | None]:
    """Smoothed ``values``: the mean of all so far, each weighing ``weight`` times the one after it.

    ``weight`` 0 leaves the values as they are; 0.9 averages over about ten points. Gaps stay gaps.

    Raises ValueError unless 0 <= weight < 1.
    """
    if not 0 <= weight < 1:
        raise ValueError(f"weight: {weight} is outside [0, 1); 0 is no smoothing, 0.9 is strong")
    total = mass = 0.0
    smoothed: list[float | None] = []
    for value in values:
        if value is None or not math.isfinite(value):
            smoothed.append(None)
            continue
        total = weight * total + (1 - weight) * value
        mass = weight * mass + (1 - weight)
        smoothed.append(total / mass)
    return smoothed


def ema_of_logarithms(values: Sequence[float | None], weight: float) -> list[float | None]:
    """The same as a geometric mean, for a log axis; what has no place there (zero and below) is a gap."""
    logarithms = [math.log(v) if v is not None and v > 0 else None for v in values]
    return [None if v is None else math.exp(v) for v in ema(logarithms, weight)]
