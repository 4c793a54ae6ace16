"""Columns that only count: time axes and row numbers, straight lines that nobody uploads a table for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

EVEN = 0.5
"""A step is even that differs from the usual one by less than this share of it."""
MOSTLY = 0.9
"""Share of steps that must be even: some days may be left out."""
CYCLES = frozenset({6, 7, 11, 12, 23, 24, 28, 29, 30, 31, 51, 52, 53, 59, 60, 365, 366})
"""Highest numbers of weekdays, months, hours, days, weeks and minutes."""


def counts(values: Numbers) -> bool:
    """Whether a column only counts: row numbers, years (also one for many rows), seconds, Excel's days."""
    at = np.flatnonzero(~np.isnan(values))
    present = values[at]
    steps = np.diff(present)
    if not len(steps):
        return False
    whole = bool(np.all(present == np.floor(present)))
    if np.all(steps <= 0):  # the newest first
        present, steps = -present, -steps
    if np.all(steps > 0):
        return whole or _even(steps) or _even(steps / np.diff(at))
    if np.all(steps >= 0) and not whole and _is_rounded_line(at, present, steps):
        return True
    return whole and (_in_stairs(steps) or _in_cycles(present, steps))


def _even(steps: Numbers) -> bool:
    usual = float(np.median(steps))
    return float(np.mean(np.abs(steps - usual) <= EVEN * usual)) >= MOSTLY


def _is_rounded_line(at: npt.NDArray[np.int64], present: Numbers, steps: Numbers) -> bool:
    """A line whose steps are smaller than the last digit that is written: 0.0, 0.1, 0.1, 0.2."""
    if not np.any(steps > 0):
        return False
    unit = float(steps[steps > 0].min())
    slope = (present[-1] - present[0]) / (at[-1] - at[0])
    return float(np.abs(present - present[0] - slope * (at - at[0])).max()) <= 1.01 * unit


def _in_stairs(steps: Numbers) -> bool:
    """One number for many rows, then the next: the year of monthly numbers."""
    if np.any((steps != 0) & (steps != 1)):
        return False
    runs = np.diff(np.flatnonzero(steps))  # whole ones: the first and the last may be shorter
    return len(runs) > 1 and runs.min() > 1 and runs.max() <= 1.2 * runs.min()


def _in_cycles(present: Numbers, steps: Numbers) -> bool:
    """Up by one, and at the end of a month or a day back to the beginning."""
    lowest, highest = present.min(), present.max()
    falls = steps != 1
    return (
        lowest in (0, 1)
        and int(highest) in CYCLES
        and bool(np.all(present[1:][falls] == lowest))
        and bool(np.all(present[:-1][falls] >= 0.9 * highest))
    )
