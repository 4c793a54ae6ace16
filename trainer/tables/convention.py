"""Which decimal sign and which thousands sign a file uses: decided once, from all of its columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainer.schema import DecimalSign, ThousandsSign
from trainer.tables.columns import Cells, numbers
from trainer.tables.errors import TableError, listed, shown
from trainer.tables.numerals import APOSTROPHE, COMMA, DECIMALS, POINT, SPACE, Meaning

SIGNS: dict[str, str] = {"point": POINT, "comma": COMMA, "space": SPACE, "apostrophe": APOSTROPHE}
"""Signs by the names that a user declares them by."""
NEAR = 1.5
"""Neighbours in a series that differ by less than this factor go on smoothly."""


class Choice(NamedTuple):
    """What a user said of a file's signs; None is to be found out."""

    decimal: DecimalSign | None = None
    thousands: ThousandsSign | None = None

    @property
    def in_numbers(self) -> set[str]:
        """Signs that stand in numbers, so that they cannot separate cells."""
        return {SIGNS[name] for name in self if name in SIGNS}


class Convention(NamedTuple):
    """The signs of a file; None where no number has one."""

    decimal: str | None
    thousands: str | None
    contested: bool = False
    """Whether some column writes its numbers by another convention, so that cells prove less."""

    def allows(self, meaning: Meaning) -> bool:
        return meaning.decimal in (None, self.decimal) and meaning.thousands in (None, self.thousands)


class Place(NamedTuple):
    """A cell that proves something, or fails to."""

    column: int
    row: int


class _Evidence(NamedTuple):
    """What the cells of all columns of numbers say together."""

    votes: dict[str, list[Place]]
    """Decimal sign to one cell of each column that has a meaning with it alone."""
    unsure: list[tuple[Place, str]]
    """One cell of each column whose sign may be the decimal or the thousands sign."""
    spaced: bool
    """Whether thousands are set apart by spaces or apostrophes, so that no comma or point does."""
    clocks: set[str]
    """Signs of columns that may be times or dates; empty where other columns of numbers are there to read."""


class Undecided(Exception):  # noqa: N818  becomes a TableError where lines are known
    """No cell proves what a sign means."""

    def __init__(self, places: Sequence[Place]) -> None:
        super().__init__(places)
        self.places = places


def decide(columns: Sequence[Cells], separator: str | None, choice: Choice) -> Convention:
    """The convention by which the most columns are numbers, none of them read in two ways.

    Raises:
        Undecided: the numbers would be others by another convention that fits as well.
    """
    found = _evidence(columns)
    decimal, contested = _decimal(found, columns, separator, choice)
    if choice.thousands is not None:
        thousands = SIGNS.get(choice.thousands)
        if thousands is not None and thousands == decimal:
            raise TableError(
                f"the {choice.thousands} cannot be the decimal and the thousands sign of one file",
                "declare one of them, or two different ones",
            )
    else:
        thousands = _thousands(columns, decimal)
    return Convention(decimal, thousands, contested)


def _evidence(columns: Sequence[Cells]) -> _Evidence:
    votes: dict[str, list[Place]] = {sign: [] for sign in DECIMALS}
    unsure, spaced = [], False
    clocks: set[str] = set()
    others = False
    for place, cells in enumerate(columns):
        if not cells.is_numeric:
            continue
        certain: dict[str, int] = {}
        either: dict[str, int] = {}
        for code, found in cells.meanings():
            if len(found) == 1:
                spaced |= found[0].thousands in (SPACE, APOSTROPHE)
                certain.setdefault(str(found[0].wants), code)
            elif found:
                either.setdefault(str(found[0].decimal), code)
        is_clock = cells.is_clock()
        others |= not is_clock or cells.is_padded
        for sign in DECIMALS:
            if sign in certain and is_clock:
                clocks.add(sign)
            elif sign in certain:
                votes[sign].append(Place(place, cells.first(certain[sign])))
        unsure += [(Place(place, cells.first(code)), sign) for sign, code in either.items()]
    return _Evidence(votes, unsure, spaced, set() if others else clocks)


