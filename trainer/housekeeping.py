"""What the service does beside its work: signs of life, the bin, and room handed back to the disk."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from trainer.schema import RunState
from trainer.store import Store, StoreAway, StoreError, StoreLost
from trainer.store.owner import BEAT_SECONDS

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.02
"""Between two pieces of work: reports are written meanwhile."""
RESERVE = 32 * 2**20
"""Bytes of empty pages that stay in the file while runs train: they soon hold the next checkpoints."""
REWRITE_SECONDS = 60.0
"""Between two tries to write an old file anew; each ends as soon as somebody writes."""
FAILED_SECONDS = 60.0
"""After work that failed, until it is tried again; signs of life go on meanwhile."""


class Housekeeper:
    """A thread of the service that works with the database.

    Args:
        store: claimed by this service.
        data: its folder, where the logs of the runs' processes lie.
    """

    def __init__(self, store: Store, data: Path) -> None:
        self._store, self._logs = store, data / "logs"
        self._on_lost: Callable[[StoreLost], None] = lambda _error: None
        self._lost: StoreLost | None = None
        self._closing = threading.Event()
        self._rewrite_at = self._tidy_at = 0.0
        self._next_beat = 0.0
        self._must_truncate = True  # an earlier service may have been killed at this
        self._thread = threading.Thread(target=self._loop, name="housekeeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def when_lost(self, tell: Callable[[StoreLost], None]) -> None:
        """Have this told when another service has taken the database over, or at once if one has."""
        self._on_lost = tell
        if self._lost is not None:
            tell(self._lost)

    def stop(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def tidy(self) -> None:
        """Delete what was deleted or lay in the bin for a day, and hand its room back to the disk."""
        for run_id in self._store.deleted():
            self._delete(run_id)
        reserve = RESERVE if self._store.running() else 0
        while not self._closing.is_set() and self._store.give_back(reserve):
            self._must_truncate = True
            self._pause()
        if self._must_truncate:
            self._must_truncate = not self._store.truncate_log()

    def _loop(self) -> None:
        while not self._closing.is_set():
            try:
                self._beat()
                if time.monotonic() >= self._tidy_at:
                    self.tidy()
                    self._rewrite()
            except StoreLost as error:
                self._lost = error
                self._on_lost(error)
                return
            except StoreAway:
                pass  # the store's own log line says it
            except StoreError as error:
                self._tidy_at = time.monotonic() + FAILED_SECONDS
                logger.error("%s", error.message)
            except Exception:
                self._tidy_at = time.monotonic() + FAILED_SECONDS
                logger.exception("the housekeeping failed and tries again")
            self._closing.wait(BEAT_SECONDS)

    def _beat(self) -> None:
        self._store.beat()
        self._next_beat = time.monotonic() + BEAT_SECONDS

    def _pause(self) -> None:
        self._closing.wait(PAUSE_SECONDS)
        if self._thread.is_alive() and time.monotonic() >= self._next_beat:
            self._beat()

    def _delete(self, run_id: UUID) -> None:
        for log in self._logs.glob(f"{run_id}-*.log"):
            with contextlib.suppress(OSError):
                log.unlink()
        while self._store.sweep(run_id) and not self._closing.is_set():
            self._pause()
        self._must_truncate = True

    def _rewrite(self) -> None:
        """While nothing trains, make a file small that an earlier version left full of empty pages."""
        active = self._store.runs(limit=1, states=[RunState.QUEUED, RunState.RUNNING]).total
        if not active and time.monotonic() >= self._rewrite_at:
            self._rewrite_at = time.monotonic() + REWRITE_SECONDS
            self._must_truncate |= self._store.rewrite()
