"""Gradient norms relative to the last timestep: how much of the gradient arrives, whatever its size.

A network at chance has large gradients and one that solved its task tiny ones, so that norms of two runs, or
of one run early and late, say little beside each other. The share that arrives can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from dashboard.charts.lines import gap_words

RELATIVE_UNIT = "times that at the last timestep"


class Shown(NamedTuple):
    """One recording as it is drawn."""

    values: list[float | None]
    """By timestep; None where there is no finite number."""
    words: str
    """What a reader must know of it: gaps, and what it is relative to where that is not the last timestep."""


def absolute(norms: Sequence[float | None]) -> Shown:
    """The norms as they are."""
    return Shown([v if v is not None and math.isfinite(v) else None for v in norms], gap_words(norms))


def relative(norms: Sequence[float | None]) -> Shown:
    """Each norm ÷ that at the last timestep which gets any gradient.

    Where that one is not finite there is nothing to be relative to: then nothing is drawn, and the words say
    so. Where all norms are 0 they stay 0.
    """
    last = max((t for t, norm in enumerate(norms) if norm != 0), default=None)
    if last is None:
        return absolute(norms)
    reference, gaps = norms[last], gap_words(norms)
    if reference is None or not math.isfinite(reference):
        return Shown([None] * len(norms), f"{gaps}, the last one among them: no relative size")
    values = [v / reference if v is not None and math.isfinite(v) else None for v in norms]
    if last < len(norms) - 1:
        gaps += f"; relative to timestep {last + 1:,}, the last that gets a gradient"
    return Shown(values, gaps)


def shown(norms: Sequence[float | None], *, is_relative: bool) -> Shown:
    return relative(norms) if is_relative else absolute(norms)
