"""Uploaded texts and tables. Their id is a digest, so that the same upload twice is one corpus."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from trainer.corpora import describe
from trainer.schema import CorpusInfo
from trainer.store.errors import CorpusNotFound
from trainer.store.records import now, scrub
from trainer.store.tables import corpora

_INFO = tuple(corpora.c[name] for name in ("id", "name", "characters", "vocabulary", "preview", "columns"))


def prepare(name: str, text: str) -> tuple[CorpusInfo, bytes]:
    """What is stored of a text; the slow part, so it runs outside the writer's lock."""
    data = text.encode()
    return describe(hashlib.sha256(data).hexdigest()[:16], name, text), data


def add(connection: Connection, info: CorpusInfo, data: bytes) -> CorpusInfo:
    """Store a text; one that is there already keeps its first name."""
    found = connection.execute(select(*_INFO).where(corpora.c.id == info.id)).one_or_none()
    if found is not None:
        return _info(found)
    values = info.model_dump(exclude={"builtin"})
    values |= {"preview": scrub(info.preview), "columns": json.dumps(info.columns)}
    connection.execute(insert(corpora), {**values, "created_at": now(), "text": data})
    return info


def listed(connection: Connection) -> list[CorpusInfo]:
    """Every uploaded text, oldest first."""
    rows = connection.execute(select(*_INFO).order_by(corpora.c.created_at, corpora.c.id))
    return [_info(row) for row in rows]


def text(connection: Connection, corpus_id: str) -> str:
    """The whole text of a corpus."""
    found = select(corpora.c.text).where(corpora.c.id == scrub(corpus_id))
    data = connection.execute(found).scalar_one_or_none()
    if data is None:
        raise CorpusNotFound(
            f"there is no uploaded text {corpus_id[:40]!r}", "GET /corpora lists the texts; upload it first"
        )
    return bytes(data).decode()


def _info(row: Row[Any]) -> CorpusInfo:
    return CorpusInfo.model_validate(
        {**row._mapping, "columns": json.loads(row._mapping["columns"]), "builtin": False}
    )
