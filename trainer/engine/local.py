"""The engine for one machine: a process per attempt."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import UUID

from trainer import descriptors
from trainer.engine import child, identity, processes
from trainer.engine.base import Ended, EngineError, NotBegun
from trainer.engine.identity import Life
from trainer.engine.records import Key, Record, Records
from trainer.engine.starter import LASTING, Starter
from trainer.engine.workers import Worker
from trainer.memory import Shortage
from trainer.schema import Assignment

logger = logging.getLogger(__name__)

TICK = 0.25
"""Seconds between two looks at processes that have no exit pipe to us, as those of an earlier service."""
ROUND = 5.0
"""Seconds between two looks at all processes, whatever their exit pipes say."""
TAIL = 4000
"""Bytes of a worker's output that are told when it fails."""
CLOSE_SECONDS = 30.0
"""How long ``close`` waits for what cannot be ended."""
LOST = 255
"""What ``multiprocessing`` gives for an exit code when the forkserver died, and not perhaps the process."""


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
        self._records = Records(data / "workers")
        self._workers: dict[Key, Worker] = {}
        self._ended: list[Ended] = []
        self._closing = False
        self._notify: Callable[[], None] = lambda: None
        self._lock = threading.RLock()  # around the two above; never while something is waited for
        self._wake_reader, self._wake_writer = connection.Pipe(duplex=False)
        self._watcher = threading.Thread(target=self._watch, name="engine", daemon=True)
        self._starter = Starter(self._preload)
        self._shortage = Shortage()
        self._context = processes.context()
        processes.prepare()

    @property
    def capacity(self) -> int:
        return self._slots

    @property
    def active(self) -> int:
        with self._lock:
            return sum(not worker.forced for worker in self._workers.values())

    def attempts(self) -> list[Key]:
        with self._lock:
            return [*self._workers, *((ended.run_id, ended.attempt) for ended in self._ended)]

    def start(self, notify: Callable[[], None]) -> None:
        """Start the forkserver in the background; what is submitted meanwhile starts when it is ready."""
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._records.prepare()
        self._notify = notify
        try:
            processes.launch(self._preload)
        except OSError as error:
            logger.error("the process that starts runs did not come up, and is tried again: %s", error)
        self._starter.start()
        self._watcher.start()

    def submit(self, assignment: Assignment) -> None:
        key = (assignment.run_id, assignment.attempt)
        with self._lock:
            if self._closing:
                raise EngineError("the service is shutting down")
            worker = self._workers[key] = Worker(assignment.url)

        def process() -> BaseProcess:
            if worker.kill_at is not None or self._closing:
                raise EngineError("it was stopped before it began")
            made: BaseProcess = self._context.Process(  # type: ignore[attr-defined]
                target=child.enter,
                args=(self._work, assignment, self._log(key)),
                name=f"run {assignment.run_id}",
            )
            return made

        self._starter.ask(
            (process, lambda made: self._begun(worker, made), lambda error: self._not_begun(key, error))
        )

    def adopt(self, run_id: UUID, attempt: int, url: str) -> bool:
        key = (run_id, attempt)
        with self._lock:
            if key in self.attempts():
                return True
            record = self._records.read(key)
            if record is None:
                return False
            worker = Worker(record.url, record.pid, record.began, recorded=True)
            if worker.life is Life.GONE:
                self._forget(key)
                return False
            if record.url != url:
                # It can never reach this service, so all it still did would be lost.
                logger.warning(
                    "killing worker %d of run %s: it reports to another address", record.pid, run_id
                )
                worker.kill()
                self._forget(key)
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
                worker.kill_at = time.monotonic() + grace
                worker.signal(signal.SIGTERM)
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
                worker.kill_at = 0.0
        self._starter.close(CLOSE_SECONDS)
        if self._watcher.is_alive():
            self._wake()
            self._watcher.join(CLOSE_SECONDS)

    # --- The starting thread ---------------------------------------------------------------------------

    def _begun(self, worker: Worker, process: BaseProcess) -> None:
        with self._lock:
            worker.pid, worker.process = process.pid, process
            if worker.kill_at is not None:  # a stop that came while it was being started
                worker.signal(signal.SIGTERM)
        self._wake()

    def _not_begun(self, key: Key, error: Exception) -> None:
        reason = str(error) if isinstance(error, EngineError) else f"{type(error).__name__}: {error}"
        not_begun = NotBegun(reason=reason, lasting=isinstance(error, LASTING))
        with self._lock:
            del self._workers[key]
            self._ended.append(Ended(run_id=key[0], attempt=key[1], exit_code=None, not_begun=not_begun))
        self._wake()
        self._notify()

    # --- The watching thread ---------------------------------------------------------------------------

    def _watch(self) -> None:
        can_join = True
        while True:
            try:
                with self._lock:
                    if self._closing and not self._workers:
                        return
                self._wait(exits=can_join)
                # While a process is being started, which may take seconds, no exit code can be read.
                can_join = processes.LOCK.acquire(timeout=TICK)
                try:
                    news = self._look_at_all(can_join)
                finally:
                    if can_join:
                        processes.LOCK.release()
                if news:
                    self._notify()
            except Exception:
                logger.exception("the engine could not look after its workers, and tries again")
                time.sleep(TICK)

    def _wait(self, *, exits: bool) -> None:
        """Until a worker ends, something changes, or it is time to look anyhow."""
        with self._lock:
            workers = list(self._workers.values())
        ends = [worker.process.sentinel for worker in workers if worker.process is not None]
        left = [
            worker.kill_at - time.monotonic()
            for worker in workers
            if worker.kill_at is not None and not worker.forced
        ]
        waits = [seconds if seconds > 0 else TICK for seconds in left]  # overdue: it could not be killed yet
        if len(ends) < len(workers) or not exits:
            waits.append(TICK)
        connection.wait([*(ends if exits else ()), self._wake_reader], min([*waits, ROUND]))
        while self._wake_reader.poll():
            self._wake_reader.recv_bytes()

    def _look_at_all(self, can_join: bool) -> bool:
        """Whether any has ended; no trouble with one keeps the others from being looked at."""
        self._shortage.look()
        news = trouble = False
        with self._lock:
            for key, worker in list(self._workers.items()):
                try:
                    news |= worker.pid is not None and self._look(key, worker, can_join)
                except Exception:
                    trouble = True
                    logger.exception("the worker of run %s cannot be looked at now", key[0])
        if trouble:
            time.sleep(TICK)  # not at full speed, if it stays so
        return news

    def _look(self, key: Key, worker: Worker, can_join: bool) -> bool:
        """Whether this worker has ended; kills it where its time is up."""
        self._identify(key, worker)
        if worker.process is not None and can_join:
            worker.process.join(0)
            code = worker.process.exitcode
            if code == LOST:
                # The forkserver died, not perhaps the worker: watch it by its pid from here on.
                worker.process = None
            elif code is not None:
                return self._bury(key, worker, code)
        if worker.life is Life.GONE:
            # One that has just ended is a zombie until the forkserver has sent its exit code.
            worker.gone_since = worker.gone_since or time.monotonic()
            if worker.process is None or time.monotonic() - worker.gone_since > ROUND:
                return self._bury(key, worker, None)
        if worker.kill_at is not None and time.monotonic() >= worker.kill_at and not worker.forced:
            worker.forced = worker.kill()
        return False

    def _identify(self, key: Key, worker: Worker) -> None:
        """Learn what tells its process from others, and keep it for the next service."""
        assert worker.pid is not None
        try:
            if worker.began is None:
                pid = worker.pid
                worker.began = descriptors.patient(lambda: identity.began(pid))
            if not worker.recorded and worker.began is not None:
                self._records.write(key, Record(worker.pid, worker.began, worker.url))
                worker.recorded = True
        except OSError as error:
            logger.warning("no record of the worker of run %s could be written yet: %s", key[0], error)

    def _bury(self, key: Key, worker: Worker, code: int | None) -> bool:
        if code != 0:
            worker.kill()  # what it started and left behind
        output = _tail(self._log(key))
        killed = code is None or code == -signal.SIGKILL
        ended = Ended(
            run_id=key[0],
            attempt=key[1],
            exit_code=code,
            forced=worker.forced,
            output=output,
            short_of_memory=killed and not worker.forced and self._shortage.is_recent,
        )
        del self._workers[key]
        self._ended.append(ended)
        self._forget(key)
        if not output and code == 0:
            with contextlib.suppress(OSError):
                self._log(key).unlink(missing_ok=True)
        return True

    def _forget(self, key: Key) -> None:
        """Remove its record; one that stays does no harm, as it names a process that is gone."""
        try:
            self._records.remove(key)
        except OSError as error:
            logger.warning("the record of run %s's worker could not be removed: %s", key[0], error)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # then the watching thread looks at its next round
            self._wake_writer.send_bytes(b"!")

    def _log(self, key: Key) -> Path:
        return self._logs / f"{key[0]}-{key[1]}.log"


def _tail(log: Path) -> str:
    """The last lines of a file, at most ``TAIL`` bytes."""
    try:
        with descriptors.patient(lambda: log.open("rb")) as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = text.strip().splitlines()
    return "\n".join(lines[-20:])
