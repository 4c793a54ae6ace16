"""A report lands whole or not at all: metrics, checkpoint, gradients, samples, log and state together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from benchmarks.prove.ground import Ground
from benchmarks.prove.processes import until
from benchmarks.prove.promise import Promise, hold
from benchmarks.prove.stand_in import ENDLESS, StandIn, picture

TABLES = ("metrics", "vectors", "samples", "log", "checkpoints", "attempts", "runs")
"""In which a report leaves rows."""
KILLS = 5
MEGABYTES = 8
"""Of the checkpoints that are being written as the service is killed."""


@contextmanager
def failing(ground: Ground, table: str) -> Iterator[None]:
    """Writing to one table fails meanwhile, as a full or broken disk would have it."""
    if ground.is_postgresql:
        make = [
            "CREATE OR REPLACE FUNCTION planted() RETURNS trigger AS "
            "$$ BEGIN RAISE EXCEPTION 'planted'; END $$ LANGUAGE plpgsql",
            f"CREATE TRIGGER planted BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW "
            "EXECUTE FUNCTION planted()",
        ]
        drop = [f"DROP TRIGGER planted ON {table}"]
    else:
        events = {"planted_insert": "INSERT", "planted_update": "UPDATE"}
        make = [
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'planted'); END"
            for name, event in events.items()
        ]
        drop = [f"DROP TRIGGER {name}" for name in events]
    _do(ground, make)
    try:
        yield
    finally:
        _do(ground, drop)


def _do(ground: Ground, statements: list[str]) -> None:
    with ground.sql() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def whole_or_not(ground: Ground) -> str:
    """First each table fails in turn; then the service is killed while it writes."""
    with ground.service() as service:
        worker = StandIn(ground, service, service.launch(ENDLESS))
        try:
            broken = [_with_failing(ground, worker, table) for table in TABLES]
            newest = 0
            for _ in range(KILLS):
                newest = _killed(ground, worker)
        finally:
            worker.close()
    return (
        f"{len(broken)} tables made to fail, {KILLS} kills while checkpoints of {MEGABYTES} MB were written: "
        f"each report whole or absent, the newest at update {newest:,}"
    )


def _with_failing(ground: Ground, worker: StandIn, table: str) -> str:
    """Refused with nothing of it stored; sent again, all of it is."""
    service, run = worker.service, worker.run
    body = worker.report(checkpoint=table.encode() * 1000)
    before = picture(service, run)
    with failing(ground, table):
        status = worker.post(body).status_code
        hold(status >= 500, f"where {table} could not be written, a report was answered {status}")
        after = picture(service, run)
        for kind, value in before.items():
            hold(after[kind] == value, f"{table} could not be written, and {kind} of the same report changed")
    reply = worker.post(body)
    hold(
        reply.status_code == 200, f"the report sent again was answered {reply.status_code} {reply.text[:200]}"
    )
    _is_there(picture(service, run), worker.step - 1)
    return table


def _is_there(shown: Any, step: int) -> None:
    """Every part of the report that ended at ``step``, and of none after it."""
    newest = {
        "the loss": shown["metrics"]["loss"]["step"][-1],
        "the gradient": shown["gradients"]["h/0"]["steps"][-1],
        "the sample": shown["samples"][-1]["step"],
        "the checkpoint": shown["checkpoints"][-1]["step"],
        "the log": int(shown["log"][-1]["text"].rpartition(" ")[2]),
        "the run's step": shown["run"]["step"],
        "the summary": shown["run"]["summary"]["best_step"],
    }
    hold(
        set(newest.values()) == {step},
        f"parts of one report stand at different updates: {newest}, sent was {step}",
    )
    steps = shown["metrics"]["loss"]["step"]
    hold(steps == sorted(set(steps)), "a point is stored twice, or out of order")


def _killed(ground: Ground, worker: StandIn) -> int:
    """Reports with large checkpoints follow each other until the service is killed."""
    service = worker.service
    acknowledged = worker.step - 1
    data = ground.chosen.randbytes(2**20) * MEGABYTES
    unanswered: list[bytes] = []

    def talk() -> None:
        nonlocal acknowledged
        while True:
            body = worker.report(checkpoint=data)
            try:
                if worker.post(body).status_code != 200:
                    break
            except httpx.HTTPError:
                break
            acknowledged = worker.step - 1
        unanswered.append(body)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    time.sleep(ground.chosen.uniform(0.3, 1.5))
    service.kill()
    thread.join(60)
    service.start()
    hold(until(lambda: service.call("GET", "/health"), 30), "no health after a kill")
    stored = int(service.run(worker.run).step)
    hold(
        stored in (acknowledged, worker.step - 1),
        f"acknowledged was update {acknowledged}, stored is {stored}",
    )
    _is_there(picture(service, worker.run), stored)
    for body in unanswered:  # what a worker does: the same post again
        reply = worker.post(body)
        hold(reply.status_code == 200, f"the report sent again was answered {reply.status_code}")
    _is_there(picture(service, worker.run), worker.step - 1)
    return worker.step - 1


PROMISES = [
    Promise(
        name="together",
        says="A metric and the checkpoint it belongs to are stored together or not at all",
        tried="each table made to fail amid a report; the service killed while it writes; all sent again",
        proof=whole_or_not,
    ),
]
