"""Where in a file its table is: what separates cells, what is a comment, which lines come before numbers."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import NamedTuple

from trainer.tables.cuts import Cut, cut_of
from trainer.tables.errors import TableError, shown
from trainer.tables.numerals import COMMA, POINT, is_missing, is_numeric, is_word

SEPARATORS = {"tab": "\t", "semicolon": ";", "bar": "|", "comma": ","}
"""By name; in this order. A comma may also stand in a number."""
MAX_COLUMNS = 200
SAMPLE_LINES = 400
"""Lines at the beginning that tell the layout."""
HEAD_CHARACTERS = 200_000
"""Of a text that may be none, enough to tell."""
AGREEING = 0.7
"""Share of these lines that must have the same number of cells."""
MAX_UNIT_ROWS = 3
"""Rows of units and the like under the names."""
MAX_TITLES = 20
"""Rows above the names that are looked at."""
MANY = 10
"""Rows that tell what a column holds."""
ONE_COLUMN = "\x1f"
"""A separator that no file holds: a line is a cell."""

_SEP_LINE = re.compile(r'\s*"?sep=(\\t|[^\n"])"?[;,\t]*[ \t]*(?:\n|$)', re.IGNORECASE)
_BLANK = re.compile(r"^ +$", re.MULTILINE)
_SPREADSHEET_ERROR = r"(?:N/?A|NV|ND|[A-Z]+(?:/0)?[!?])(?![^\s;,|\"])"
_RULE = re.compile(r"(?::?[-=]{2,}:?)?")
"""A cell of a line that is drawn under the names."""
_COMMENT = re.compile(rf"^[ \t]*(?:#(?!{_SPREADSHEET_ERROR})|//)[^\n]*", re.MULTILINE | re.IGNORECASE)


class Row(NamedTuple):
    """A row near the beginning of the file."""

    line: int
    """Its last one, counted from 1."""
    cells: list[str]

    @property
    def filled(self) -> int:
        """Cells up to the last that is not empty."""
        return max((place for place, cell in enumerate(self.cells, 1) if cell), default=0)


class Layout(NamedTuple):
    """How to take a file apart."""

    text: str
    """The file's, with comments and the ``sep=`` line blank, so that lines keep their numbers."""
    separator: str
    """``ONE_COLUMN`` where nothing separates."""
    width: int
    names: list[str] | None
    """As they stand above the numbers; None where nothing does."""
    units: list[str]
    """Under the names; empty where there is no such row."""
    above: int
    """Lines before the first row of numbers."""
    titles: int
    """Lines passed over before the names."""
    comments: int


def layout_of(text: str, separator: str | None, in_numbers: set[str]) -> Layout:
    """How the text is laid out.

    Args:
        text: with line feeds alone.
        separator: what the user declared.
        in_numbers: signs that the user said numbers hold.

    Raises:
        TableError: two ways to take it apart are equally good, or the one there is cuts numbers apart.
    """
    text, said = _without_sep_line(_BLANK.sub("", text))
    text, comments = _without_comments(text)
    head = _head(text)
    declared = separator or said
    shape = _declared_shape(head, declared, separator is not None) if declared else _best(head, in_numbers)
    _refuse_wide(shape)
    return _with_header(text, shape, comments)


def looks_like_table(text: str) -> bool:
    """Whether some way to take the first lines apart gives a column of numbers."""
    head = _head(_BLANK.sub("", text[:HEAD_CHARACTERS]))
    signs = [*(sign for sign in SEPARATORS.values() if sign in head), ONE_COLUMN]
    shapes = (_shape(head, sign) for sign in signs)
    return any(shape is not None and any(shape.numeric()) for shape in shapes)


class Shape(NamedTuple):
    """The first rows, taken apart by one separator."""

    separator: str
    width: int
    share: float
    """Of the rows, how many have that width."""
    rows: list[Row]

    def body(self) -> list[Row]:
        return [row for row in self.rows if len(row.cells) == self.width]

    def numeric(self) -> list[bool]:
        """Of each column, whether the most of it are numbers by some convention."""
        columns = zip(*(row.cells for row in self.body()), strict=True)
        return [_mostly_numbers(column) for column in columns]


