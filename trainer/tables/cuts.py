"""Whether commas between cells would cut numbers apart: 3,14 into 3 and 14, or 1,033 into 1 and 33."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

from trainer.tables.numerals import COMMA, POINT, is_numeric, meanings, shape

_LAST = re.compile(r"[^\s;|€$£¥(]*$")
_FIRST = re.compile(r"^[^\s;|€$£¥%)]*")
_DIGITS = re.compile(r"\d+(?:[eE][+-]?\d+)?")
MOST_GROUPS = 6
"""Of a number, between its commas."""


class Cut(enum.Enum):
    """How sure it is that commas belong to numbers."""

    POSSIBLE = "no line names the columns, so that nothing tells"
    LIKELY = "the line above the numbers does not have a name for each piece"
    CERTAIN = "one name stands above, and what follows the commas is no number of its own"


def cut_of(
    rows: Sequence[Sequence[str]], width: int, others: Sequence[str], spaced_names: bool = False
) -> Cut | None:
    """Whether cells of these rows are pieces of numbers; None where they are not.

    Args:
        rows: the first ones of the file, taken apart at its commas.
        width: cells that the most of them have.
        others: separators that take the rows apart as regularly.
        spaced_names: whether the names have a space after the comma, which the numbers lack.
    """
    body = [row for row in rows if len(row) == width and any(map(is_numeric, row))]
    if not body or not any(_is_piece(body, place) for place in range(width - 1)):
        return None
    if any(COMMA in cell and is_numeric(cell) for row in body for cell in row):
        return None  # whoever wrote the file puts quotation marks around such numbers
    if any(_holds(body, place, sign) for place in range(width - 1) for sign in others):
        return Cut.LIKELY
    above = rows[: next(place for place, row in enumerate(rows) if row is body[0])]
    if any(len(row) == width for row in above):
        return Cut.LIKELY if spaced_names else None
    if not above:
        return Cut.POSSIBLE
    whole = any(len(row) == 1 and is_numeric(row[0]) for row in rows)
    padded = any(len(row[1]) > 1 and row[1].startswith("0") for row in body)
    return Cut.CERTAIN if width == 2 and (whole or padded) else Cut.LIKELY


def _is_piece(body: Sequence[Sequence[str]], place: int) -> bool:
    """Whether the cells at a place and after it read as one number in most rows."""
    if any(
        _has_decimal_point(cell) for row in body for cell in row
    ):  # then commas can only set thousands apart, in each row
        return all(_is_group(row, place) for row in body)
    joined = sum(_is_joined(row[place], row[place + 1]) for row in body)
    return 2 * joined >= len(body)


def _has_decimal_point(cell: str) -> bool:
    """Whether its points are no thousands signs: 1.5, but not 1.500."""
    found = meanings(shape(cell) or "") if POINT in cell else ()
    return bool(found) and all(meaning.decimal == POINT for meaning in found)


def _is_joined(left: str, right: str) -> bool:
    return is_numeric(_last(left)) and _DIGITS.fullmatch(_first(right)) is not None


def _is_group(row: Sequence[str], place: int) -> bool:
    """Whether the cells from a place on read as one number in groups: 1,033 or 8,79,263.5."""
    for end in range(place + 2, min(len(row), place + MOST_GROUPS) + 1):
        whole = COMMA.join([_last(row[place]), *row[place + 1 : end - 1], _first(row[end - 1])])
        if any(meaning.thousands == COMMA for meaning in meanings(shape(whole) or "")):
            return True
    return False


def _holds(body: Sequence[Sequence[str]], place: int, sign: str) -> bool:
    """Whether a piece is itself taken apart by another separator, which is then the file's."""
    return _is_piece(body, place) and 2 * sum(sign in row[place] for row in body) >= len(body)


def _last(cell: str) -> str:
    found = _LAST.search(cell)
    return found.group() if found else ""


def _first(cell: str) -> str:
    found = _FIRST.search(cell)
    return found.group() if found else ""
