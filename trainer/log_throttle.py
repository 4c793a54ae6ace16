"""The same complaint over and over, told now and then: a log must not fill the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

SECONDS = 60.0
"""Between two records of the same kind."""
AT_ONCE = 5
"""Of one kind, before the first is held back."""
KINDS = 1000
"""That are remembered; more than a program has."""


class Throttle(logging.Filter):
    """Lets some records of each kind pass, and after a pause one more that says how many there were."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, int, str], tuple[int, int, float]] = {}
        """For each kind: how many passed, at most AT_ONCE; how many were held back since; and when one last
        passed."""

    def filter(self, record: logging.LogRecord) -> bool:
        # The text before its values are put in; its first line, since asyncio puts them in itself.
        kind = (record.name, record.levelno, str(record.msg).partition("\n")[0][:200])
        now = self._clock()
        with self._lock:
            if len(self._kinds) > KINDS:
                self._kinds.clear()
            passed, held, last = self._kinds.get(kind, (0, 0, now))
            if passed == AT_ONCE and now - last < SECONDS:
                self._kinds[kind] = (passed, held + 1, last)
                return False
            if passed == AT_ONCE and not held:  # it was quiet for so long
                passed = 0
            self._kinds[kind] = (min(passed + 1, AT_ONCE), 0, now)
        if held:
            record.msg, record.args = (
                f"{record.getMessage()} (and {held:,} more like it since the last)",
                None,
            )
        return True


LOUD = ("asyncio", "uvicorn.error", "trainer.scheduler", "trainer.engine.local", "trainer.service.errors")
"""Loggers of what happens again and again where something is wrong for long."""

_throttle = Throttle()


def quieten() -> None:
    """Hold back what is said over and over. Again: no change."""
    for name in LOUD:
        logging.getLogger(name).addFilter(_throttle)
