"""The engine for one machine: a process per attempt."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import UUID

import psutil

from trainer.engine import child, processes
from trainer.engine.base import Ended, EngineError
from trainer.schema import Assignment

logger = logging.getLogger(__name__)

TICK = 0.25
"""Seconds between two looks at processes that an earlier service left: they have no exit pipe to us."""
TAIL = 4000
"""Bytes of a worker's output that are told when it fails."""

Key = tuple[UUID, int]


@dataclass
class Worker:
    """One living process."""

    pid: int
    created: float
    """When the system says that it began; with the pid, this names a process for good."""
    process: BaseProcess | None
    """None for one that an earlier service started, or whose forkserver died."""
    kill_at: float | None = None
    """On the monotonic clock, once it was asked to stop."""
    forced: bool = False


class LocalEngine:
    """Forks workers from a server process that has already imported torch and Lightning.

    A worker is its own session and process group, so that Ctrl-C in the service's terminal passes it by and
    a kill takes all it started. It outlives a service that is killed: a file for each worker in
    ``data/workers`` lets the next service find it again.
    """

    def __init__(
        self,
        data: Path,
        slots: int,
        work: child.Work = child.train,
        preload: tuple[str, ...] = processes.PRELOAD,
    ) -> None:
        self._slots = slots
        self._work = work
        self._preload = ("trainer.engine.child", *preload)
        self._logs = data / "logs"
        self._records = data / "workers"
        self._workers: dict[Key, Worker] = {}
        self._ended: list[Ended] = []
        self._closing = False
        self._notify: Callable[[], None] = lambda: None
        self._lock = processes.LOCK  # held around everything that touches processes
        self._wake_reader, self._wake_writer = connection.Pipe(duplex=False)
        self._watcher = threading.Thread(target=self._watch, name="engine", daemon=True)
        self._context = processes.context()
        processes.prepare()

    @property
    def capacity(self) -> int:
        return self._slots

    @property
    def active(self) -> int:
        with self._lock:
            return len(self._workers)

    def start(self, notify: Callable[[], None]) -> None:
        """Start the forkserver in the background; the first ``submit`` waits until it is ready."""
        for folder in (self._logs, self._records):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._notify = notify
        processes.launch(self._preload)
        self._watcher.start()

    def submit(self, assignment: Assignment) -> None:
        key = (assignment.run_id, assignment.attempt)
        process = self._context.Process(  # type: ignore[attr-defined]
            target=child.enter,
            args=(self._work, assignment, self._log(key)),
            name=f"run {assignment.run_id}",
        )
        with self._lock:
            if self._closing:
                raise EngineError("the service is shutting down")
            try:
                process.start()
            except Exception as error:
                raise EngineError(
                    f"its process could not be started: {type(error).__name__}: {error}"
                ) from error
            worker = Worker(process.pid, _created(process.pid) or time.time(), process)
            self._workers[key] = worker
            self._record(key).write_text(
                json.dumps({"pid": worker.pid, "created": worker.created, "url": assignment.url})
            )
        self._wake()

    def adopt(self, run_id: UUID, attempt: int, url: str) -> bool:
        key = (run_id, attempt)
        with self._lock:
            if key in self._workers or any((ended.run_id, ended.attempt) == key for ended in self._ended):
                return True
            try:
                record = json.loads(self._record(key).read_text())
                worker = Worker(int(record["pid"]), float(record["created"]), process=None)
            except (OSError, ValueError, KeyError, TypeError):
                return False
            if not _is_alive(worker):
                self._record(key).unlink(missing_ok=True)
                return False
            if record.get("url") != url:
                # It can never reach this service, so all it still did would be lost.
                logger.warning(
                    "killing worker %d of run %s: it reports to another address", worker.pid, run_id
                )
                _kill_group(worker)
                self._record(key).unlink(missing_ok=True)
                return False
            self._workers[key] = worker
        self._wake()
        return True

    def stop(self, run_id: UUID, attempt: int, grace: float) -> None:
        with self._lock:
            worker = self._workers.get((run_id, attempt))
            if worker is None:
                return
            if worker.kill_at is None:
                _signal(worker, signal.SIGTERM)
                worker.kill_at = time.monotonic() + grace
            else:
                worker.kill_at = min(worker.kill_at, time.monotonic() + grace)
        self._wake()

    def poll(self) -> list[Ended]:
        with self._lock:
            ended, self._ended = self._ended, []
            return ended

    def close(self) -> None:
        with self._lock:
            self._closing = True
            for worker in self._workers.values():
                _kill_group(worker)
        if self._watcher.is_alive():
            self._wake()
            self._watcher.join()

    # --- The watching thread ---------------------------------------------------------------------------

    def _watch(self) -> None:
        self._warm()
        while True:
            with self._lock:
                if self._closing and not self._workers:
                    return
                workers = list(self._workers.values())
            exits = [worker.process.sentinel for worker in workers if worker.process is not None]
            waits = [
                max(0.0, w.kill_at - time.monotonic())
                for w in workers
                if w.kill_at is not None and not w.forced
            ]
            if len(exits) < len(workers):
                waits.append(TICK)
            connection.wait([*exits, self._wake_reader], min(waits, default=None))
            with self._lock:
                while self._wake_reader.poll():
                    self._wake_reader.recv_bytes()
                news = [self._look(key, worker) for key, worker in list(self._workers.items())]
            if any(news):
                self._notify()

    def _look(self, key: Key, worker: Worker) -> bool:
        """Whether this worker has ended; kills it where its time is up."""
        code: int | None = None
        if worker.process is not None:
            worker.process.join(0)
            code = worker.process.exitcode
            if code == 255 and _is_alive(worker):
                # The forkserver died, not the worker: watch it by its pid from here on.
                worker.process, code = None, None
        if worker.process is None and not _is_alive(worker):
            return self._bury(key, worker, None)
        if code is not None:
            return self._bury(key, worker, code)
        if worker.kill_at is not None and time.monotonic() >= worker.kill_at and not worker.forced:
            worker.forced = True
            _kill_group(worker)
        return False

    def _bury(self, key: Key, worker: Worker, code: int | None) -> bool:
        del self._workers[key]
        self._record(key).unlink(missing_ok=True)
        if code != 0:
            _kill_group(worker)  # what it started and left behind
        output = _tail(self._log(key))
        if not output and code == 0:
            self._log(key).unlink(missing_ok=True)
        self._ended.append(
            Ended(run_id=key[0], attempt=key[1], exit_code=code, forced=worker.forced, output=output)
        )
        return True

    def _warm(self) -> None:
        """Start the forkserver by a process that does nothing, and see that it imported what it should."""
        if not processes.FORKS:
            return
        reader, writer = connection.Pipe(duplex=False)
        with reader, writer, self._lock:
            process = self._context.Process(  # type: ignore[attr-defined]
                target=child.report_modules, args=(self._preload, writer), name="warm-up"
            )
            try:
                process.start()
                writer.close()
                missing = reader.recv()
                process.join()
            except (OSError, EOFError) as error:
                logger.error("the process that starts runs did not come up: %s", error)
                return
        if missing:  # multiprocessing itself says nothing when a preload fails
            logger.warning(
                "could not import %s ahead of time: every run will start slowly", ", ".join(missing)
            )

    def _wake(self) -> None:
        self._wake_writer.send_bytes(b"!")

    def _log(self, key: Key) -> Path:
        return self._logs / f"{key[0]}-{key[1]}.log"

    def _record(self, key: Key) -> Path:
        return self._records / f"{key[0]}-{key[1]}.json"


def _created(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def _is_alive(worker: Worker) -> bool:
    try:
        process = psutil.Process(worker.pid)
        return process.create_time() == worker.created and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(worker: Worker, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker.pid, number)


def _kill_group(worker: Worker) -> None:
    """Kill a worker and everything in its process group."""
    if not hasattr(os, "killpg"):
        _signal(worker, signal.SIGTERM)  # on Windows this is TerminateProcess
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGKILL)
        return
    if _is_alive(worker):  # so young that it has no group of its own yet
        _signal(worker, signal.SIGKILL)


def _tail(log: Path) -> str:
    """The last lines of a file, at most ``TAIL`` bytes."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = text.strip().splitlines()
    return "\n".join(lines[-20:])