def rows_of(text: str, separator: str) -> Iterator[Row]:
    """Every row that is not blank, as Python's csv module reads it, cells trimmed."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != " ")
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and (separator == ONE_COLUMN or cells[0].strip())):
                yield Row(reader.line_num, [cell.strip() for cell in cells])
    except csv.Error as error:
        raise TableError(
            f"line {reader.line_num} cannot be read ({error})", "check its quotation marks"
        ) from None


# --- What is not the table ---------------------------------------------------------------------------


def _without_sep_line(text: str) -> tuple[str, str | None]:
    """Excel's first line that names the separator, made blank; and what it names."""
    found = _SEP_LINE.match(text)
    if found is None:
        return text, None
    lines = found.group().count("\n")
    return "\n" * lines + text[found.end() :], found.group(1).replace("\\t", "\t")


def _without_comments(text: str) -> tuple[str, list[tuple[int, str]]]:
    """The text with its comment lines blank, and those lines by number.

    Where most lines begin with the sign it is no comment, as in a column of #1, #2; nor where the line holds
    one of a pair of quotation marks.
    """
    found = [match for match in _COMMENT.finditer(text) if match.group().count('"') % 2 == 0]
    if not found or _mostly(found, text):
        return text, []
    pieces, comments, at, line = [], [], 0, 1
    for match in found:
        line += text.count("\n", at, match.start())
        pieces.append(text[at : match.start()])
        comments.append((line, match.group().strip().lstrip("#/").strip()))
        at = match.end()
    return "".join([*pieces, text[at:]]), comments


def _mostly(found: Sequence[re.Match[str]], text: str) -> bool:
    """Whether they are the most of the lines."""
    return 2 * len(found) > sum(1 for line in text.split("\n") if line.strip())


def _head(text: str) -> str:
    """The first lines."""
    at = 0
    for _ in range(SAMPLE_LINES):
        at = text.find("\n", at) + 1
        if at == 0:
            return text
    return text[:at]


# --- The separator -----------------------------------------------------------------------------------


def _shape(head: str, separator: str) -> Shape | None:
    """The first rows by this separator, None where there are none or a quotation mark is never closed."""
    try:
        rows = list(islice(rows_of(head, separator), SAMPLE_LINES))
    except TableError:
        return None
    if not rows:
        return None
    width, agreeing = Counter(len(row.cells) for row in rows).most_common(1)[0]
    return Shape(separator, width, agreeing / len(rows), rows)


def _declared_shape(head: str, separator: str, is_users: bool) -> Shape:
    """By the separator that the user, or else the file's first line, names; numbers stay whole."""
    shape = _shape(head, separator)
    if shape is None:
        raise TableError("the file has no rows", "upload a CSV file: one line for each timestep")
    cut = _cut(head, shape, [])
    named = cut is Cut.LIKELY and any(
        len(row.cells) == shape.width and all(map(is_word, row.cells)) for row in shape.rows
    )
    if cut not in (None, Cut.POSSIBLE) and not (named and is_users):
        raise _cuts(shape, cut, is_declared=True)
    return shape


def _best(head: str, in_numbers: set[str]) -> Shape:
    """By the sign that separates cells in the most rows and leaves numbers whole."""
    possible = [sign for sign in SEPARATORS.values() if sign in head and sign not in in_numbers]
    shapes = [shape for sign in possible if (shape := _shape(head, sign))]
    regular = [shape for shape in shapes if shape.width > 1 and shape.share >= AGREEING]
    good = [shape for shape in regular if any(shape.numeric())]
    strong = [shape for shape in good if shape.separator != COMMA]
    by_comma = next((shape for shape in good if shape.separator == COMMA), None)
    if strong:
        best = max(strong, key=lambda shape: (shape.share, sum(shape.numeric())))
        if by_comma and by_comma.share > best.share:
            raise TableError(
                f"cells may be separated by commas or by {_named(best.separator)}: most lines fit both",
                f"put a first line sep={best.separator} or sep=, above the table, or remove the lines above "
                "its names",
            )
        return best
    if by_comma:
        return _by_comma(head, by_comma, [shape for shape in regular if shape.separator != COMMA], in_numbers)
    alone = _shape(head, ONE_COLUMN)
    if regular and not (alone and any(alone.numeric())):
        return max(regular, key=lambda shape: shape.share)  # a table of words, to be refused by its columns
    if alone is None:
        unread = _shape_error(head)
        raise unread or TableError("the file has no rows", "upload a CSV file: one line for each timestep")
    if any(alone.numeric()):
        return alone
    irregular = [shape for shape in shapes if shape.width > 1]
    if irregular:
        _refuse_irregular(max(irregular, key=lambda shape: shape.share))
    return alone


