"""Runs as the user handles them: made, found, listed, renamed, tagged, deleted."""

from __future__ import annotations

import uuid
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update

from trainer.schema import Run, RunConfig, RunState, Summary
from trainer.store.errors import Conflict, IdempotencyConflict
from trainer.store.lifecycle import next_place
from trainer.store.mapping import COLUMNS, launch_hash, load, number_of, summary_columns, to_runs
from trainer.store.records import now
from trainer.store.tables import attempts, checkpoints, log, metrics, runs, samples, tags, vectors


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


def patch(connection: Connection, run_id: UUID, name: str | None, labels: list[str] | None) -> Run:
    """Rename or tag a run; None leaves."""
    number = number_of(connection, run_id)
    if name is not None:
        connection.execute(update(runs).where(runs.c.number == number).values(name=name))
    if labels is not None:
        _set_tags(connection, number, list(dict.fromkeys(labels)))
    return load(connection, run_id)


def remove(connection: Connection, run_id: UUID) -> None:
    """Delete a run and every row of it; a running one must be stopped first."""
    run = load(connection, run_id)
    if run.state is RunState.RUNNING:
        raise Conflict("a running run cannot be deleted", "stop it first, then delete it")
    for table in (metrics, vectors, samples, log, checkpoints, attempts, tags):
        connection.execute(delete(table).where(table.c.run == run.number))
    connection.execute(delete(runs).where(runs.c.number == run.number))


def _set_tags(connection: Connection, number: int, labels: list[str]) -> None:
    connection.execute(delete(tags).where(tags.c.run == number))
    if labels:
        connection.execute(
            insert(tags), [{"run": number, "position": i, "tag": tag} for i, tag in enumerate(labels)]
        )
