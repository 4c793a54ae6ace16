"""A database that is away: one caller at a time tries whether it is back, and the log hears of it rarely."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from trainer.store.errors import StoreAway

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""After a server was out of reach, how long everybody is told so without asking it again."""
TRIAL_SECONDS = 15.0
"""How long one caller may try while the others are told that it is away."""
LOG_SECONDS = 60.0
"""Between two lines of the log."""


class Absence:
    """Knows whether the database answered last time, for all threads.

    A server that hangs would otherwise hold every thread that asks it, one time-out after the other, and with
    them the answers to requests that need no database.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._out_of_reach: StoreAway | None = None
        self._closed_until = 0.0
        self._since: float | None = None
        self._logged = -LOG_SECONDS

    def check(self) -> None:
        """Pass, or raise StoreAway at once where a caller has just found the server out of reach."""
        with self._lock:
            if self._out_of_reach is None:
                return
            if self._clock() < self._closed_until:
                raise StoreAway(self._out_of_reach.message, self._out_of_reach.remedy)
            self._closed_until = self._clock() + TRIAL_SECONDS  # this caller tries

    def failed(self, error: StoreAway, *, out_of_reach: bool) -> None:
        """Remember the failure, and write a line about it unless there was one a short while ago."""
        with self._lock:
            now = self._clock()
            if self._since is None:
                self._since = now
            if out_of_reach:
                self._out_of_reach, self._closed_until = error, now + RETRY_SECONDS
            else:
                self._closed_until = now  # the next caller may try
            if speak := now - self._logged >= LOG_SECONDS:
                self._logged = now
            seconds = now - self._since
        if speak:
            logger.error("%s (for %.0f s; said once a minute)", error.message, seconds)

    def answered(self) -> None:
        """The database did its work."""
        if self._since is None:  # as almost always: no lock for that
            return
        with self._lock:
            since, self._since, self._out_of_reach = self._since, None, None
            now = self._clock()
        if since is not None and now - since >= RETRY_SECONDS:
            logger.warning("the database does its work again, after %.0f s", now - since)