def _by_comma(head: str, shape: Shape, regular: list[Shape], in_numbers: set[str]) -> Shape:
    """Cells between commas, or whole lines where the commas belong to numbers."""
    _refuse_wide(shape)
    cut = _cut(head, shape, [other.separator for other in regular])
    if cut is None or (cut is Cut.POSSIBLE and POINT in in_numbers):
        return shape
    alone = _shape(head, ONE_COLUMN)
    if cut is Cut.CERTAIN and alone and any(alone.numeric()):
        return alone
    _refuse_irregular(shape)
    raise _cuts(shape, cut)


def _cut(head: str, shape: Shape, others: list[str]) -> Cut | None:
    """Whether the commas of a shape stand in numbers."""
    if shape.separator != COMMA or not re.search(r"\d,\d", head):
        return None
    above = next((row for row in shape.rows if len(row.cells) == shape.width), shape.rows[0])
    spaced = ", " in head.split("\n")[above.line - 1]
    return cut_of([row.cells for row in shape.rows], shape.width, others, spaced)


def _cuts(shape: Shape, cut: Cut, is_declared: bool = False) -> TableError:
    row = next(row for row in reversed(shape.rows) if len(row.cells) == shape.width)
    other = "" if is_declared else " or the separator (separator=comma)"
    return TableError(
        f"the comma may separate cells or stand in numbers: line {row.line} has "
        f"{shown(','.join(row.cells))}, and {cut.value}",
        f"declare the decimal sign (decimal=comma){other}, or give each column its name in "
        "a first line, or save the file with cells separated by semicolons",
    )


def _refuse_wide(shape: Shape) -> None:
    if shape.width > MAX_COLUMNS:
        raise TableError(
            f"the table has {shape.width:,} columns",
            f"leave out some: {MAX_COLUMNS} are read, one is forecast",
        )


def _refuse_irregular(shape: Shape) -> None:
    usual = next(row for row in shape.rows if len(row.cells) == shape.width)
    other = next((row for row in shape.rows if len(row.cells) > shape.width), None)
    if other is None or not any(is_numeric(cell) for cell in usual.cells):
        return
    raise TableError(
        f"line {other.line} has {len(other.cells)} cells between {_named(shape.separator)}, "
        f"line {usual.line} has {len(usual.cells)}",
        "put quotation marks around a cell that holds the separator itself, or save the file with cells "
        "separated by semicolons",
    )


def _shape_error(head: str) -> TableError | None:
    try:
        list(rows_of(head, ONE_COLUMN))
    except TableError as error:
        return error
    return None


def _mostly_numbers(column: Sequence[str]) -> bool:
    filled = [cell for cell in column if not is_missing(cell)]
    return bool(filled) and 2 * sum(map(is_numeric, filled)) >= len(filled)


def _named(separator: str) -> str:
    names = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}
    return names.get(separator, shown(separator))


# --- Names, units and titles -------------------------------------------------------------------------


def _with_header(text: str, shape: Shape, comments: list[tuple[int, str]]) -> Layout:
    """Finds the names and the units among the first rows."""
    numeric = shape.numeric()
    least = max((row.filled for row in shape.body()), default=0)
    rows = shape.rows
    start = next((place for place, row in enumerate(rows) if len(row.cells) >= least), len(rows))
    body = rows[start:]
    if (passed := _lines_of_titles(body, numeric)) > 0:
        start, body = start + passed, body[passed:]
    titles = start
    names: list[str] | None = None
    units: list[str] = []
    above = rows[start - 1].line if start else 0
    if body and _is_header(body, numeric):
        names, above = body[0].cells, body[0].line
        for row in body[1 : 1 + MAX_UNIT_ROWS]:
            if all(map(_RULE.fullmatch, row.cells)) and any(row.cells):
                above = row.line
                continue
            if not _is_units(row, numeric):
                break
            units, above = units or row.cells, row.line
    elif body and comments:
        names = _names_in_comment(comments, body[0], shape)
    return Layout(
        text=text,
        separator=shape.separator,
        width=max([shape.width, *([len(names)] if names and any(names[shape.width :]) else [])]),
        names=names,
        units=units,
        above=above,
        titles=titles,
        comments=len(comments),
    )


