"""When each running attempt was last heard of, by this process's own monotonic clock.

The time that the database keeps of a report would not do: it goes by the wall clock, which may be set while
the run trains. So a service that has just started waits as long as for an attempt that has just begun.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

from trainer.schema import Run, RunState

SILENCE_SECONDS = 30
"""A worker reports twice a second, also during a long update; one that says nothing for so long does not
answer: it was stopped, it hangs, or the network does."""
FIRST_WORD_SECONDS = 90
"""How much longer its first word may take, while the forkserver comes up on a machine that is busy."""


class Leases:
    """What was heard of attempts since this process began."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: dict[UUID, tuple[int, float]] = {}
        self.begin()

    def begin(self) -> None:
        """From now on workers can be heard."""
        self._began = self._clock()

    def started(self, run_id: UUID, attempt: int) -> None:
        """The attempt is to begin now."""
        self._heard[run_id] = (attempt, self._clock() + FIRST_WORD_SECONDS)

    def heard(self, run_id: UUID, attempt: int) -> None:
        """A report of the attempt was stored."""
        self._heard[run_id] = (attempt, self._clock())

    def knocked(self, run_id: UUID, attempt: int) -> None:
        """The attempt has something to say, and the database could not take it: it answers all the same."""
        known, _ = self._heard.get(run_id, (attempt, 0.0))
        if known == attempt:
            self.heard(run_id, attempt)

    def forget(self, run_id: UUID) -> None:
        """The run is over."""
        self._heard.pop(run_id, None)

    def silence(self, run: Run) -> int | None:
        """Seconds for which the run's worker has not answered; None while it does, or there is none."""
        if run.state is not RunState.RUNNING:
            return None
        attempt, at = self._heard.get(run.id, (run.attempt, self._began))
        seconds = int(self._clock() - (at if attempt == run.attempt else self._began))
        return seconds if seconds >= SILENCE_SECONDS else None

    def told(self, run: Run) -> Run:
        """The run, with word of a worker that does not answer."""
        silence = self.silence(run)
        return run if silence is None else run.model_copy(update={"silent_for": silence, "can_resume": True})
