"""Which run starts when, and what became of those whose process ended."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from uuid import UUID

from trainer.engine.base import Ended, Engine, EngineError, NotBegun
from trainer.schema import Assignment, RunState
from trainer.store import Conflict, RunNotFound, Store, StoreAway, StoreLost
from trainer.store.records import RunningAttempt

logger = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
"""How long a worker may take to write its checkpoint and end."""
TICK_SECONDS = 0.5
"""Longest time between two looks at the store when nothing wakes the scheduler."""
TRIES = 5
"""How often a process that cannot be started is tried in a row."""
PAUSE_SECONDS = 1.0
"""Before the second try; before each other twice as long as before the last."""
SHUTDOWN = "the service was shut down"


class Scheduler:
    """A thread that brings the store and the engine into line.

    Runs start first come first served while the engine has room. A stop that the store remembers is carried
    out. Whatever the store holds for running and no process does is ended in the store, with a reason: that
    covers workers that were killed and those that an earlier service left behind.

    Args:
        store: the one truth.
        engine: what runs the attempts.
        url: where workers reach the service.
    """

    def __init__(self, store: Store, engine: Engine, url: str) -> None:
        self._store, self._engine, self._url = store, engine, url
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._grace = GRACE_SECONDS
        self._deadline = 0.0
        self._ended: dict[tuple[UUID, int], Ended] = {}
        """Told by the engine and not yet written to the store."""
        self._over_since: dict[tuple[UUID, int], float] = {}
        """When processes were first seen whose attempt is over."""
        self._pause_until = 0.0
        """Nothing starts before, on the monotonic clock."""
        self._thread = threading.Thread(target=self._loop, name="scheduler", daemon=True)

    def start(self) -> None:
        self._engine.start(self.wake)
        self._thread.start()

    def wake(self) -> None:
        """Look again at once: a run was queued, or is to stop."""
        self._wake.set()

    def shutdown(self, grace: float = GRACE_SECONDS) -> None:
        """Start nothing more, have every worker write its checkpoint and end, and wait until all have.

        The service must answer during that time, or their checkpoints have no place to go.

        Args:
            grace: seconds until those that did not end are killed.
        """
        self._grace = min(self._grace, grace)
        self._deadline = time.monotonic() + grace + 2.0
        self._closing.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._engine.close()

    # --- The scheduler's thread ------------------------------------------------------------------------

    def _loop(self) -> None:
        while True:
            self._wake.clear()
            try:
                # Looked at before the step: what ends or starts during it needs another one.
                closing = self._closing.is_set()
                idle = not self._engine.attempts()
                self._step()
            except (StoreAway, StoreLost):
                # What was not written is kept and written later; that the database is away, the store logs.
                pass
            except Exception:
                idle = False
                logger.exception("the scheduler could not do its work and tries again")
            if closing and ((idle and not self._ended) or time.monotonic() > self._deadline):
                return
            self._wake.wait(TICK_SECONDS)

    def _step(self) -> None:
        self._ended |= {(ended.run_id, ended.attempt): ended for ended in self._engine.poll()}
        running = self._store.running()
        troubled = set()
        for attempt in running:
            try:
                self._align(attempt)
            except (StoreAway, StoreLost):
                raise  # nothing can be written of the others either
            except Exception:  # of this attempt alone, as far as can be known: the others are looked after
                troubled.add((attempt.run_id, attempt.number))
                logger.exception("what became of run %s could not be settled yet", attempt.run_id)
        # Those that were not among the running had said their last word.
        self._ended = {key: ended for key, ended in self._ended.items() if key in troubled}
        self._end_leftovers({(attempt.run_id, attempt.number) for attempt in running})
        if not self._closing.is_set() and time.monotonic() >= self._pause_until:
            self._start_queued()

    def _align(self, attempt: RunningAttempt) -> None:
        """Make what the store says of a running attempt true."""
        run_id, number = attempt.run_id, attempt.number
        ended = self._ended.get((run_id, number))
        if ended is None and not self._engine.adopt(run_id, number, self._url):
            ended = Ended(run_id=run_id, attempt=number, exit_code=None)
        by_user = attempt.stop_requested_at is not None
        if ended is not None:
            if not by_user and (ended.not_begun or (ended.exit_code is None and not attempt.has_reported)):
                self._put_back(run_id, number, ended.not_begun)
                return
            state, reason = self._verdict(ended, by_user=by_user)
            if self._end(run_id, number, state, reason):
                logger.info("run %s is %s: %s", run_id, state, reason)
        elif by_user or self._closing.is_set():
            self._engine.stop(run_id, number, self._grace)

    def _put_back(self, run_id: UUID, number: int, why: NotBegun | None) -> None:
        """Queue a run again whose process never began, which says nothing against the run.

        Without a reason, a service was ended between its promise to start the process and the start, or both
        ended before the process had anything to say.
        """
        why = why or NotBegun(reason="its process never began to work")
        with contextlib.suppress(RunNotFound):  # deleted meanwhile
            tries = TRIES if why.lasting else self._store.put_back(run_id, number, why.reason, TRIES)
            if tries >= TRIES:
                logger.error("run %s could not start: %s", run_id, why.reason)
                again = "" if why.lasting else f", {TRIES} times in a row"
                self._end(run_id, number, RunState.FAILED, f"it could not start{again}: {why.reason}")
            elif tries:
                logger.warning("run %s could not start and is queued again: %s", run_id, why.reason)
                self._pause_until = time.monotonic() + PAUSE_SECONDS * 2 ** (tries - 1)

    def _verdict(self, ended: Ended, *, by_user: bool) -> tuple[RunState, str]:
        """What to call the end of a process that left no last word."""
        if by_user and ended.not_begun:
            return RunState.STOPPED, "stopped before it started"
        if by_user or self._closing.is_set():
            state, why = (RunState.STOPPED, "stopped") if by_user else (RunState.INTERRUPTED, SHUTDOWN)
            if ended.forced:
                return state, f"{why}; it did not end by itself within {self._grace:.0f} s, so it was killed"
            return state, f"{why} before a new checkpoint was stored: {ended.words}"
        if ended.crashed:
            words = ended.words
            if ended.output:
                words += f"; its last output was:\n{ended.output}"
            return RunState.FAILED, words
        return RunState.INTERRUPTED, ended.words

    def _end(self, run_id: UUID, number: int, state: RunState, reason: str) -> bool:
        try:
            return self._store.end_attempt(run_id, number, state, reason)
        except RunNotFound:
            return False  # deleted meanwhile

    def _end_leftovers(self, running: set[tuple[UUID, int]]) -> None:
        """End processes that stay though their attempt is over: they take a place from runs that wait."""
        now = time.monotonic()
        left = [key for key in self._engine.attempts() if key not in running]
        self._over_since = {key: self._over_since.get(key, now) for key in left}
        for key in left:
            # One that did not answer, and whose run was resumed, has no last word to say any more.
            if now - self._over_since[key] > self._grace or self._is_superseded(*key):
                self._engine.stop(*key, 0.0)

    def _is_superseded(self, run_id: UUID, number: int) -> bool:
        try:
            run = self._store.run(run_id)
        except RunNotFound:
            return True
        return run.state is RunState.QUEUED or run.attempt != number

    def _start_queued(self) -> None:
        while self._engine.active < self._engine.capacity:
            run = self._store.next_queued()
            if run is None:
                return
            try:
                attempt = self._store.start_attempt(run.id)
            except (Conflict, RunNotFound):
                continue  # stopped or deleted in this very moment: it is no longer next
            assignment = Assignment(
                run_id=attempt.run_id,
                attempt=attempt.number,
                token=attempt.token,
                url=self._url,
                config=attempt.config,
                resume=attempt.resume,
            )
            try:
                self._engine.submit(assignment)
            except EngineError as error:
                self._put_back(attempt.run_id, attempt.number, NotBegun(reason=str(error)))
                return