def _is_header(rows: Sequence[Row], numeric: Sequence[bool]) -> bool:
    """Whether the first row holds names: words, at least one of them above numbers."""
    cells = rows[0].cells
    over_numbers = [cell for cell, is_column in zip(cells, numeric, strict=False) if is_column]
    if any(is_word(cell) for cell in over_numbers):
        named = all(cell.isdigit() or not is_numeric(cell) for cell in over_numbers)
        return named or _has_corner(rows)
    if (
        over_numbers
        and all(map(is_numeric, over_numbers))
        and (_has_corner(rows) or _are_years(rows, numeric))
    ):
        return True  # numbers that are names: years, depths, stations
    if any(map(is_numeric, cells)) or not any(map(is_word, cells)):
        return False
    below = rows[1].cells if len(rows) > 1 else []
    alike = [_pattern(a) == _pattern(b) for a, b in zip(cells, below, strict=False) if re.search(r"\d", a)]
    return not any(alike)


def _lines_of_titles(rows: Sequence[Row], numeric: Sequence[bool]) -> int:
    """Rows such as Latitude;52.5 above one that names each column of numbers in words; 0 without one."""
    for place, row in enumerate(rows[:MAX_TITLES]):
        over_numbers = [cell for cell, is_column in zip(row.cells, numeric, strict=False) if is_column]
        if place == 0 and _is_header(rows, numeric):
            return 0
        if over_numbers and all(map(is_word, over_numbers)) and _has_corner(rows[place:]):
            return place
        if not is_word(row.cells[0]) or re.search(r"\d", row.cells[0]):
            return 0
    return 0


def _has_corner(rows: Sequence[Row]) -> bool:
    """Whether the first cell of the first row is a word, or empty, above dates or numbers alone."""
    corner, below = rows[0].cells[0], [row.cells[0] for row in rows[1:] if row.cells[0]]
    if re.search(r"\d", corner) or len(below) < MANY or not all(re.search(r"\d", cell) for cell in below):
        return False
    return is_word(corner) or (not corner and len(below) == len(rows) - 1)


def _are_years(rows: Sequence[Row], numeric: Sequence[bool]) -> bool:
    """Whether the first row has one year after another above columns of numbers, as no other row does."""

    def rise(row: Row) -> bool:
        cells = [cell for cell, is_column in zip(row.cells, numeric, strict=False) if is_column]
        years = [int(cell) for cell in cells if re.fullmatch(r"(?:1[5-9]|2[01])\d\d", cell)]
        return len(years) == len(cells) > 1 and all(b - a == 1 for a, b in pairwise(years))

    return rise(rows[0]) and not any(map(rise, rows[1:]))


def _pattern(cell: str) -> str:
    return re.sub(r"\d", "9", cell)


def _is_units(row: Row, numeric: Sequence[bool]) -> bool:
    """Whether a row under the names says what they are measured in: words above numbers, no data."""
    over_numbers = [cell for cell, is_column in zip(row.cells, numeric, strict=False) if is_column]
    return (
        any(map(is_word, over_numbers))
        and not any(map(is_numeric, over_numbers))
        and not any(re.search(r"\d\d", cell) or len(cell) > 30 for cell in row.cells)
    )


def _names_in_comment(comments: list[tuple[int, str]], first: Row, shape: Shape) -> list[str] | None:
    """The comment right above the numbers, where it has a word for each column."""
    told = [comment for line, comment in comments if line == first.line - 1]
    if not told:
        return None
    cells = next((row.cells for row in rows_of(told[0], shape.separator)), [])
    named = len(cells) == shape.width > 1 and all(map(is_word, cells))
    return cells if named and not re.search(r"\d", told[0]) else None
