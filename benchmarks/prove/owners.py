"""One database has one service: a second one is turned away and harms nothing."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack

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
"""Seconds in which a database must be free again after its service was killed."""


def turned_away(ground: Ground) -> str:
    """A second service with another data folder, at once, later, and after the first was killed."""
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
                words = str(error).strip().splitlines()[-1][:160]
                hold("Traceback" not in str(error), f"the second service ends with a traceback: {error}")
                continue
            stack.callback(second.stop)
            hold(False, "a second service started on a database that has one already")
        equal = same(expected, whole(first, run))
        hold(first.run(run).attempt == 1, "the second service has interrupted a run of the first")
        first.stop()
        stack.enter_context(
            heir := ground.service(data=ground.folder / "heir")
        )  # a service that left frees it
        hold(heir.run(run).state is RunState.FINISHED, "the next service does not know the runs")
        freed = _after_a_kill(ground, stack, heir)
    return f"{SECONDS} turned away ({words}); free after a stop, and {freed:.0f} s after kill -9; {equal}"


def _after_a_kill(ground: Ground, stack: ExitStack, owner: Service) -> float:
    """Seconds until another service can start on the database of one that was killed."""
    owner.process.send_signal(signal.SIGKILL)
    owner.process.wait()
    killed = time.monotonic()
    while True:
        last = ground.service(data=ground.folder / "last")
        try:
            last.start()
        except NotStarted as error:
            if time.monotonic() - killed > FREED_WITHIN:
                hold(
                    False,
                    f"{FREED_WITHIN:g} s after its service was killed the database is not free: {error}",
                )
            time.sleep(2)
            continue
        stack.callback(last.stop)
        return time.monotonic() - killed


PROMISES = [
    Promise(
        name="owners",
        says="One database has one service",
        tried="second services on the same database while the first trains; after its stop; after kill -9",
        proof=turned_away,
    ),
]