def _decimal(
    found: _Evidence, columns: Sequence[Cells], separator: str | None, choice: Choice
) -> tuple[str | None, bool]:
    """The decimal sign, and whether some column has another."""
    by_point, by_comma = found.votes[POINT], found.votes[COMMA]
    if choice.decimal is not None:
        return SIGNS[choice.decimal], False
    if choice.thousands in ("comma", "point"):
        return (POINT if choice.thousands == "comma" else COMMA), False
    if by_point and by_comma:
        if len(by_point) == len(by_comma):
            raise Undecided([by_point[0], by_comma[0]])
        return (POINT if len(by_point) > len(by_comma) else COMMA), True
    if by_point or by_comma:
        return (POINT if by_point else COMMA), False
    signs = {sign for _, sign in found.unsure}
    if not signs:
        return (next(iter(found.clocks)) if len(found.clocks) == 1 else None), False
    if separator == COMMA and POINT in signs and _is_fixed(columns):
        return POINT, False  # 20.250,21.375: where commas separate cells, they are hardly decimal signs
    if len(signs) == 1:
        [sign] = signs
        if found.spaced or choice.thousands is not None:
            return sign, False
        if _goes_on(columns, sign):
            return (COMMA if sign == POINT else POINT), False
    raise Undecided([found.unsure[0][0]])


def _is_fixed(columns: Sequence[Cells]) -> bool:
    """Whether points stand in all numbers of a column or in none, as a program writes so many digits."""
    marked = Meaning(POINT, None)
    numeric = [cells for cells in columns if cells.is_numeric]
    return all(cells.where(lambda m: m == marked).sum() in (0, cells.numeric) for cells in numeric)


def _goes_on(columns: Sequence[Cells], sign: str) -> bool:
    """Whether, with ``sign`` before each three digits, series that cross 1000 go on smoothly: 996, 1,033.

    Read as a decimal sign it would make them fall by a factor of a thousand at each crossing.
    """
    crossings = 0
    grouped = Meaning(None, sign)
    for cells in columns:
        marked = cells.where(lambda meaning: meaning == grouped)
        usable = cells.where(lambda meaning: meaning in (grouped, Meaning(None, None)))
        if not cells.is_numeric or not marked.any():
            continue
        values = np.abs(numbers(cells, usable, None, sign)[usable])
        crossed = marked[usable][1:] != marked[usable][:-1]
        before, after = values[:-1][crossed], values[1:][crossed]
        if np.any(np.maximum(before, after) > NEAR * np.minimum(before, after)):
            return False
        crossings += int(crossed.sum())
    return crossings > 0


def _thousands(columns: Sequence[Cells], decimal: str | None) -> str | None:
    """The sign that groups the most cells."""
    uses: Counter[str] = Counter()
    for cells in columns:
        if not cells.is_numeric:
            continue
        for code, found in cells.meanings():
            for meaning in found:
                if meaning.thousands not in (None, decimal) and meaning.decimal in (None, decimal):
                    uses[str(meaning.thousands)] += int(cells.counts[code])
    return uses.most_common(1)[0][0] if uses else None


def undecided(cells: Sequence[tuple[str, int, str]]) -> TableError:
    """The refusal; each cell with its column's name and its line."""
    if len(cells) == 2:
        told = listed([f"{shown(text)} in line {line} ({shown(name)})" for name, line, text in cells])
        return TableError(
            f"{told} have different decimal signs, so that neither is the file's",
            "write both alike, or declare the file's decimal sign (decimal=comma or decimal=point)",
        )
    [(name, line, text)] = cells
    sign = COMMA if COMMA in text else POINT
    word = "comma" if sign == COMMA else "point"
    return TableError(
        f"{shown(name)}: line {line} has {shown(text)}, which is {text.replace(sign, '')} if the {word} sets "
        f"thousands apart and {text.replace(sign, POINT)} if it is the decimal sign, and nothing in the file "
        "tells which",
        f"declare which: the decimal sign {word} (decimal={word}), or the thousands sign {word} "
        f"(thousands={word})",
    )
