"""Reads the columns of numbers out of a table, with one decision for the whole file."""

from __future__ import annotations

import dataclasses
import threading
from array import array
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise

import numpy as np

from trainer.schema import TableReading
from trainer.tables.arrow import pa, pc
from trainer.tables.columns import Cells, Flags, judged, numbers
from trainer.tables.convention import Choice, Convention, Undecided, decide, undecided
from trainer.tables.errors import TableError, shown
from trainer.tables.layout import ONE_COLUMN, SEPARATORS, Layout, layout_of, looks_like_table
from trainer.tables.numerals import APOSTROPHE, COMMA, POINT, SPACE, is_numeric, meanings, shape
from trainer.tables.order import counts
from trainer.tables.rows import Body

MIN_NUMBERS = 30
"""In a column, so that the part kept for validation holds a few windows."""
MAX_NAME = 100
"""Characters of a column's name."""

UNDECLARED = Choice()
_NAMES = {POINT: "point", COMMA: "comma", SPACE: "space", APOSTROPHE: "apostrophe"}
_ONE_AT_A_TIME = threading.Lock()
"""The cells of a file take several times its size."""


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """The columns of a table, by name. Treat it as read-only."""

    numbers: Mapping[str, array[float]]
    """One entry for each row, NaN where it is missing. Columns that only count, such as years, come last."""
    others: Mapping[str, str]
    """Each column that cannot be forecast, and why."""
    reading: TableReading
    """What was decided of the file."""


def read_table(
    text: str, choice: Choice = UNDECLARED, separator: str | None = None, *, encoding: str = "UTF-8"
) -> Table:
    """The columns of a table, with at least one of numbers.

    One decision is made for the whole file: its separator, decimal sign and thousands sign, which lines are
    comments, names and units, and which words stand for a missing number. What fits two decisions is refused.

    Args:
        text: of the file.
        choice: signs that the user declared.
        separator: that the user declared.
        encoding: that the file had, to be told.

    Raises:
        TableError: there is no column of at least 30 numbers, rows do not fit each other, or numbers can be
            read in two ways.
    """
    with _ONE_AT_A_TIME:
        text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        layout = layout_of(text, separator, choice.in_numbers)
        body = Body(layout)
        names = _names(layout)
        columns = [judged(column) for column in body.columns]
        if separator is None:
            _refuse_split_thousands(columns, names, body)
        convention = _convention(columns, names, body, choice)
        table = _table(columns, names, body, convention)
    return dataclasses.replace(table, reading=table.reading.model_copy(update={"encoding": encoding}))


def guessed(text: str) -> Table | None:
    """The table that a text is, where it looks like one and can be read; nobody has declared it."""
    if not looks_like_table(text):
        return None
    try:
        return read_table(text)
    except TableError:
        return None


def column_names(text: str) -> list[str]:
    """The columns of numbers in a text, the likeliest first; none where it is not a table."""
    table = guessed(text)
    return [] if table is None else list(table.numbers)


def _names(layout: Layout) -> list[str]:
    """The columns' names: unique, short and never empty."""
    given = [*(layout.names or []), *[""] * layout.width]
    names: list[str] = []
    for place, name in enumerate(given[: layout.width], start=1):
        plain = " ".join(name.split())[: MAX_NAME - 6] or f"column {place}"
        same = (plain, *(f"{plain} ({again})" for again in range(2, layout.width + 2)))
        names.append(next(candidate for candidate in same if candidate not in names))
    return names


def _convention(columns: Sequence[Cells], names: Sequence[str], body: Body, choice: Choice) -> Convention:
    separator = body.layout.separator
    try:
        found = decide(columns, separator, choice)
    except Undecided as error:
        lines = body.lines([place.row for place in error.places])
        told = [(names[p.column], lines[p.row], columns[p.column].text[p.row].as_py()) for p in error.places]
        raise undecided(told) from None
    if separator == ONE_COLUMN and found.thousands == SPACE and choice.thousands is None:
        _refuse_columns_between_spaces(columns[0], body)
    return found


def _refuse_columns_between_spaces(cells: Cells, body: Body) -> None:
    """12 345 on every line may be two columns; some number below 1000 shows that it is one."""
    whole = sum(int(n) for form, n in zip(cells.shapes, cells.counts, strict=True) if " " not in form)
    if whole < 2 and any(" " in form for form in cells.shapes):
        row = next(code for code, form in enumerate(cells.shapes) if " " in form)
        first = cells.first(row)
        raise TableError(
            f"line {body.lines([first])[first]} has {shown(cells.text[first].as_py())}, "
            "which may be one number or two columns",
            "separate columns by commas, semicolons or tabs, or declare the thousands sign space",
        )


def _refuse_split_thousands(columns: Sequence[Cells], names: Sequence[str], body: Body) -> None:
    """998 and an empty cell on one line, 1 and 002 on another: commas set thousands apart within a number."""
    if body.layout.separator != COMMA:
        return
    for left, right in pairwise(range(len(columns))):
        numbers_of, groups = columns[left], columns[right].text
        filled = groups.to_numpy(zero_copy_only=False) != ""
        if not filled.any() or filled.all() or not numbers_of.is_numeric:
            continue
        where = pa.array(filled)
        pairs = ((groups, "^[0-9]{3}([.][0-9]*)?$"), (numbers_of.text, "^[+-]?[1-9][0-9]{0,2}$"))
        if all(pc.all(pc.match_substring_regex(text.filter(where), form)).as_py() for text, form in pairs):
            row = int(np.argmax(filled))
            line = body.lines([row])[row]
            whole = f"{numbers_of.text[row].as_py()},{groups[row].as_py()}"
            raise TableError(
                f"line {line} has {shown(whole)}, which may be one number or two cells: "
                f"{shown(names[right])} is empty on other lines and has three digits on each such line",
                "put quotation marks around numbers that hold a comma, or declare the separator "
                "(separator=comma) where they hold none",
            )


