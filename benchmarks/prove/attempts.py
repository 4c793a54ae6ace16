"""Only the current attempt of a run is listened to: one that came back from the dead changes nothing."""

from __future__ import annotations

import os
import shutil
import signal

import psutil

from benchmarks.prove.ground import Ground
from benchmarks.prove.kills import LSTM, worker_pid
from benchmarks.prove.processes import kill, until
from benchmarks.prove.promise import Promise, hold
from benchmarks.prove.recorded import same, unbroken, whole
from benchmarks.prove.stand_in import ENDLESS, StandIn, picture
from benchmarks.service import Service
from trainer.schema import Run, RunState

EXITS_WITHIN = 20.0
"""Seconds in which a worker that nobody wants must have ended."""


def lose(ground: Ground, service: Service, runs: list[Run]) -> None:
    """Kill the service and what it knows of its workers, start it again, resume the runs."""
    service.kill()
    shutil.rmtree(ground.data / "workers")
    service.start()
    for run in runs:
        is_over = until(lambda run=run: service.run(run).state.is_over, 30)  # type: ignore[misc]
        hold(is_over, "a run whose worker is lost is still shown as running")
        service.call("POST", f"/runs/{run.id}/resume")


def refuse_the_old(ground: Ground) -> str:
    """A frozen worker whose run went on without it wakes up; and every word it could say is said for it."""
    with ground.service(slots=4) as service:
        expected = unbroken(service, LSTM)
        run, played = service.launch(LSTM), service.launch(ENDLESS)
        frozen = worker_pid(ground, run)
        until(lambda: service.run(run).step > 0, 30)
        os.kill(frozen, signal.SIGSTOP)
        old = StandIn(ground, service, played)
        try:
            lose(ground, service, [run, played])
            until(lambda: service.run(run).attempt == 2 and service.run(played).attempt == 2, 30)
            os.kill(frozen, signal.SIGCONT)
            gone = until(lambda: not _is_alive(frozen), EXITS_WITHIN)
            hold(gone, "the worker of an attempt that is over works on")
            new = StandIn(ground, service, played)
            refusals = _refusals(service, old, new)
            new.close()
        finally:
            kill(frozen)
            old.close()
        equal = same(expected, whole(service, run))
    return (
        f"{refusals} reports of attempts that are over answered 409 and unstored; the worker exits; {equal}"
    )


def _refusals(service: Service, old: StandIn, new: StandIn) -> int:
    """Reports that must be refused, without a trace."""
    before = picture(service, old.run)
    count = 0
    for checkpoint, end in (
        (None, None),
        (b"bytes", None),
        (None, RunState.FINISHED),
        (b"bytes", RunState.FAILED),
    ):
        status = old.post(old.report(checkpoint, end)).status_code
        hold(
            status == 409, f"a report of an attempt that another has replaced was answered {status}, not 409"
        )
        status = old.post(old.report(checkpoint, end), attempt=new.attempt).status_code
        hold(status == 401, f"a report with the token of another attempt was answered {status}, not 401")
        count += 2
    hold(picture(service, old.run) == before, "a report that was refused has left something")
    hold(new.post(new.report(b"bytes")).status_code == 200, "the current attempt is refused")
    hold(new.post(new.report(end=RunState.STOPPED)).status_code == 200, "a last word is refused")
    before = picture(service, old.run)
    for checkpoint, end in ((None, None), (b"bytes", RunState.FINISHED)):
        status = new.post(new.report(checkpoint, end)).status_code
        hold(status == 409, f"a report after the last word was answered {status}, not 409")
        count += 1
    hold(picture(service, old.run) == before, "a report after the last word has left something")
    return count


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


PROMISES = [
    Promise(
        name="attempts",
        says="Of a run only the current attempt is listened to",
        tried="a worker frozen while its run is resumed, then woken; reports with every old token, by hand",
        proof=refuse_the_old,
    ),
]
