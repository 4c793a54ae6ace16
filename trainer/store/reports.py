"""A worker's report: who may post it, and all of its rows in one transaction."""

from __future__ import annotations

import hmac
import math
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, update

from trainer.schema import End, Report, ReportReply, RunState, Summary
from trainer.store import checkpoints, logs, metrics, recordings
from trainer.store.errors import BadReport, BadToken, StaleAttempt
from trainer.store.lifecycle import finish, hash_token
from trainer.store.mapping import IS_THERE, AnyRow, merge, not_found, summary_columns
from trainer.store.records import now
from trainer.store.tables import attempts, runs


def check(report: Report, checkpoint: bytes | None) -> None:
    """Refuse a report that contradicts itself. Needs no database, so it runs outside the writer's lock."""
    metrics.check(report.metrics)
    recordings.check(report.vectors, report.samples)
    checkpoints.check(report.checkpoint, checkpoint)
    if not 0 <= report.sequence < metrics.MAX_STEP or not 0 <= report.step < metrics.MAX_STEP:
        raise BadReport(f"sequence {report.sequence}, step {report.step}", "count both from 0")
    if not 0 <= report.pid < 2**62:
        raise BadReport(f"pid {report.pid}", "send the worker's process id")
    if report.end is not None and not report.end.state.is_over:
        raise BadReport(
            f"a last word of {report.end.state.value}", "end as finished, stopped, failed or interrupted"
        )
    chance = report.summary.chance if report.summary is not None else None
    if chance is not None and not math.isfinite(chance.loss):
        raise BadReport("a chance level that is not finite", "send a finite loss, or no chance at all")


def accept(
    connection: Connection,
    names: metrics.Names,
    run_id: UUID,
    number: int,
    token: str,
    report: Report,
    checkpoint: bytes | None,
) -> tuple[ReportReply, dict[str, int]]:
    """Store a report of the current attempt.

    Returns:
        The reply, and the integers of its names: to be remembered after the commit.
    """
    attempt = authorize(connection, run_id, number, token)
    reply = ReportReply(stop=attempt.stop_requested_at is not None)
    if report.sequence < attempt.next_sequence:
        return reply, {}  # stored before; its answer was lost on the way
    if attempt.ended_at is not None:
        raise StaleAttempt(f"attempt {number} has ended", "exit; nothing more of it will be stored")
    run = attempt.run
    keys = names.ids(connection, [*report.metrics, *(vector.name for vector in report.vectors)])
    metrics.write(connection, run, keys, report.metrics)
    recordings.write_vectors(connection, run, keys, report.vectors)
    recordings.write_samples(connection, run, report.samples)
    logs.append(connection, run, number, report.log)
    if report.checkpoint is not None and checkpoint is not None:
        checkpoints.write(connection, run, report.checkpoint, checkpoint)
    connection.execute(
        update(attempts)
        .where(attempts.c.run == run, attempts.c.number == number)
        .values(next_sequence=report.sequence + 1, last_report_at=now(), pid=report.pid)
    )
    # A resumed worker reports before it has read its checkpoint: the run stands at its step meanwhile.
    changed: dict[str, Any] = {"step": max(report.step, attempt.step)}
    if report.summary is not None:
        changed |= summary_columns(merge(Summary.model_validate_json(attempt.summary), report.summary))
    connection.execute(update(runs).where(runs.c.number == run).values(changed))
    if report.end is not None:
        finish(connection, run, number, *_verdict(report.end, changed["step"], by_user=reply.stop))
    return reply, keys


def _verdict(end: End, step: int, *, by_user: bool) -> tuple[RunState, str | None]:
    """How the attempt ended: a worker that got no answer in time cannot know who wanted it to."""
    if end.state is RunState.INTERRUPTED and by_user:
        return RunState.STOPPED, f"stopped at update {step}"
    return end.state, end.reason


def authorize(connection: Connection, run_id: UUID, number: int, token: str) -> AnyRow:
    """The attempt's row with the run's summary and step, if the token is its own and no later one took over.

    Raises:
        RunNotFound: the run was deleted.
        BadToken: not this attempt's token, or there is no such attempt.
        StaleAttempt: there is a newer attempt.
    """
    run = connection.execute(
        select(runs.c.number, runs.c.attempt).where(runs.c.id == run_id, IS_THERE)
    ).one_or_none()
    if run is None:
        raise not_found(run_id)
    attempt = connection.execute(
        select(*attempts.c, runs.c.summary, runs.c.step)
        .join(runs, runs.c.number == attempts.c.run)
        .where(attempts.c.run == run.number, attempts.c.number == min(number, 2**31 - 1))
    ).one_or_none()
    stored = attempt.token_hash if attempt is not None else "-"
    if not hmac.compare_digest(hash_token(token), stored) or attempt is None:
        raise BadToken("this is not the token of this attempt", "use the one that came with the assignment")
    if number != run.attempt:
        raise StaleAttempt(
            f"attempt {number} is over: attempt {run.attempt} has taken its place",
            "exit; nothing more is stored",
        )
    return attempt


def is_current_token(connection: Connection, token: str) -> bool:
    """Whether this is the token of some attempt that has not ended."""
    found = select(attempts.c.number).where(
        attempts.c.token_hash == hash_token(token), attempts.c.ended_at.is_(None)
    )
    return connection.execute(found).one_or_none() is not None
