"""Uploaded texts and tables. Their id is a digest, so that the same upload twice is one corpus."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update

from trainer.corpora import describe
from trainer.schema import CorpusInfo, TableReading
from trainer.store.errors import CorpusNotFound
from trainer.store.records import now, scrub
from trainer.store.tables import corpora, corpus_columns
from trainer.tables import Table
from trainer.tables.stored import packed, unpacked

_SHOWN = ("id", "name", "characters", "vocabulary", "preview", "kind", "columns")
_INFO = tuple(corpora.c[name] for name in _SHOWN)


class Prepared(NamedTuple):
    """What is stored of a text or a table; made outside the writer's lock, for it is slow."""

    info: CorpusInfo
    data: bytes
    """The text as UTF-8."""
    reading: str | None
    """How a table was read, as JSON."""
    columns: list[tuple[int, bytes]]
    """Of a table: rows, and the numbers."""
    other_id: str
    """Its id where the same bytes are there already as something else: as a text, or read in another way."""


def prepare(name: str, text: str, table: Table | None = None) -> Prepared:
    """A text, or a table and its text, as they are stored."""
    data = text.encode()
    digest = hashlib.sha256(data)
    info = describe(digest.hexdigest()[:16], name, text, table=table)
    reading = None if table is None else table.reading.model_dump_json()
    digest.update(f"\0{info.kind}\0{reading}".encode())
    return Prepared(info, data, reading, _packed(table), digest.hexdigest()[:16])


def add(connection: Connection, given: Prepared) -> CorpusInfo:
    """Store a text or a table; one that is there already keeps its first name."""
    for corpus_id in (given.info.id, given.other_id):
        query = select(*_INFO, corpora.c.reading).where(corpora.c.id == corpus_id)
        found = connection.execute(query).one_or_none()
        if found is None:
            info = given.info.model_copy(update={"id": corpus_id})
            values = info.model_dump(exclude={"builtin"}) | {"reading": given.reading, "text": given.data}
            values |= {"preview": scrub(info.preview), "columns": json.dumps(info.columns)}
            connection.execute(insert(corpora), {**values, "created_at": now()})
            _add_columns(connection, corpus_id, given.columns)
            return info
        if found.kind == given.info.kind and found.reading in (None, given.reading):
            if given.reading is not None and found.reading is None:
                keep(connection, corpus_id, given)
                return given.info.model_copy(update={"id": corpus_id, "name": found.name})
            return _info(found._mapping)
    raise AssertionError(given.other_id)


def keep(connection: Connection, corpus_id: str, given: Prepared) -> None:
    """Store what was read of a table from before, unless that has been done meanwhile."""
    unread = (corpora.c.id == corpus_id) & corpora.c.reading.is_(None)
    values = {"reading": given.reading, "columns": json.dumps(given.info.columns)}
    if connection.execute(update(corpora).where(unread).values(values)).rowcount:
        _add_columns(connection, corpus_id, given.columns)


def reading(connection: Connection, corpus_id: str) -> tuple[str, TableReading | None]:
    """Whether it is a text or a table, and how a table was read; None for one that was stored before."""
    query = select(corpora.c.kind, corpora.c.reading).where(corpora.c.id == scrub(corpus_id))
    found = connection.execute(query).one_or_none()
    if found is None:
        raise _not_found(corpus_id)
    return found.kind, None if found.reading is None else TableReading.model_validate_json(found.reading)


def column(connection: Connection, corpus_id: str, place: int) -> array[float]:
    """The numbers of the column at this place of a table's reading."""
    query = select(corpus_columns.c.data, corpus_columns.c.rows).where(
        corpus_columns.c.corpus == corpus_id, corpus_columns.c.place == place
    )
    found = connection.execute(query).one()
    return unpacked(bytes(found.data), found.rows)


def _packed(table: Table | None) -> list[tuple[int, bytes]]:
    return [] if table is None else [(len(numbers), packed(numbers)) for numbers in table.numbers.values()]


def _add_columns(connection: Connection, corpus_id: str, columns: list[tuple[int, bytes]]) -> None:
    rows = [
        {"corpus": corpus_id, "place": place, "rows": count, "data": data}
        for place, (count, data) in enumerate(columns)
    ]
    if rows:
        connection.execute(insert(corpus_columns), rows)


def listed(connection: Connection) -> list[CorpusInfo]:
    """Every uploaded text, oldest first."""
    rows = connection.execute(select(*_INFO).order_by(corpora.c.created_at, corpora.c.id))
    return [_info(row._mapping) for row in rows]


def text(connection: Connection, corpus_id: str) -> str:
    """The whole text of a corpus."""
    found = select(corpora.c.text).where(corpora.c.id == scrub(corpus_id))
    data = connection.execute(found).scalar_one_or_none()
    if data is None:
        raise _not_found(corpus_id)
    return bytes(data).decode()


def _not_found(corpus_id: str) -> CorpusNotFound:
    return CorpusNotFound(
        f"there is no uploaded text {corpus_id[:40]!r}", "GET /corpora lists the texts; upload it first"
    )


def _info(row: Mapping[Any, Any]) -> CorpusInfo:
    shown = {name: row[name] for name in _SHOWN}
    return CorpusInfo.model_validate({**shown, "columns": json.loads(shown["columns"]), "builtin": False})
