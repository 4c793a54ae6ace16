"""Runs as the user handles them: made, renamed, tagged, put into the bin and taken out of it."""

from __future__ import annotations

import uuid
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update

from trainer.schema import Run, RunConfig, RunState, Summary
from trainer.store.errors import Conflict, IdempotencyConflict
from trainer.store.lifecycle import next_place, request_stop
from trainer.store.mapping import COLUMNS, launch_hash, load, number_of, summary_columns, to_runs
from trainer.store.records import now
from trainer.store.tables import runs, tags


def create(
    connection: Connection, config: RunConfig, name: str, labels: list[str], idempotency_key: str | None
) -> tuple[Run, bool]:
    """A new queued run; or, for an idempotency key that was seen, the run that it made, and False."""
    labels = list(dict.fromkeys(labels))
    asked = launch_hash(config, name, labels)
    if idempotency_key is not None:
        found = connection.execute(
            select(*COLUMNS, runs.c.launch_hash).where(runs.c.idempotency_key == idempotency_key)
        ).one_or_none()
        if found is not None:
            if found.launch_hash != asked:
                raise IdempotencyConflict(
                    f"the Idempotency-Key {idempotency_key!r} was used for another launch",
                    "use a new key for a new launch",
                )
            return to_runs(connection, [found])[0], False
    run_id = uuid.uuid4()
    values = {
        "id": run_id,
        "name": name,
        "state": RunState.QUEUED.value,
        "attempt": 0,
        "step": 0,
        "model": str(config.model.get("name", ""))[:120],
        "task": str(config.task.get("name", ""))[:120],
        "config": config.model_dump_json(),
        "created_at": now(),
        "place": next_place(connection),
        "idempotency_key": idempotency_key,
        "launch_hash": asked,
        **summary_columns(Summary()),
    }
    connection.execute(insert(runs), values)
    _set_tags(connection, number_of(connection, run_id), labels)
    return load(connection, run_id), True


def patch(
    connection: Connection, run_id: UUID, name: str | None, labels: list[str] | None, binned: bool | None
) -> Run:
    """Rename or tag a run, put it into the bin or back; None leaves."""
    number = number_of(connection, run_id)
    if binned is not None:
        _set_binned(connection, run_id, binned=binned)
    if name is not None:
        connection.execute(update(runs).where(runs.c.number == number).values(name=name))
    if labels is not None:
        _set_tags(connection, number, list(dict.fromkeys(labels)))
    return load(connection, run_id)


def _set_binned(connection: Connection, run_id: UUID, *, binned: bool) -> None:
    """Into the bin, whence it can be put back for a day; a run that waits for its turn is stopped with it."""
    run = load(connection, run_id)
    if binned == (run.binned_at is not None):
        return
    if binned and run.state is RunState.RUNNING:
        raise Conflict("a running run cannot be put into the bin", "stop it first")
    if binned:
        request_stop(connection, run_id)
    values = {"binned_at": now() if binned else None}
    connection.execute(update(runs).where(runs.c.number == run.number).values(values))


def _set_tags(connection: Connection, number: int, labels: list[str]) -> None:
    connection.execute(delete(tags).where(tags.c.run == number))
    if labels:
        connection.execute(
            insert(tags), [{"run": number, "position": i, "tag": tag} for i, tag in enumerate(labels)]
        )