def _table(columns: Sequence[Cells], names: Sequence[str], body: Body, convention: Convention) -> Table:
    found = [_Column(name, cells, convention) for name, cells in zip(names, columns, strict=True)]
    found = [column for column in found if not column.is_padding(body.layout)]
    end = max((column.end for column in found), default=0)
    lines = body.lines([column.odd for column in found if column.odd is not None])
    others = {column.name: why for column in found if (why := column.trouble(lines, end)) is not None}
    usable = [column for column in found if column.name not in others]
    if not usable:
        raise _no_numbers(found, others, lines)
    usable.sort(key=lambda column: counts(column.values))
    kept = {column.name: array("d", column.values[:end].tobytes()) for column in usable}
    return Table(kept, others, _told(body.layout, convention, usable, others, names, end, body.ends))


class _Column:
    """A column, with its numbers."""

    def __init__(self, name: str, cells: Cells, convention: Convention) -> None:
        self.name, self.cells, self.convention = name, cells, convention
        usable: Flags = cells.where(convention.allows)
        if convention.contested:
            usable &= ~_two_ways(cells)
        self.values = numbers(cells, usable, convention.decimal, convention.thousands)
        odd = ~usable & ~cells.missing | np.isinf(self.values)
        self.odd = int(np.argmax(odd)) if odd.any() else None
        """The first row that holds something else."""
        self.present = int(usable.sum())
        filled = np.flatnonzero(cells.text.to_numpy(zero_copy_only=False) != "")
        self.end = int(filled[-1]) + 1 if len(filled) else 0
        """Rows up to the last that is not empty."""

    def is_padding(self, layout: Layout) -> bool:
        """Whether it is what a separator at the end of each line leaves: no name, no cell."""
        return self.end == 0 and self.name.startswith("column ") and layout.width > 1

    def trouble(self, lines: Mapping[int, int], rows: int) -> str | None:
        """Why the column cannot be forecast, in a table of so many rows."""
        if self.odd is not None:
            cell = self.cells.text[self.odd].as_py()
            return f"line {lines[self.odd]} has {shown(cell)}{self._reason(cell)}"
        if self.present < MIN_NUMBERS:
            many = f"{self.present} number{'s' if self.present != 1 else ''}"
            return f"only {many}" if self.present else "empty"
        if 2 * self.present < rows:
            return "more than half is missing"
        if np.nanmin(self.values) == np.nanmax(self.values):
            return "the same number on every line"
        return None

    def _reason(self, cell: str) -> str:
        """Why a number is none here."""
        if not is_numeric(cell):
            return ""
        if self.convention.decimal is None and self.cells.is_clock():
            return ", which may be a time or a date: where it is a number, declare the decimal sign"
        if self.convention.decimal is None:
            return ""
        if self.convention.contested and len(meanings(shape(cell) or "")) > 1:
            return ", which is another number by each of the two decimal signs in the file"
        return f", and the file's decimal sign is the {_NAMES[self.convention.decimal]}"


def _two_ways(cells: Cells) -> Flags:
    """Cells whose sign may be a decimal or a thousands sign."""
    by_code = [len(found) > 1 for _, found in cells.meanings()]
    return np.array([*by_code, False], dtype=bool)[cells.codes]


def _no_numbers(found: Sequence[_Column], others: Mapping[str, str], lines: Mapping[int, int]) -> TableError:
    told = "; ".join(f"{shown(name)}: {why}" for name, why in islice(others.items(), 5))
    nearly = next((c for c in found if c.cells.is_numeric and c.odd is not None), None)
    remedy = (
        f"upload a CSV file with a column of at least {MIN_NUMBERS} numbers, one line for each timestep"
        if nearly is None or nearly.odd is None
        else f"write a number into line {lines[nearly.odd]}, or nothing where it is missing, and look for "
        f"others like it in {shown(nearly.name)}"
    )
    return TableError(f"no column holds numbers alone ({told})", remedy)


def _told(
    layout: Layout,
    convention: Convention,
    usable: Sequence[_Column],
    others: Mapping[str, str],
    names: Sequence[str],
    rows: int,
    ends: tuple[int, int],
) -> TableReading:
    separators = {sign: name for name, sign in SEPARATORS.items()}
    words: dict[str, int] = {}
    for column in usable:
        for word, count in column.cells.missing_words().items():
            words[word] = words.get(word, 0) + count
    units = dict(zip(names, layout.units, strict=False))
    return TableReading(
        rows=rows,
        separator=None
        if layout.separator == ONE_COLUMN
        else separators.get(layout.separator, layout.separator),
        decimal=_NAMES.get(convention.decimal or ""),
        thousands=_NAMES.get(convention.thousands or ""),
        header=layout.names is not None,
        units={name: unit for name, unit in units.items() if unit},
        titles=layout.titles + ends[0],
        footers=ends[1],
        comments=layout.comments,
        missing=sorted(words),
        columns=[column.name for column in usable],
        left_out=dict(others),
    )
