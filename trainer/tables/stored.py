"""Columns of numbers as bytes, and a table whose columns are fetched when they are asked for."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Mapping

from trainer.schema import TableReading
from trainer.tables.arrow import pa
from trainer.tables.reading import Table


def packed(column: array[float]) -> bytes:
    """Compressed little-endian float64."""
    data: bytes = pa.compress(to_bytes(column), codec="zstd", asbytes=True)
    return data


def unpacked(data: bytes, rows: int) -> array[float]:
    """The column of so many rows that was packed."""
    return from_bytes(pa.decompress(data, decompressed_size=8 * rows, codec="zstd", asbytes=True))


def to_bytes(column: array[float]) -> bytes:
    """Little-endian float64."""
    if sys.byteorder == "big":
        column = array("d", column)
        column.byteswap()
    return column.tobytes()


def from_bytes(data: bytes) -> array[float]:
    """The column that ``to_bytes`` wrote."""
    column = array("d", data)
    if sys.byteorder == "big":
        column.byteswap()
    return column


class Columns(Mapping[str, "array[float]"]):
    """Columns by name; only the one that was asked for last is in memory."""

    def __init__(self, names: list[str], load: Callable[[str], array[float]]) -> None:
        self._names, self._load = names, load
        self._last: tuple[str, array[float]] | None = None

    def __getitem__(self, name: str) -> array[float]:
        if name not in self._names:
            raise KeyError(name)
        if self._last is None or self._last[0] != name:
            self._last = name, self._load(name)
        return self._last[1]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def fetched(reading: TableReading, load: Callable[[str], array[float]]) -> Table:
    """A table of which the reading is known already."""
    return Table(Columns(reading.columns, load), reading.left_out, reading)


def alone(table: Table, name: str | None) -> Table:
    """The table with one column alone, the first without a name: it can go to another process."""
    wanted = next(iter(table.numbers)) if name is None else name
    return Table(
        {wanted: table.numbers[wanted]} if wanted in table.numbers else {}, dict(table.others), table.reading
    )
