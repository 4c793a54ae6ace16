"""What one cell can mean: a number, by which decimal and thousands sign, or none.

A cell is judged by its shape, in which every digit is a 9, a leading zero is a z, and look-alikes are one
sign. A column of a million numbers has a few dozen shapes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

POINT, COMMA, SPACE, APOSTROPHE = ".", ",", " ", "'"
DECIMALS = (POINT, COMMA)
THOUSANDS = (COMMA, POINT, SPACE, APOSTROPHE)

NARROW = "\u00a0\u202f\u2009\u2007"
"""Spaces that do not break a line, as typesetting puts them between thousands."""
MINUS = "\u2212"
NUMERIC = rf"^[+\-{MINUS}]?[0-9.,'’ {NARROW}]*[0-9][0-9.,'’ {NARROW}]*(?:[eE][+-]?[0-9]{{1,4}})?$"
"""Cells that may be numbers, in the dialect that Python and RE2 share."""

MISSING = frozenset(
    {
        "",
        "-",
        "--",
        "---",
        "–",
        "—",
        ".",
        "..",
        "...",
        "…",
        "?",
        "*",
        "#",
        "na",
        "n/a",
        "#n/a",
        "#na",
        "#nv",
        "<na>",
    }
    | {"n.a.", "nan", "-nan", "null", "nil", "none", "missing", "nd", "n.d.", "n/d", "k.a.", "k. a.", "n.v."}
    | {"s/d", "s.d.", "\\n", "m.v.", "(null)", "[null]", "#null!", "not available", "no data"}
)
"""Words for a missing number, in lower case."""


class Meaning(NamedTuple):
    """One way to read a cell: the signs that it then uses."""

    decimal: str | None
    thousands: str | None

    @property
    def wants(self) -> str | None:
        """The decimal sign of a file in which this is the meaning; None where any would do."""
        if self.decimal is None and self.thousands in DECIMALS:
            return COMMA if self.thousands == POINT else POINT
        return self.decimal


SHAPING = (
    (f"[{NARROW}]", "\u00a0"),
    ("’", "'"),
    (MINUS, "-"),
    (r"^([+-]?)0", r"\1z"),
    ("[0-9]", "9"),
)
"""Replacements, in this order, that turn a cell into its shape."""


def shape(cell: str) -> str | None:
    """The cell's shape, or None where it is no number for certain."""
    if not re.search(NUMERIC, cell):
        return None
    for pattern, replacement in SHAPING:
        cell = re.sub(pattern, replacement, cell)
    return cell


_PLAIN = re.compile(r"z9*|9+")
_DECIMAL = {sign: re.compile(rf"(?:z9*|9+){re.escape(sign)}9*|{re.escape(sign)}9+") for sign in DECIMALS}
_GROUPS = {
    POINT: r"9{1,3}(?:\.999)+",
    COMMA: r"(?:9{1,3}(?:,999)+|9{1,2}(?:,99)+,999)",  # also 12,34,567 as in India
    SPACE: r"9{1,3}(?:(?: 999)+|(?:\u00a0999)+)",
    APOSTROPHE: r"9{1,3}(?:'999)+",
}
_GROUPED = {
    Meaning(decimal, thousands): re.compile(
        _GROUPS[thousands] + (f"{re.escape(decimal)}9*" if decimal else "")
    )
    for thousands in THOUSANDS
    for decimal in (None, *DECIMALS)
    if decimal != thousands
}


@lru_cache(maxsize=4096)
def meanings(of_shape: str) -> tuple[Meaning, ...]:
    """Every way to read a shape; none where it is no number, two where a sign may be either."""
    mantissa, exponent, _ = re.sub(r"^[+-]", "", of_shape).replace("E", "e").partition("e")
    if _PLAIN.fullmatch(mantissa):
        return (Meaning(None, None),)
    found = [Meaning(sign, None) for sign in DECIMALS if _DECIMAL[sign].fullmatch(mantissa)]
    if not exponent:  # nobody groups a mantissa
        found += [meaning for meaning, pattern in _GROUPED.items() if pattern.fullmatch(mantissa)]
    return tuple(found)


def is_missing(cell: str) -> bool:
    """Whether a cell stands for a missing number."""
    return cell.lower() in MISSING


def is_numeric(cell: str) -> bool:
    """Whether a cell is a number by some convention."""
    found = shape(cell)
    return found is not None and bool(meanings(found))


def is_word(cell: str) -> bool:
    """Whether a cell is neither a number nor a missing one."""
    return not is_missing(cell) and not is_numeric(cell)
