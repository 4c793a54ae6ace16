"""One database has one service: a second one is turned away and harms nothing."""

from __future__ import annotations

import contextlib
import signal
import time
from contextlib import ExitStack

import httpx

from benchmarks.prove.ground import Ground
from benchmarks.prove.kills import LSTM
from benchmarks.prove.processes import until
from benchmarks.prove.promise import Promise, hold
from benchmarks.prove.recorded import same, unbroken, whole
from benchmarks.service import NotStarted, Service
from trainer.schema import RunState

SECONDS = 3
"""Second services that are tried."""
FREED_WITHIN = 90.0
"""Seconds in which a database must be free again after its service was killed, or froze."""
ENDS_WITHIN = 60.0
"""Seconds in which a service must end whose database has gone to another."""


def turned_away(ground: Ground) -> str:
    """Second services with other data folders: beside the first; once it has left, is frozen, is killed."""
    with ExitStack() as stack:
        first = stack.enter_context(ground.service(slots=2))
        expected = unbroken(first, LSTM)
        run = first.launch(LSTM)
        hold(until(lambda: first.run(run).step > 0, 60), "no update in time")
        words = ""
        for number in range(SECONDS):
            second = ground.service(data=ground.folder / f"second-{number}")
            try:
                second.start()
            except NotStarted as error:
                words = " ".join(str(error).split()).partition("did not start: ")[2][:120]
                hold("Traceback" not in str(error), f"the second service ends with a traceback: {error}")
                continue
            stack.callback(second.stop)
            hold(False, "a second service started on a database that has one already")
        equal = same(expected, whole(first, run))
        hold(first.run(run).attempt == 1, "the second service has interrupted a run of the first")
        first.stop()
        heir, left = _next(ground, stack, "heir")
        hold(heir.run(run).state is RunState.FINISHED, "the next service does not know the runs")
        heir.process.send_signal(signal.SIGSTOP)
        third, frozen = _next(ground, stack, "third")
        _wakes_too_late(heir, third)
        third.process.send_signal(signal.SIGKILL)
        third.process.wait()
        _, killed = _next(ground, stack, "last")
    return (
        f"{SECONDS} turned away (“{words}…”); the next one is up {left:.0f} s after a stop, {frozen:.0f} s "
        f"after its owner froze, {killed:.0f} s after kill -9; {equal}"
    )


def _next(ground: Ground, stack: ExitStack, name: str) -> tuple[Service, float]:
    """A service that has tried until the database was free, and the seconds that took."""
    began = time.monotonic()
    while True:
        service = ground.service(data=ground.folder / name)
        try:
            service.start()
        except NotStarted as error:
            late = time.monotonic() - began > FREED_WITHIN
            hold(not late, f"{name}: after {FREED_WITHIN:g} s the database is not free: {error}")
            time.sleep(1)
            continue
        stack.callback(service.stop)
        return service, time.monotonic() - began


def _wakes_too_late(frozen: Service, owner: Service) -> None:
    """The service that slept finds that its database is another's now: it ends, and has changed nothing."""
    before = owner.call("GET", "/runs")
    frozen.process.send_signal(signal.SIGCONT)
    with contextlib.suppress(httpx.HTTPError):
        reply = frozen.http.post("/runs", json={"config": LSTM, "name": "too late"})
        hold(not reply.is_success, "a service whose database is another's accepts a launch")
    ended = until(lambda: frozen.process.poll() is not None, ENDS_WITHIN)
    hold(ended, "a service whose database went to another goes on")
    hold(owner.call("GET", "/runs") == before, "a service that woke up has changed another's database")


PROMISES = [
    Promise(
        name="owners",
        says="One database has one service",
        tried="second services while the first trains; after its stop, a freeze from which it wakes, kill -9",
        proof=turned_away,
    ),
]
