"""A database that goes away, and one that keeps silent: nothing acknowledged is lost, runs go on."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from benchmarks.prove.ground import Ground
from benchmarks.prove.kills import LSTM
from benchmarks.prove.processes import until
from benchmarks.prove.promise import POSTGRESQL, Promise, hold
from benchmarks.prove.recorded import difference, losses, same, unbroken, whole
from benchmarks.service import Service

TIMES = 2
AWAY_SECONDS = 3.0
HANG_SECONDS = 14.0
"""Longer than SQLite's writer waits for a lock, and than a person waits for a page."""
BACK_WITHIN = 20.0
"""Seconds in which the service must work again once its database does."""


def outage(ground: Ground) -> str:
    """PostgreSQL is killed without a last write, and comes back by recovery."""
    return _trouble(ground, _gone, TIMES, AWAY_SECONDS)


def hang(ground: Ground) -> str:
    """The database answers nobody for a while: PostgreSQL frozen, SQLite's file locked by someone else."""
    return _trouble(ground, _frozen if ground.is_postgresql else _locked, 1, HANG_SECONDS)


@contextmanager
def _gone(ground: Ground) -> Iterator[None]:
    ground.postgresql.stop("immediate")
    yield
    ground.postgresql.start()


@contextmanager
def _frozen(ground: Ground) -> Iterator[None]:
    ground.postgresql.send(signal.SIGSTOP)
    yield
    ground.postgresql.send(signal.SIGCONT)


@contextmanager
def _locked(ground: Ground) -> Iterator[None]:
    other = sqlite3.connect(ground.store.removeprefix("sqlite:///"), isolation_level=None, timeout=30)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.execute("ROLLBACK")
    other.close()


def _trouble(ground: Ground, strikes: Callable[[Ground], object], times: int, seconds: float) -> str:
    refusals, slowest_refusal, slowest_return = 0, 0.0, 0.0
    with ground.service() as service:
        expected = unbroken(service, LSTM)
        run = service.launch(LSTM)
        for turn in range(times):
            hold(until(lambda: losses(service, run), 60), "no update in time")
            time.sleep(ground.chosen.uniform(0.1, 1.0))
            service.call("PATCH", f"/runs/{run.id}", json={"tags": [f"turn {turn}"]})
            seen = losses(service, run)
            with strikes(ground):  # type: ignore[attr-defined]
                refused, took = _meanwhile(service, seconds)
            refusals, slowest_refusal = refusals + refused, max(slowest_refusal, took)
            back = time.monotonic()
            hold(
                until(lambda: _works(service, 10.0), BACK_WITHIN), "the database is back, the service is not"
            )
            slowest_return = max(slowest_return, time.monotonic() - back)
            after = losses(service, run)
            hold(after[: len(seen)] == seen, f"metrics that were shown are lost: {difference(seen, after)}")
            hold(service.run(run).tags == [f"turn {turn}"], "a tag that was acknowledged is lost")
        equal = same(expected, whole(service, run))
    return (
        f"{times} × {seconds:g} s; {refusals} requests told so within {slowest_refusal:.1f} s, back "
        f"within {slowest_return:.1f} s; {equal}"
    )


def _meanwhile(service: Service, seconds: float) -> tuple[int, float]:
    """Requests that were refused in words, and how long the slowest of them took."""
    end = time.monotonic() + seconds
    refused, slowest = 0, 0.0
    while time.monotonic() < end:
        began = time.monotonic()
        for method, path in (("GET", "/health"), ("POST", "/runs")):
            options = {"json": {"config": LSTM}} if method == "POST" else {}
            try:
                reply = service.http.request(method, path, timeout=seconds + 30, **options)  # type: ignore[arg-type]
            except httpx.HTTPError as error:
                hold(service.process.poll() is None, "the service ended because its database was away")
                hold(False, f"{method} {path} got no answer while the database was away: {error!r}")
            if reply.status_code == 503:
                told = reply.json()
                hold(told["message"] and told["remedy"], f"no words for a database that is away: {told}")
                refused, slowest = refused + 1, max(slowest, time.monotonic() - began)
            elif reply.status_code >= 500:
                hold(
                    False,
                    f"{method} {path} while the database is away: {reply.status_code} {reply.text[:300]}",
                )
            began = time.monotonic()
        time.sleep(0.2)
    hold(refused, f"the database was away for {seconds:g} s and no request was told so")
    return refused, slowest


def _works(service: Service, patience: float) -> bool:
    try:
        reply = service.http.request("GET", "/runs", timeout=patience)
    except httpx.HTTPError:
        return False
    return reply.is_success


PROMISES = [
    Promise(
        name="outage",
        says="A database that goes away costs nothing that was acknowledged, and runs go on",
        tried="PostgreSQL stopped (immediate) under a running worker, started again; run compared by ==",
        proof=outage,
        databases=(POSTGRESQL,),
    ),
    Promise(
        name="hang",
        says="A database that hangs costs nothing, and whoever asks meanwhile is told",
        tried="PostgreSQL frozen with SIGSTOP, SQLite's file locked by another process; run compared by ==",
        proof=hang,
    ),
]
