"""The service's side of inspections: a process for each, few at once, the others in line.

Torch in the service's own process would make every other answer wait. So a view is computed in a process of
its own, which is ended when it takes too long, needs too much memory, or nobody waits for it any more.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from multiprocessing import connection
from multiprocessing.process import BaseProcess

from trainer import memory
from trainer.engine import processes
from trainer.inspection import child
from trainer.inspection.child import Question, Reply

logger = logging.getLogger(__name__)

KILL_SECONDS = 5.0
"""How long a process that was killed is waited for, while no other can be started."""
LINE = 64
"""Inspections that may wait; more are refused."""
ABANDONED = Reply(status=499, body=b"")
"""Of an inspection that nobody waited for: the status that web servers log for a client gone away."""
STOPPING = Reply.refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "The service is stopping.", "Ask again once it runs again."
)


class LineFullError(Exception):
    """Too many inspections wait already."""


class Job:
    """One inspection, waiting or under way."""

    def __init__(self) -> None:
        self.reply: Future[Reply]
        self._process: BaseProcess | None = None
        self._ended: Reply | None = None
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Nobody waits for the answer any more: end it."""
        self.end(ABANDONED)

    def end(self, reply: Reply) -> None:
        """Answer with this; of several, the first counts. Does nothing to an inspection that is over."""
        with self._lock:
            self._ended = self._ended or reply
            if self._process is not None:
                self._process.kill()

    @property
    def ended(self) -> Reply | None:
        """What ``end`` said, if anything."""
        return self._ended

    @contextlib.contextmanager
    def computing(self, process: BaseProcess) -> Iterator[None]:
        """While the block runs, ``end`` kills the process; after it, the process is gone."""
        with self._lock:
            self._process = process
            if self._ended is not None:
                process.kill()
        try:
            yield
        finally:
            with self._lock:
                self._process = None
            process.kill()
            with processes.LOCK:
                process.join(KILL_SECONDS)
                with contextlib.suppress(ValueError):  # it is killed, and not gone: nobody waits for it
                    process.close()


class Inspector:
    """Answers questions, each in a process of its own.

    Args:
        seconds: time that an inspection may take once it has begun.
        megabytes: memory that it may take beyond what its process begins with.
        at_once: inspections under way at the same time.
    """

    def __init__(self, seconds: float = 20.0, megabytes: int = 1500, at_once: int = 2) -> None:
        self._seconds, self._megabytes = seconds, megabytes
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="inspection")
        self._jobs: set[Job] = set()
        self._stopping = False
        processes.prepare()

    def submit(self, prepare: Callable[[], Question]) -> Job:
        """Stand in line.

        Args:
            prepare: gathers what the inspection needs, when its turn has come; what it raises, the job's
                ``reply`` raises.

        Raises:
            LineFullError: too many wait already.
        """
        if len(self._jobs) >= LINE:
            raise LineFullError
        job = Job()
        self._jobs.add(job)
        if self._stopping:  # looked at after the job has joined the others, which `stop` ends
            job.end(STOPPING)
        try:
            job.reply = self._threads.submit(self._taken, job, prepare)
        except BaseException:  # no thread could be started, say
            self._jobs.discard(job)
            raise
        return job

    def stop(self) -> None:
        """End all inspections, and those that are still to come, with the answer that the service stops."""
        self._stopping = True
        for job in list(self._jobs):
            job.end(STOPPING)

    def close(self) -> None:
        """``stop``, and wait until all are answered."""
        self.stop()
        self._threads.shutdown()

    def _taken(self, job: Job, prepare: Callable[[], Question]) -> Reply:
        # Not by a callback of the future, which would keep the job, and the job it, until the collector runs.
        try:
            return self._answer(job, prepare)
        finally:
            self._jobs.discard(job)

    def _answer(self, job: Job, prepare: Callable[[], Question]) -> Reply:
        if job.ended is not None:
            return job.ended
        question = prepare()
        ours, theirs = connection.Pipe()
        process = processes.context().Process(  # type: ignore[attr-defined]
            target=child.enter, args=(theirs, self._megabytes, self._seconds), name="inspection", daemon=True
        )
        with ours:
            with theirs:
                try:
                    _start(process)
                except Exception as error:
                    logger.error("An inspection could not be started: %r", error)
                    return _not_started(error)
            # A process that is killed lets go of its end of the line, and so ends every wait of this side.
            limit = threading.Timer(self._seconds, lambda: job.end(self._too_slow()))
            began = time.monotonic()
            try:
                with job.computing(process):
                    limit.start()
                    ours.send(question)
                    reply: Reply = ours.recv()
                    limit.cancel()  # before the wait for the process to go
            except (EOFError, OSError):
                # Its own limit of CPU time may end it before the timer has its turn to do so.
                late = time.monotonic() - began >= self._seconds
                reply = job.ended or (self._too_slow() if late else _died())
                if reply.status == HTTPStatus.GATEWAY_TIMEOUT:
                    logger.warning("An inspection was ended: %s", reply.body.decode())
            finally:
                limit.cancel()
        return reply

    def _too_slow(self) -> Reply:
        return _ended(
            f"The inspection took longer than {self._seconds:g} seconds, and was ended.",
            "UNFOLD_INSPECT_SECONDS",
        )


def _start(process: BaseProcess) -> None:
    processes.preload()
    try:
        processes.start(process)
    except (EOFError, ConnectionError):  # the forkserver died; the next start brings up another
        processes.start(process)


def _not_started(error: Exception) -> Reply:
    why = f"there is not enough memory for it ({error})" if memory.is_lack(error) else repr(error)
    return Reply.refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"The inspection's process could not be started: {why}.",
        "Try again in some seconds, or while fewer runs train.",
    )


def _died() -> Reply:
    """Ended from outside, or by native code that met its memory limit."""
    return _ended(
        "The inspection's process ended before it answered: most often it needs more memory than it may.",
        "UNFOLD_INSPECT_MEGABYTES",
    )


def _ended(message: str, setting: str) -> Reply:
    return Reply.refusal(
        HTTPStatus.GATEWAY_TIMEOUT, message, f"Choose fewer timesteps or sequences, or raise {setting}."
    )
