"""Between a stored row of ``runs`` and the Run that the API gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select

from trainer.schema import Run, RunConfig, RunState, Summary
from trainer.store.errors import RunNotFound
from trainer.store.records import to_datetime, to_datetime_or_none
from trainer.store.tables import runs, tags

AnyRow = Row[*tuple[Any, ...]]

COLUMNS = (
    runs.c.number,
    runs.c.id,
    runs.c.name,
    runs.c.state,
    runs.c.reason,
    runs.c.attempt,
    runs.c.step,
    runs.c.config,
    runs.c.summary,
    runs.c.created_at,
    runs.c.started_at,
    runs.c.ended_at,
    runs.c.binned_at,
)

IS_THERE = runs.c.deleted_at.is_(None)
"""Not deleted: all that anybody may see."""


def to_runs(connection: Connection, rows: Sequence[AnyRow]) -> list[Run]:
    """The runs of these rows of ``COLUMNS``, with their tags."""
    labels: dict[int, list[str]] = {row.number: [] for row in rows}
    found = select(tags.c.run, tags.c.tag).where(tags.c.run.in_(labels)).order_by(tags.c.run, tags.c.position)
    for run, tag in connection.execute(found) if labels else ():
        labels[run].append(tag)
    return [to_run(row, labels[row.number]) for row in rows]


def to_run(row: AnyRow, labels: list[str]) -> Run:
    """The run of a row of ``COLUMNS``."""
    state = RunState(row.state)
    return Run.model_construct(  # every part was checked on its way in
        id=row.id,
        number=row.number,
        name=row.name,
        tags=labels,
        state=state,
        reason=row.reason,
        attempt=row.attempt,
        step=row.step,
        config=RunConfig.model_validate_json(row.config),
        summary=Summary.model_validate_json(row.summary),
        created_at=to_datetime(row.created_at),
        started_at=to_datetime_or_none(row.started_at),
        ended_at=to_datetime_or_none(row.ended_at),
        binned_at=to_datetime_or_none(row.binned_at),
        can_resume=state.can_resume and row.binned_at is None,
    )


def load(connection: Connection, run_id: UUID) -> Run:
    """The run, or RunNotFound."""
    row = connection.execute(select(*COLUMNS).where(runs.c.id == run_id, IS_THERE)).one_or_none()
    if row is None:
        raise not_found(run_id)
    return to_runs(connection, [row])[0]


def number_of(connection: Connection, run_id: UUID) -> int:
    """The run's number, which its rows carry, or RunNotFound."""
    found = select(runs.c.number).where(runs.c.id == run_id, IS_THERE)
    number: int | None = connection.execute(found).scalar_one_or_none()
    if number is None:
        raise not_found(run_id)
    return number


def not_found(run_id: UUID) -> RunNotFound:
    """The error for a run that is not there."""
    return RunNotFound(
        f"there is no run {run_id}", "it may have been deleted; GET /runs lists those that are there"
    )


def launch_hash(config: RunConfig, name: str, labels: list[str]) -> str:
    """Tells whether two launches ask for the same."""
    asked = json.dumps([config.model_dump(mode="json"), name, labels], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def merge(stored: Summary, new: Summary) -> Summary:
    """The new summary over the stored one; None leaves what is stored."""
    return stored.model_copy(
        update={
            field: getattr(new, field) for field in new.model_fields_set if getattr(new, field) is not None
        }
    )


def summary_columns(summary: Summary) -> dict[str, Any]:
    """What a row of ``runs`` keeps of a summary."""
    return {"summary": summary.model_dump_json(exclude_none=True), "validation": summary.best_validation_loss}
