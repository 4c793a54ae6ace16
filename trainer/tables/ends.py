"""Rows before and after the rows of a table: sums, sources, and what else stands there on its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from trainer.tables.arrow import pc
from trainer.tables.numerals import is_word

MOST = 10
"""Rows at either end that are looked at."""


def foreign_ends(columns: Sequence[Any]) -> tuple[int, int]:
    """How many rows at the beginning and at the end are no rows of the table.

    The first cell of such a row, "Total" or "Source: ...", is a word in a column that holds dates or numbers
    everywhere else. What it says stays out of the columns of numbers.

    Args:
        columns: pyarrow strings, below the names.
    """
    rows = len(columns[0]) if len(columns) > 1 else 0
    if rows < 3 * MOST:
        return 0, 0
    return _foreign(columns, range(MOST)), _foreign(columns, range(rows - 1, rows - 1 - MOST, -1))


def _foreign(columns: Sequence[Any], from_the_end: range) -> int:
    """How many of these rows in a row are foreign."""
    rows = len(columns[0])
    count, checked = 0, dict[int, bool]()
    for row in from_the_end:
        cells = [column[row].as_py().strip() for column in columns]
        place = next((place for place, cell in enumerate(cells) if cell), None)
        if place is None or not is_word(cells[place]) or not re.match(r"[^\W\d_]", cells[place]):
            break
        usual = columns[place][rows // 2].as_py().strip()
        has_month = re.search(r"[^\W\d_]", usual) and re.search(r"\d", cells[place])
        if not re.search(r"\d", usual) or has_month or _form(usual) == _form(cells[place]):
            break
        if place not in checked:
            checked[place] = _is_of_one_form(columns[place].slice(MOST, rows - 2 * MOST), usual)
        if not checked[place]:
            break
        count += 1
    return count


def _is_of_one_form(column: Any, usual: str) -> bool:
    """Whether all cells are dates, or all are numbers."""
    text = pc.utf8_trim_whitespace(column)
    if re.search(r"[^\W\d]|[/:-].|[.].*[.]", usual):
        forms = pc.unique(pc.replace_substring_regex(_letters(text), r"[0-9]+", "9")).to_pylist()
        return bool(forms == [_form(usual)])
    return bool(pc.all(pc.match_substring_regex(text, r"^[+-]?[0-9][0-9.,]*$")).as_py())


def _letters(text: Any) -> Any:
    return pc.replace_substring_regex(text, r"\pL+", "a")


def _form(cell: str) -> str:
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", cell))
