"""The thread that starts processes, one after the other, so that whoever asks for one need not wait."""

from __future__ import annotations

import logging
import pickle
import queue
import threading
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.process import BaseProcess

from trainer.engine import child, processes

logger = logging.getLogger(__name__)

LASTING = (pickle.PicklingError, AttributeError, TypeError)
"""Raised where a process cannot be sent what it needs, however often it is tried."""

Order = tuple[Callable[[], BaseProcess], Callable[[BaseProcess], None], Callable[[Exception], None]]
"""Makes a process that is not started yet; is told once it is; is told why it could not be."""


class Starter:
    """Starts processes in the order in which they were asked for.

    Args:
        preload: what the forkserver should have imported.
    """

    def __init__(self, preload: tuple[str, ...]) -> None:
        self._preload = preload
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="starter", daemon=True)

    def start(self) -> None:
        """Begin, by a process that does nothing, which brings up the forkserver."""
        self._thread.start()

    def ask(self, order: Order) -> None:
        """Start a process when its turn comes."""
        self._orders.put(order)

    def close(self, seconds: float) -> None:
        """Take no more orders, and wait at most so long until those that were given are carried out."""
        self._orders.put(None)
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _work(self) -> None:
        try:
            self.warm()
        except Exception as error:  # the first process to be started tries again, and tells why it fails
            logger.error("the process that starts runs did not come up: %r", error)
        while (order := self._orders.get()) is not None:
            make, started, failed = order
            try:
                process = make()
                processes.start(process)
            except Exception as error:
                self._tell(failed, error)
            else:
                self._tell(started, process)

    def _tell(self, whom: Callable[..., None], what: BaseProcess | Exception) -> None:
        try:
            whom(what)
        except Exception:
            logger.exception("a process was started or not, and nobody could be told")

    def warm(self) -> None:
        """See that the forkserver imported what it should."""
        if not processes.FORKS:
            return
        reader, writer = connection.Pipe(duplex=False)
        with reader, writer:
            process = processes.context().Process(  # type: ignore[attr-defined]
                target=child.report_modules, args=(self._preload, writer), name="warm-up"
            )
            processes.start(process)
            writer.close()
            missing = reader.recv() if reader.poll(processes.START_SECONDS) else []
            with processes.LOCK:
                process.join(processes.START_SECONDS)
        if missing:  # multiprocessing itself says nothing when a preload fails
            logger.warning(
                "could not import %s ahead of time: every run will start slowly", ", ".join(missing)
            )
