"""What a worker has to say, held until the service has stored it.

The training thread adds; a thread of this reporter posts about twice a second. A post that meets no service
is repeated, byte for byte the same, until it is answered: the service knows a repeated post by its sequence
number. Rows that arrive meanwhile wait for the next post, so a service that is away costs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import struct
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import httpx
import tenacity

from trainer.schema import (
    Assignment,
    CheckpointMeta,
    Column,
    End,
    LogLine,
    Report,
    ReportReply,
    Sample,
    Summary,
    Vector,
)

INTERVAL_SECONDS = 0.5
PATIENCE_SECONDS = 600.0
"""How long a service may be away before the worker gives up."""
GONE = (401, 404, 409)
"""Answers which say that this attempt is no longer wanted."""


class _RefusedError(Exception):
    """The service answered, and repeating the post will not change its answer."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"{response.status_code}: {response.text[:500]}")
        self.status = response.status_code


def _is_away(error: BaseException) -> bool:
    """Whether nobody answers: no connection, or a service whose database is away."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE
    return isinstance(error, httpx.TransportError)


class Buffer:
    """Rows not yet posted, column by column."""

    def __init__(self) -> None:
        self.columns: dict[str, tuple[list[int], list[float], list[float], list[float]]] = {}
        self.vectors: list[Vector] = []
        self.samples: list[Sample] = []
        self.log: list[LogLine] = []
        self.summary: dict[str, Any] = {}
        self.checkpoint: tuple[CheckpointMeta, bytes] | None = None
        self.end: End | None = None


class Reporter:
    """The worker's line to the service.

    Args:
        assignment: whose attempt this is, and where the service is.
        interval: seconds between posts.
        patience: seconds without any answer after which it gives up.
        transport: an httpx transport, for tests.
    """

    def __init__(
        self,
        assignment: Assignment,
        *,
        interval: float = INTERVAL_SECONDS,
        patience: float = PATIENCE_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.assignment, self.interval, self.patience = assignment, interval, patience
        self.client = httpx.Client(
            base_url=assignment.url,
            headers={"Authorization": f"Bearer {assignment.token}"},
            timeout=httpx.Timeout(30.0, connect=5.0),
            transport=transport,
            trust_env=False,  # a proxy from the environment must not see the token
        )
        self.stop_requested = threading.Event()
        """The user asked for a stop."""
        self.abandoned: str | None = None
        """Why nobody listens any more, once nobody does."""
        self.is_gone = False
        """Whether that is because the service no longer wants this attempt, and not by an error."""
        self.on_stop: Callable[[], None] = lambda: None
        """Called in the posting thread when there is nothing more to train for, for either reason."""
        self._buffer, self._step, self._sequence = Buffer(), 0, 0
        # Reentrant: a finaliser may warn, and so log, while its thread adds something else.
        self._lock = threading.RLock()
        self._wake, self._idle = threading.Event(), threading.Condition(self._lock)
        self._posted = 0  # buffers taken and answered
        self._taken = 0
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name="reporter", daemon=True)

    # --- From the training thread ------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def points(
        self,
        key: str,
        steps: Sequence[int],
        values: Sequence[float],
        seconds: Sequence[float],
        sequences: Sequence[float],
    ) -> None:
        """Add points of one metric; all four columns have the same length."""
        with self._lock:
            column = self._buffer.columns.setdefault(key, ([], [], [], []))
            column[0].extend(steps)
            column[1].extend(values)
            column[2].extend(seconds)
            column[3].extend(sequences)

    def progress(self, step: int) -> None:
        """Say how many updates have been made."""
        with self._lock:
            self._step = step

    def vector(self, name: str, step: int, little_endian_float32: bytes) -> None:
        """Add one vector; see ``schema.Vector`` for its name."""
        encoded = base64.b64encode(little_endian_float32)
        with self._lock:
            self._buffer.vectors.append(Vector(name=name, step=step, numbers=encoded))

    def sample(self, sample: Sample) -> None:
        with self._lock:
            self._buffer.samples.append(sample)

    def log(self, level: Literal["debug", "info", "warning", "error"], text: str) -> None:
        line = LogLine(at=datetime.now(UTC), level=level, text=text[:20_000])
        with self._lock:
            self._buffer.log.append(line)

    def summary(self, **fields: Any) -> None:
        """Set fields of the run's Summary."""
        with self._lock:
            self._buffer.summary.update(fields)

    def checkpoint(self, step: int, data: bytes, validation_loss: float | None) -> None:
        """Add a checkpoint. It travels with every metric added before it, in one transaction.

        One that was not posted yet is replaced: only the newest is of use.
        """
        meta = CheckpointMeta(
            step=step, sha256=hashlib.sha256(data).hexdigest(), validation_loss=validation_loss
        )
        with self._lock:
            self._buffer.checkpoint = (meta, data)

    def soon(self) -> None:
        """Post without waiting for the interval."""
        self._wake.set()

    def flush(self, timeout: float | None = None) -> bool:
        """Post what there is and wait until it is answered; False when that did not happen in time."""
        with self._lock:
            target = self._taken + 1
            self._wake.set()
            self._idle.wait_for(lambda: self._posted >= target or self.abandoned is not None, timeout)
            return self._posted >= target and self.abandoned is None

    def close(self, end: End | None, timeout: float | None = None) -> bool:
        """Say the last word, wait until it is stored, and end the thread."""
        with self._lock:
            self._buffer.end = end
        stored = self.flush(timeout)
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=5)
        self.client.close()
        return stored

    # --- The posting thread ------------------------------------------------------------------------

    def _loop(self) -> None:
        try:
            while not self._closing and self.abandoned is None:
                self._wake.wait(self.interval)
                self._wake.clear()
                if self._closing:
                    return
                self._report()
        except Exception as error:  # whoever waits for an answer must not wait for ever
            self._abandon(f"reports ended by an error: {error!r}")
        finally:
            with self._lock:
                self._idle.notify_all()

    def _report(self) -> None:
        """Post what there is: also where there is nothing, since it says that this process lives."""
        with self._lock:
            buffer, self._buffer = self._buffer, Buffer()
            step = self._step
            self._taken += 1
        try:
            reply = self._post(self._frame(buffer, step))
            if reply.stop:
                self.stop_requested.set()
                self.on_stop()
        except _RefusedError as error:
            self.is_gone = error.status in GONE
            self._abandon(f"the service refused a report: {error}")
        except tenacity.RetryError:
            self._abandon(f"no answer from the service for {self.patience:.0f} s")
        except Exception as error:
            self._abandon(f"a report could not be made: {error!r}")
        with self._lock:
            self._posted = self._taken
            self._idle.notify_all()

    def _abandon(self, reason: str) -> None:
        self.abandoned = self.abandoned or reason
        with self._lock:
            self._idle.notify_all()
        logging.getLogger(__name__).error(reason)
        self.on_stop()

    def _frame(self, buffer: Buffer, step: int) -> bytes:
        meta, data = buffer.checkpoint or (None, b"")
        report = Report(
            sequence=self._sequence,
            pid=os.getpid(),
            step=step,
            metrics={
                key: Column.model_construct(step=s, value=v, seconds=t, sequences=n)
                for key, (s, v, t, n) in buffer.columns.items()
            },
            vectors=buffer.vectors,
            samples=buffer.samples,
            log=buffer.log,
            summary=Summary(**buffer.summary) if buffer.summary else None,
            checkpoint=meta,
            end=buffer.end,
        )
        self._sequence += 1
        encoded = report.model_dump_json(exclude_none=True).encode()
        return struct.pack(">I", len(encoded)) + encoded + data

    def _post(self, body: bytes) -> ReportReply:
        """Post until answered: 5xx and silence are repeated, everything else is final."""
        path = f"/runs/{self.assignment.run_id}/attempts/{self.assignment.attempt}/reports"
        for attempt in tenacity.Retrying(
            stop=tenacity.stop_after_delay(self.patience),
            wait=tenacity.wait_exponential(multiplier=0.1, max=2.0),
            retry=tenacity.retry_if_not_exception_type(_RefusedError),
        ):
            with attempt:
                response = self.client.post(
                    path, content=body, headers={"Content-Type": "application/octet-stream"}
                )
                if response.status_code < 500 and response.status_code != 200:
                    raise _RefusedError(response)
                response.raise_for_status()
                return ReportReply.model_validate_json(response.content)
        raise AssertionError("tenacity ends by return or raise")

    # --- Reading from the service ------------------------------------------------------------------

    def fetch(self, path: str) -> httpx.Response:
        """GET, repeated while the service is away."""
        for attempt in tenacity.Retrying(
            stop=tenacity.stop_after_delay(self.patience),
            wait=tenacity.wait_exponential(multiplier=0.1, max=2.0),
            retry=tenacity.retry_if_exception(_is_away),
            reraise=True,
        ):
            with attempt:
                response = self.client.get(path)
                response.raise_for_status()
                return response
        raise AssertionError("tenacity ends by return or raise")
