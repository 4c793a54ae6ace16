"""One column of cells, judged all at once; and its numbers, once the file's convention is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.tables.arrow import pa, pc
from trainer.tables.numerals import MINUS, MISSING, NUMERIC, SHAPING, Meaning, meanings

Flags = npt.NDArray[np.bool_]

_CLOCKS = (
    (r"^([01]?[0-9]|2[0-3])[.][0-5][0-9]$", ""),
    (r"^(0?[1-9]|[12][0-9]|3[01])[.](0[1-9]|1[0-2])$", ""),
    (r"^(0?[1-9]|[12][0-9]|3[01])[.](0?[1-9]|1[0-2])$", r"[.]1[0-2]$"),
    (r"^(0?[1-9]|1[0-2])[.](1[5-9]|20)[0-9][0-9]$", r"^(0|1[0-2])"),
    (r"^(1[5-9]|20)[0-9][0-9][.](0[1-9]|1[0-2])$", ""),
)
"""12.30, 24.12, 1.12, 12.1990 and 1990.12: what every cell is like, and some cell."""


class Cells(NamedTuple):
    """A column as it stands in the file."""

    text: Any
    """pyarrow strings, trimmed"""
    missing: Flags
    codes: npt.NDArray[np.int32]
    """Place in ``shapes`` of each cell, -1 where it is no number for certain."""
    shapes: list[str]
    counts: npt.NDArray[np.int64]
    """Cells of each shape."""

    @property
    def numeric(self) -> int:
        """Cells that are numbers by some convention."""
        return sum(int(self.counts[code]) for code, found in self.meanings() if found)

    @property
    def is_numeric(self) -> bool:
        """Whether the most of what is not missing are numbers."""
        filled = len(self.codes) - int(self.missing.sum())
        return 0 < self.numeric >= 0.5 * filled

    def meanings(self) -> Iterator[tuple[int, tuple[Meaning, ...]]]:
        for code, shape in enumerate(self.shapes):
            yield code, meanings(shape)

    def where(self, allowed: Callable[[Meaning], bool]) -> Flags:
        """Cells with a meaning that is allowed."""
        by_code = [any(map(allowed, found)) for _, found in self.meanings()]
        return np.array([*by_code, False], dtype=bool)[self.codes]  # -1 is the last

    def first(self, code: int) -> int:
        """The first row with a shape."""
        return int(np.argmax(self.codes == code))

    def is_clock(self) -> bool:
        """Whether every number may be a time of day, a day of a month or a month of a year as well."""
        numeric = self.text.filter(pa.array(self.codes >= 0))
        return any(
            pc.all(pc.match_substring_regex(numeric[:100], every)).as_py()  # which is quick to say no
            and pc.all(pc.match_substring_regex(numeric, every)).as_py()
            and pc.any(pc.match_substring_regex(numeric, some)).as_py()
            for every, some in _CLOCKS
        )

    @property
    def is_padded(self) -> bool:
        """Whether numbers begin with zeros, as 07.30 does."""
        return any(re.match(r"[+-]?z9", self.shapes[code]) for code, found in self.meanings() if found)

    def missing_words(self) -> dict[str, int]:
        """Words that stand for a missing number, with how often; an empty cell counts as ``""``."""
        found = pc.value_counts(self.text.filter(pa.array(self.missing)))
        return {item["values"].as_py(): item["counts"].as_py() for item in found}


def judged(column: Any) -> Cells:
    """A pyarrow column of strings, taken apart."""
    text = pc.utf8_trim_whitespace(column)
    text = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    numeric = pc.match_substring_regex(text, NUMERIC)
    coded = pc.dictionary_encode(_shapes(text.filter(numeric)))
    is_numeric = _flags(numeric)
    codes = np.full(len(text), -1, dtype=np.int32)
    codes[is_numeric] = coded.indices.to_numpy(zero_copy_only=False)
    missing = np.zeros(len(text), dtype=bool)
    missing[~is_numeric] = _flags(
        pc.is_in(pc.utf8_lower(text.filter(pc.invert(numeric))), pa.array(sorted(MISSING)))
    )
    counts = np.bincount(codes[is_numeric], minlength=len(coded.dictionary))
    return Cells(text, missing, codes, coded.dictionary.to_pylist(), counts)


def _shapes(text: Any) -> Any:
    """``numerals.shape`` of cells that are numeric, on their bytes: a regex for each digit takes seconds."""
    if len(text) == 0:
        return text
    for pattern, replacement in SHAPING[:3]:  # look-alikes
        if pc.any(pc.match_substring_regex(text, pattern)).as_py():
            text = pc.replace_substring_regex(text, pattern, replacement)
    _, offsets, data = pa.concat_arrays([text]).buffers()
    starts = np.frombuffer(offsets, np.int32)[: len(text)]
    letters = np.frombuffer(data, np.uint8)
    first = starts + np.isin(letters[starts], list(b"+-"))
    shaped = _NINES[letters]
    shaped[first[letters[first] == ord("0")]] = ord("z")
    return pa.StringArray.from_buffers(len(text), offsets, pa.py_buffer(shaped))


_NINES = np.arange(256, dtype=np.uint8)
_NINES[ord("0") : ord("9") + 1] = ord("9")


def numbers(
    cells: Cells, usable: Flags, decimal: str | None, thousands: str | None
) -> npt.NDArray[np.float64]:
    """The numbers of the cells that are ``usable``, NaN elsewhere."""
    text = pc.if_else(pa.array(usable), cells.text, pa.scalar(None, pa.string()))
    if thousands is not None:
        text = pc.replace_substring_regex(text, f"[{_KINDS.get(thousands, thousands)}]", "")
    if decimal == ",":
        text = pc.replace_substring(text, ",", ".")
    for sign, plain in ((MINUS, "-"), ("+", "")):
        if pc.any(pc.match_substring(text, sign)).as_py():
            text = pc.replace_substring(text, sign, plain)
    found: npt.NDArray[np.float64] = pc.cast(text, pa.float64()).to_numpy(zero_copy_only=False)
    return found


_KINDS = {" ": r"\s\x{a0}\x{202f}\x{2009}\x{2007}", "'": "'’"}


def _flags(array: Any) -> Flags:
    found: Flags = array.to_numpy(zero_copy_only=False)
    return found
