"""What was decided of a table, and a column of it as a plot needs it."""

from __future__ import annotations

from typing import Literal

from trainer.schema.base import Wire

DecimalSign = Literal["point", "comma"]
Separator = Literal["comma", "semicolon", "tab", "bar"]
ThousandsSign = Literal["point", "comma", "space", "apostrophe", "none"]


class TableReading(Wire):
    """How a file was read: one decision for all of it."""

    rows: int
    encoding: str = "UTF-8"
    separator: str | None
    """``comma``, ``semicolon``, ``tab``, ``bar`` or the sign itself; None where a line is a cell."""
    decimal: str | None
    """``point`` or ``comma``; None where no number has one."""
    thousands: str | None
    """``comma``, ``point``, ``space`` or ``apostrophe``; None where no number has one."""
    header: bool
    """Whether names stand above the numbers."""
    units: dict[str, str] = {}
    """What stands under the names, by column."""
    titles: int = 0
    """Lines above the names that were passed over."""
    footers: int = 0
    """Lines under the numbers that were passed over, such as a sum."""
    comments: int = 0
    """Comment lines that were passed over."""
    missing: list[str] = []
    """Words that stand for a missing number, as they occur; the empty one is an empty cell."""
    columns: list[str]
    """Those of numbers, the likeliest to be wanted first."""
    left_out: dict[str, str] = {}
    """Each other column, and why."""


class ColumnPlot(Wire):
    """A column over its rows, thinned so that it still looks the same."""

    name: str
    rows: list[int]
    """Counted from 1."""
    values: list[float | None]
    """None where the number is missing."""
