"""The rows below the names, read by pyarrow; and the line of the file that a row stands on."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from trainer.tables.arrow import pa, pacsv
from trainer.tables.ends import foreign_ends
from trainer.tables.errors import TableError
from trainer.tables.layout import Layout, rows_of
from trainer.tables.numerals import COMMA


class Body:
    """The rows of a table below its names."""

    def __init__(self, layout: Layout) -> None:
        """Raises TableError where rows do not fit each other."""
        self.layout = layout
        self._text = _below(layout)
        columns = self._read()
        above, below = foreign_ends(columns)
        self.ends = (0 if layout.names else above, below)
        """Rows passed over, at the beginning and at the end."""
        kept = len(columns[0]) - sum(self.ends)
        self.columns = [column.slice(self.ends[0], kept) for column in columns]

    def lines(self, rows: Sequence[int]) -> dict[int, int]:
        """The line of the file on which each of these rows begins or, where a cell holds lines, ends."""
        wanted = set(rows)
        found: dict[int, int] = {}
        for number, row in enumerate(rows_of(self._text, self.layout.separator), start=-self.ends[0]):
            if number in wanted:
                found[number] = row.line + self.layout.above
                if len(found) == len(wanted):
                    break
        return found

    def _read(self) -> list[Any]:
        separator = self.layout.separator
        padded = '"' in self._text and re.search(rf"{re.escape(separator)} +\"", self._text)
        if not padded:
            try:
                return _parsed(self._text, self.layout)
            except pa.ArrowInvalid:
                pass  # rows of different length, or quotation marks that do not fit
        return _parsed(_even(self._fitted(), separator), self.layout)

    def _fitted(self) -> Iterator[list[str]]:
        """Rows of one width: short ones end in empty cells, and only empty cells are cut off."""
        width = self.layout.width
        loose = self.layout.separator == COMMA and self.layout.names is None
        for row in rows_of(self._text, self.layout.separator):
            if row.filled > width or (loose and row.filled < len(row.cells) < width):
                raise TableError(
                    f"line {row.line + self.layout.above} has {len(row.cells)} cells, the first rows have "
                    f"{width}",
                    "put quotation marks around a cell that holds the separator itself, and give each row "
                    "as many cells as the first one has",
                )
            yield [*row.cells[:width], *[""] * (width - len(row.cells))]


def _below(layout: Layout) -> str:
    """The text after the lines above the numbers."""
    at = 0
    for _ in range(layout.above):
        at = layout.text.find("\n", at) + 1
        if at == 0:
            return ""
    return layout.text[at:]


def _even(rows: Iterator[list[str]], separator: str) -> str:
    """Rows as text again."""
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_MINIMAL).writerows(rows)
    return out.getvalue()


def _parsed(text: str, layout: Layout) -> list[Any]:
    """Columns of strings."""
    names = [str(place) for place in range(layout.width)]
    if not text.strip("\n"):
        return [pa.array([], pa.string()) for _ in names]
    table = pacsv.read_csv(
        pa.BufferReader(text.encode("utf-8", "replace")),
        read_options=pacsv.ReadOptions(column_names=names, use_threads=False),
        parse_options=pacsv.ParseOptions(delimiter=layout.separator, newlines_in_values='"' in text),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        ),
    )
    return [column.combine_chunks() for column in table.columns]
