"""A run's life: queued, running, over, and queued again. Every change of state is made here."""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, update

from trainer.schema import Run, RunState
from trainer.store.errors import Conflict
from trainer.store.logs import append_line
from trainer.store.mapping import COLUMNS, load, number_of, to_runs
from trainer.store.records import Attempt, RunningAttempt, now, scrub, to_datetime_or_none
from trainer.store.rewind import rewind
from trainer.store.tables import attempts, runs


def next_place(connection: Connection) -> int:
    """The place behind everyone in the queue."""
    last = connection.execute(select(func.max(runs.c.place)).where(runs.c.state == RunState.QUEUED.value))
    return (last.scalar_one() or 0) + 1


def next_queued(connection: Connection) -> Run | None:
    """The run that has waited longest."""
    row = connection.execute(
        select(*COLUMNS).where(runs.c.state == RunState.QUEUED.value).order_by(runs.c.place).limit(1)
    ).one_or_none()
    return None if row is None else to_runs(connection, [row])[0]


def start_attempt(connection: Connection, run_id: UUID) -> Attempt:
    """Queued to running, with a new attempt; what was recorded after the checkpoint is dropped."""
    run = load(connection, run_id)
    if run.state is not RunState.QUEUED:
        raise Conflict(f"run {run_id} is {run.state.value}, not queued", "resume it to queue it again")
    number, token = run.attempt + 1, secrets.token_urlsafe(32)
    resume_step, summary = rewind(connection, run) if run.attempt else (None, {})
    started = now()
    connection.execute(
        insert(attempts),
        {
            "run": run.number,
            "number": number,
            "token_hash": hash_token(token),
            "state": RunState.RUNNING.value,
            "started_at": started,
            "next_sequence": 0,
        },
    )
    values: dict[str, Any] = {
        "state": RunState.RUNNING.value,
        "reason": None,
        "attempt": number,
        "ended_at": None,
    }
    values |= {"place": None, "step": resume_step or 0, **summary}
    if run.started_at is None:
        values["started_at"] = started
    connection.execute(update(runs).where(runs.c.number == run.number).values(values))
    return Attempt(
        run_id=run_id, number=number, token=token, config=run.config, resume=resume_step is not None
    )


def request_stop(connection: Connection, run_id: UUID) -> Run:
    """Stop a queued run at once; tell a running one in its next reply; leave one that is over."""
    run = load(connection, run_id)
    if run.state is RunState.QUEUED:
        values = {"state": RunState.STOPPED.value, "reason": "stopped before it started", "ended_at": now()}
        connection.execute(update(runs).where(runs.c.number == run.number).values(**values, place=None))
    elif run.state is RunState.RUNNING:
        connection.execute(
            update(attempts)
            .where(attempts.c.run == run.number, attempts.c.number == run.attempt)
            .where(attempts.c.stop_requested_at.is_(None))
            .values(stop_requested_at=now())
        )
    return load(connection, run_id)


def requeue(
    connection: Connection, run_id: UUID, silence: Callable[[Run], int | None] = lambda _: None
) -> Run:
    """Resume: to the end of the queue.

    Args:
        connection: in a transaction that may write.
        run_id: whose run.
        silence: seconds for which a run's worker has not answered, or None. The attempt of one that does not
            is over: should it come back, none of its reports is taken.
    """
    run = load(connection, run_id)
    if run.binned_at is not None:
        raise Conflict(
            "the run is in the bin",
            "put it back first, on the dashboard's page Runs or by PATCH with binned false; then resume it",
        )
    silent = silence(run)
    if silent is not None:
        reason = f"its process did not answer for {silent} s, and the run was resumed without it"
        finish(connection, run.number, run.attempt, RunState.INTERRUPTED, reason)
        append_line(
            connection, run.number, run.attempt, "warning", f"Attempt {run.attempt} is over: {reason}."
        )
    elif not run.state.can_resume:
        remedy = {
            RunState.QUEUED: "it starts by itself when its turn comes",
            RunState.RUNNING: "it is under way and answers; stop it first if you want to",
            RunState.FINISHED: "it has made all its steps; launch it again with more",
        }[run.state]
        raise Conflict(f"a {run.state.value} run cannot be resumed", remedy)
    connection.execute(
        update(runs)
        .where(runs.c.number == run.number)
        .values(state=RunState.QUEUED.value, reason=None, ended_at=None, place=next_place(connection))
    )
    return load(connection, run_id)


