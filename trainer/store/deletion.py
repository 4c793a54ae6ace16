"""Deleting for good: a run is gone for everybody at once, and its rows go a few at a time.

A run may have millions of rows. To delete them in one transaction would hold up every report for as long.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, select, tuple_, update

from trainer.schema import RunState
from trainer.store.errors import Conflict
from trainer.store.mapping import load
from trainer.store.records import now
from trainer.store.tables import attempts, checkpoints, log, metrics, runs, samples, tags, vectors

ROWS = 400
"""Deleted in one transaction: some ten milliseconds."""
BYTES = 16 * 2**20
"""The same of checkpoints."""
BIN_MICROSECONDS = 24 * 3600 * 10**6
"""How long a run stays in the bin."""


def mark(connection: Connection, run_id: UUID) -> int:
    """Take a run out of everybody's sight, for good; a running one must be stopped first. Its number."""
    run = load(connection, run_id)
    if run.state is RunState.RUNNING:
        raise Conflict("a running run cannot be deleted", "stop it first, then delete it")
    values: dict[str, Any] = {"deleted_at": now(), "idempotency_key": None, "place": None}
    if run.state is RunState.QUEUED:
        values["state"] = RunState.STOPPED.value
    connection.execute(update(runs).where(runs.c.number == run.number).values(values))
    return run.number


def mark_expired(connection: Connection) -> None:
    """The same with every run that has been in the bin for a day."""
    expired = runs.c.binned_at < now() - BIN_MICROSECONDS, runs.c.deleted_at.is_(None)
    connection.execute(update(runs).where(*expired).values(deleted_at=now(), idempotency_key=None))


def marked(connection: Connection) -> list[UUID]:
    """The runs that were deleted and of which something is left, oldest deletion first."""
    found = select(runs.c.id).where(runs.c.deleted_at.is_not(None)).order_by(runs.c.deleted_at)
    return list(connection.execute(found).scalars())


def sweep(connection: Connection, run_id: UUID, *, at_last: bool = True) -> bool:
    """Delete some rows of a deleted run, and ``at_last`` the run itself; whether something is left."""
    number = connection.execute(
        select(runs.c.number).where(runs.c.id == run_id, runs.c.deleted_at.is_not(None))
    ).scalar_one_or_none()
    if number is None:
        return False
    if _sweep_checkpoints(connection, number):
        return True
    left = ROWS
    for table in (metrics, vectors, samples, log, tags, attempts):
        left -= delete_some(connection, table, left, table.c.run == number)
        if left <= 0:
            return True
    if at_last:
        connection.execute(delete(runs).where(runs.c.number == number))
    return not at_last


def _sweep_checkpoints(connection: Connection, run: int) -> bool:
    of_run = checkpoints.c.run == run
    rows = connection.execute(select(checkpoints.c.step, func.length(checkpoints.c.data)).where(of_run)).all()
    size, steps = 0, []
    for step, length in rows:
        if size < BYTES:
            size += length
            steps.append(step)
    connection.execute(delete(checkpoints).where(of_run, checkpoints.c.step.in_(steps)))
    return len(steps) < len(rows)


def delete_some(connection: Connection, table: Table, limit: int, *which: ColumnElement[bool]) -> int:
    """Delete at most so many of the rows that match; how many there were."""
    key = list(table.primary_key.columns)
    some = select(*key).where(*which).order_by(*key).limit(limit)
    return connection.execute(delete(table).where(tuple_(*key).in_(some))).rowcount


def recorded_after(connection: Connection, run: int, step: int) -> list[tuple[Table, ColumnElement[bool]]]:
    """Which rows of which table a run recorded after a step, name by name, as their indexes find them.

    Its checkpoints are left out, and the chunks of metrics that reach across the step.
    """
    found: list[tuple[Table, ColumnElement[bool]]] = []
    for table, column in ((metrics, metrics.c.first_step), (vectors, vectors.c.step)):
        keys = select(table.c.key).where(table.c.run == run).distinct()
        found += [
            (table, and_(table.c.run == run, table.c.key == key, column > step))
            for key in connection.execute(keys).scalars()
        ]
    return [*found, (samples, and_(samples.c.run == run, samples.c.step > step))]
