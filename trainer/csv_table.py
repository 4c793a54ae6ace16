"""Reads the columns of numbers out of a CSV file, however it was written.

No torch here: the service reads uploads as they arrive.
"""

from __future__ import annotations

import csv
import io
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import dropwhile, islice, pairwise
from typing import NamedTuple

MIN_NUMBERS = 30
"""In a column, so that the part kept for validation holds a few windows."""
MAX_COLUMNS = 200
MAX_NAME = 100
"""Characters of a column's name."""

_DELIMITERS = "\t;,"
"""In this order: a comma may also be a decimal point, or stand in a text."""
_SNIFFED = 50
"""Rows that tell the delimiter."""
_MISSING = frozenset({"", "-", ".", "?", "na", "n/a", "#n/a", "nan", "null", "none", "missing"})


class TableError(ValueError):
    """A text that is no table of numbers: what was found, and what to do about it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class Table(NamedTuple):
    """The columns of a CSV file, by name."""

    numbers: dict[str, array[float]]
    """One entry for each row, NaN where it is missing. Counters, such as row numbers and years, come last."""
    others: dict[str, str]
    """Each column that cannot be forecast, and why."""


class _Column:
    """One column in the making."""

    def __init__(self) -> None:
        self.values = array("d")
        self.trouble: str | None = None

    def add(self, cell: str, line: int, decimal_comma: bool) -> None:
        if self.trouble is None:
            number = _number(cell, decimal_comma)
            if number is None:
                self.trouble = f"line {line} has {_shown(cell)}"
            else:
                self.values.append(number)


@lru_cache(maxsize=1)
def read_table(text: str) -> Table:
    """The columns of a CSV text, with at least one of numbers. Treat it as read-only: it is kept.

    Cells are separated by tabs, semicolons or commas, by the first of these that the rows agree on and that
    gives numbers; the decimal sign is a point, or a comma where cells are separated by something else. Lines
    at the top that begin with # or are too short for the table are passed over. The first row is a header
    where it has a word above numbers.

    Raises:
        TableError: there is no column of at least 30 numbers, or the rows do not fit each other.
    """
    refusal = None
    for delimiter, width in _shapes(text):
        try:
            return _read(text, delimiter, width)
        except TableError as error:
            refusal = refusal or error
    assert refusal
    raise refusal


def column_names(text: str) -> list[str]:
    """The columns of numbers in a text, the likeliest first; none where it is not a table."""
    try:
        return list(read_table(text).numbers)
    except TableError:
        return []


def _read(text: str, delimiter: str, width: int) -> Table:
    rows = _fitted(dropwhile(lambda row: len(row[1]) < width, _rows(text, delimiter)), width)
    first = next(rows, (0, [""] * width))
    if width > MAX_COLUMNS:
        raise TableError(
            f"the table has {width:,} columns", f"leave out some: {MAX_COLUMNS} are read, one is forecast"
        )
    columns = [_Column() for _ in range(width)]
    decimal_comma = delimiter != ","
    for line, cells in rows:
        for cell, column in zip(cells, columns, strict=True):
            column.add(cell, line, decimal_comma)
        if all(column.trouble for column in columns):
            break
    names = _names(first, columns, decimal_comma)
    found = dict(zip(names, columns, strict=True))
    others = {name: trouble for name, column in found.items() if (trouble := _trouble(column))}
    usable = {name: column.values for name, column in found.items() if name not in others}
    if not usable:
        told = "; ".join(f"{_shown(name)}: {why}" for name, why in islice(others.items(), 5))
        raise TableError(
            f"no column holds numbers alone ({told})",
            f"upload a CSV file with a column of at least {MIN_NUMBERS} numbers, one line for each timestep",
        )
    return Table({name: usable[name] for name in sorted(usable, key=lambda n: _counts(usable[n]))}, others)


def _shapes(text: str) -> Iterator[tuple[str, int]]:
    """Possible delimiters, each with the cells that a row then has, by the first rows."""
    for delimiter in _DELIMITERS:
        try:
            widths = Counter(len(cells) for _, cells in islice(_rows(text, delimiter), _SNIFFED))
        except TableError:
            continue
        if widths:
            width, rows = widths.most_common(1)[0]
            if width > 1 and rows >= 0.8 * widths.total():
                yield delimiter, width
    yield "\t", 1  # one column: where there is no tab, a line is a cell


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line number and cells of every row that is not blank; comments at the top are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    at_top = True
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            blank = not any(stripped)
            at_top = at_top and (blank or stripped[0].startswith("#"))
            if not blank and not at_top:
                yield reader.line_num, stripped
    except csv.Error as error:
        raise TableError(
            f"line {reader.line_num} cannot be read ({error})", "check its quotation marks"
        ) from None


def _fitted(rows: Iterable[tuple[int, list[str]]], width: int) -> Iterator[tuple[int, list[str]]]:
    """Rows of ``width`` cells: short ones end in empty cells, and only empty cells are cut off."""
    for line, cells in rows:
        if any(cells[width:]):
            raise TableError(
                f"line {line} has {len(cells)} cells, the first rows have {width}",
                "separate cells by commas, semicolons or tabs, and put quotation marks around a cell that "
                "holds such a sign itself",
            )
        yield line, [*cells[:width], *[""] * (width - len(cells))]


def _number(cell: str, decimal_comma: bool) -> float | None:
    """The cell's number, NaN where it is missing, None where it holds something else."""
    try:
        number = float(cell)
    except ValueError:
        if cell.lower() in _MISSING:
            return math.nan
        if decimal_comma and cell.count(",") == 1 and "." not in cell:
            return _number(cell.replace(",", "."), False)
        return None
    if cell.lower() in _MISSING:  # "nan"
        return math.nan
    return number if math.isfinite(number) and "_" not in cell else None


def _names(first: tuple[int, list[str]], columns: Sequence[_Column], decimal_comma: bool) -> list[str]:
    """The columns' names. A first row that is no header is put before the columns' values instead."""
    line, cells = first
    is_header = all(_number(cell, decimal_comma) is None for cell in cells if cell) or any(
        column.trouble is None and len(column.values) and _number(cell, decimal_comma) is None
        for cell, column in zip(cells, columns, strict=True)
    )
    if not is_header:
        for cell, column in zip(cells, columns, strict=True):
            number = _number(cell, decimal_comma)
            if number is None:
                column.trouble = f"line {line} has {_shown(cell)}"
            else:
                column.values.insert(0, number)
    given = cells if is_header else [""] * len(columns)
    names: list[str] = []
    for place, name in enumerate(given, start=1):
        plain = " ".join(name.split())[: MAX_NAME - 6] or f"column {place}"
        same = (plain, *(f"{plain} ({again})" for again in range(2, len(columns) + 2)))
        names.append(next(candidate for candidate in same if candidate not in names))
    return names


def _trouble(column: _Column) -> str | None:
    """Why a column cannot be forecast."""
    if column.trouble is not None:
        return column.trouble
    numbers = [value for value in column.values if not math.isnan(value)]
    if len(numbers) < MIN_NUMBERS:
        return f"only {len(numbers)} number{'s' if len(numbers) != 1 else ''}" if numbers else "empty"
    if 2 * len(numbers) < len(column.values):
        return "more than half is missing"
    if min(numbers) == max(numbers):
        return "the same number on every line"
    return None


def _counts(values: array[float]) -> bool:
    """Whether a column only counts: whole numbers, each greater than the one before."""
    return all(value.is_integer() for value in values) and all(a < b for a, b in pairwise(values))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
