"""A run's log, numbered 1, 2, 3, … over all its attempts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select

from trainer.schema import LogLine
from trainer.store.records import now, scrub, to_datetime, to_microseconds
from trainer.store.tables import log

MAX_LINES = 2**31 - 1


def append(connection: Connection, run: int, attempt: int, lines: Sequence[LogLine]) -> None:
    """Add lines to the end of a run's log."""
    if not lines:
        return
    first = _count(connection, run) + 1
    rows = [
        {"run": run, "line": line, "attempt": attempt, "at": at, "level": level, "text": text}
        for line, (at, level, text) in enumerate(
            ((to_microseconds(entry.at), entry.level, scrub(entry.text)) for entry in lines), first
        )
    ]
    connection.execute(insert(log), rows)


def append_line(connection: Connection, run: int, attempt: int, level: str, text: str) -> None:
    """A line of the service's own."""
    values = {"run": run, "line": _count(connection, run) + 1, "attempt": attempt, "at": now()}
    connection.execute(insert(log), {**values, "level": level, "text": scrub(text)})


def read(connection: Connection, run: int, after: int | None, limit: int) -> list[LogLine]:
    """At most ``limit`` lines in order: those after the first ``after`` ones, or else the newest."""
    found = select(log.c.at, log.c.level, log.c.text).where(log.c.run == run).limit(limit)
    if after is not None:
        found = found.where(log.c.line > min(after, MAX_LINES))
    rows = connection.execute(found.order_by(log.c.line.desc() if after is None else log.c.line)).all()
    lines = [LogLine.model_construct(at=to_datetime(at), level=level, text=text) for at, level, text in rows]
    return lines[::-1] if after is None else lines


def _count(connection: Connection, run: int) -> int:
    return connection.execute(select(func.max(log.c.line)).where(log.c.run == run)).scalar_one() or 0