def put_back(connection: Connection, run_id: UUID, number: int, reason: str, most: int) -> int:
    """Running to queued, before all others, of an attempt whose process never began; see ``Store.put_back``.

    Attempts that are told apart by their reports: who ever made one had begun.
    """
    run = _current(connection, run_id, number)
    if run is None:
        return 0
    row = (
        select(attempts.c.number, attempts.c.state, attempts.c.last_report_at)
        .where(attempts.c.run == run, attempts.c.number < number)
        .order_by(attempts.c.number.desc())
    )
    before = itertools.takewhile(
        lambda earlier: earlier.last_report_at is None and earlier.state == RunState.INTERRUPTED.value,
        connection.execute(row.limit(most)),
    )
    tries = 1 + sum(1 for _ in before)
    if tries >= most:
        return tries
    finish(connection, run, number, RunState.INTERRUPTED, f"it could not start: {reason}")
    append_line(
        connection, run, number, "warning", f"Attempt {number} could not start: {reason}. Tried again."
    )
    first = select(func.min(runs.c.place)).where(runs.c.state == RunState.QUEUED.value)
    place = connection.execute(first).scalar_one()
    connection.execute(
        update(runs)
        .where(runs.c.number == run)
        .values(
            state=RunState.QUEUED.value, reason=None, ended_at=None, place=1 if place is None else place - 1
        )
    )
    return tries


def end_attempt(
    connection: Connection, run_id: UUID, number: int, state: RunState, reason: str | None
) -> bool:
    """End an attempt from outside; False, and no change, unless it is the current one and running."""
    if not state.is_over:
        raise ValueError(
            f"an attempt cannot end as {state.value}; use finished, stopped, failed or interrupted"
        )
    run = _current(connection, run_id, number)
    if run is None:
        return False
    finish(connection, run, number, state, reason)
    return True


def _current(connection: Connection, run_id: UUID, number: int) -> int | None:
    """The run's number, if this attempt of it is the current one and running. Raises RunNotFound."""
    run = number_of(connection, run_id)
    found = select(runs.c.number).where(
        runs.c.number == run, runs.c.attempt == number, runs.c.state == RunState.RUNNING.value
    )
    current: int | None = connection.execute(found).scalar_one_or_none()
    return current


def finish(connection: Connection, run: int, number: int, state: RunState, reason: str | None) -> None:
    """Set the run and its attempt to their end; the caller has checked that the attempt is current."""
    values = {"state": state.value, "reason": None if reason is None else scrub(reason), "ended_at": now()}
    connection.execute(update(runs).where(runs.c.number == run).values(values))
    connection.execute(
        update(attempts).where(attempts.c.run == run, attempts.c.number == number).values(values)
    )


def running(connection: Connection) -> list[RunningAttempt]:
    """The attempts that are running as far as the store knows, in the order of their runs."""
    found = (
        select(runs.c.id, *attempts.c)
        .join_from(attempts, runs, runs.c.number == attempts.c.run)
        .where(attempts.c.state == RunState.RUNNING.value)
        .order_by(attempts.c.run)
    )
    return [
        RunningAttempt(
            run_id=row.id,
            number=row.number,
            pid=row.pid,
            last_report_at=to_datetime_or_none(row.last_report_at),
            stop_requested_at=to_datetime_or_none(row.stop_requested_at),
        )
        for row in connection.execute(found)
    ]


def hash_token(token: str) -> str:
    """What is stored of an attempt's token: its SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
