"""The service's side of inspections: a process for each, few at once, the others in line.

Torch in the service's own process would make every other answer wait. So a view is computed in a process of
its own, which is ended when it takes too long, needs too much memory, or nobody waits for it any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from multiprocessing import connection

from trainer.engine import processes
from trainer.inspection import child
from trainer.inspection.child import Question, Reply
from trainer.schema import ErrorBody

logger = logging.getLogger(__name__)

LINE = 64
"""Inspections that may wait; more are refused."""
ABANDONED = Reply(status=499, body=b"")
"""Of an inspection that nobody waited for: the status that web servers log for a client gone away."""


class LineFullError(Exception):
    """Too many inspections wait already."""


class Job:
    """One inspection, waiting or under way."""

    def __init__(self) -> None:
        self.reply: Future[Reply]
        self._cancelled = False
        self._heard, self._called = connection.Pipe(duplex=False)

    def cancel(self) -> None:
        """Nobody waits for the answer any more: end it."""
        self._cancelled = True
        self._called.send_bytes(b"!")


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
        job.reply = self._threads.submit(self._answer, job, prepare)
        job.reply.add_done_callback(lambda _: self._jobs.discard(job))
        return job

    def close(self) -> None:
        """End all inspections."""
        for job in list(self._jobs):
            job.cancel()
        self._threads.shutdown(cancel_futures=True)

    def _answer(self, job: Job, prepare: Callable[[], Question]) -> Reply:
        if job._cancelled:
            return ABANDONED
        question = prepare()
        ours, theirs = connection.Pipe()
        process = processes.context().Process(  # type: ignore[attr-defined]
            target=child.enter, args=(theirs, self._megabytes, self._seconds), name="inspection", daemon=True
        )
        with processes.LOCK, processes.environment():
            processes.preload()
            process.start()
        theirs.close()
        began = time.monotonic()
        try:
            with ours:
                ours.send(question)
                ready = connection.wait([ours, job._heard], self._seconds)
                if job._heard in ready:
                    return ABANDONED
                if not ready:
                    return self._too_slow()
                reply: Reply = ours.recv()
                return reply
        except (EOFError, OSError):
            # Its own limit of CPU time may end it before this thread has its turn to do so.
            return self._too_slow() if time.monotonic() - began >= self._seconds else _died()
        finally:
            process.kill()
            with processes.LOCK:
                process.join()

    def _too_slow(self) -> Reply:
        return _refusal(
            HTTPStatus.GATEWAY_TIMEOUT,
            f"The inspection took longer than {self._seconds:g} seconds, and was ended.",
            "Choose fewer timesteps or sequences, or raise UNFOLD_INSPECT_SECONDS.",
        )


def _died() -> Reply:
    """Ended from outside, or by native code that met its memory limit."""
    return _refusal(
        HTTPStatus.GATEWAY_TIMEOUT,
        "The inspection's process ended before it answered: most often it needs more memory than it may.",
        "Choose fewer timesteps or sequences, or raise UNFOLD_INSPECT_MEGABYTES.",
    )


def _refusal(status: int, message: str, remedy: str) -> Reply:
    logger.warning("%s", message)
    return Reply(
        status=int(status), body=ErrorBody(message=message, remedy=remedy).model_dump_json().encode()
    )
