"""Where a loss or an error stands beside chance: what the best blind guess would have."""

from __future__ import annotations

import math
from typing import Literal

VALIDATION_SEQUENCES = 256
"""Judged at each validation, where the task is no stream."""
NEAR_CHANCE = 0.03
"""A loss within this share of chance is that of chance."""
SPREADS = 2.0
"""Standard errors within which a number is not told from chance."""

Standing = Literal["better", "at chance", "worse"]


def standing(value: float | None, chance: float | None, spread: float | None = None) -> Standing | None:
    """Of a loss, or of a share of wrong answers; None where there is nothing to compare.

    Args:
        value: what the network has.
        chance: what a blind guess has; of 0 nothing can be better.
        spread: the value's standard error, where it is known.
    """
    if value is None or chance is None or chance <= 0:
        return None
    if abs(value - chance) <= max(NEAR_CHANCE * chance, SPREADS * (spread or 0.0)):
        return "at chance"
    return "better" if value < chance else "worse"


def share_spread(share: float, total: int) -> float:
    """The standard error of a share of ``total`` units that were drawn one by one."""
    return math.sqrt(share * (1 - share) / total)


def error_standing(wrong: float | None, total: int | None, chance: float | None) -> Standing | None:
    """Of a share of wrong answers among so many, told from chance as well as so many allow."""
    if not total or chance is None:
        return None
    return standing(wrong, chance, share_spread(chance, total))
