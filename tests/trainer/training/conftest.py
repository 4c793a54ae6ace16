"""A service in memory: takes a worker's reports as the real one does, without HTTP and without a database."""

from __future__ import annotations

import hashlib
import signal
import struct
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from trainer import callbacks
from trainer.corpora import builtin_corpora
from trainer.reporter import Reporter
from trainer.schema import Assignment, End, Report, RunConfig, Sample
from trainer.worker import run_attempt


class ServiceInMemory:
    """Answers one run's worker; ``before_answer`` may look at each report and decide the reply."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.checkpoints: list[tuple[int, bytes]] = []
        self.before_answer: Callable[[Report], httpx.Response | None] = lambda _report: None

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/corpora/"):
            return httpx.Response(200, content=builtin_corpora()["python-topics"].text.encode())
        if request.url.path.endswith("/checkpoint"):
            if not self.checkpoints:
                return httpx.Response(204)
            return httpx.Response(200, content=self.checkpoints[-1][1])
        (size,) = struct.unpack(">I", request.content[:4])
        report = Report.model_validate_json(request.content[4 : 4 + size])
        answer = self.before_answer(report)
        if answer is not None and answer.status_code != 200:
            return answer
        self.reports.append(report)
        if report.checkpoint is not None:
            data = request.content[4 + size :]
            assert hashlib.sha256(data).hexdigest() == report.checkpoint.sha256
            self.checkpoints.append((report.checkpoint.step, data))
        return answer or httpx.Response(200, json={"stop": False})

    def points(self, key: str) -> dict[int, float]:
        """Step to value; a repeated step must repeat its value, as a resumed run's does."""
        found: dict[int, float] = {}
        for report in self.reports:
            if key in report.metrics:
                column = report.metrics[key]
                found.update(zip(column.step, column.value, strict=True))
        return found

    def vectors(self, name: str) -> dict[int, list[float]]:
        """Step to numbers."""
        return {
            vector.step: np.frombuffer(vector.numbers, "<f4").tolist()
            for report in self.reports
            for vector in report.vectors
            if vector.name == name
        }

    @property
    def end(self) -> End | None:
        return self.reports[-1].end

    @property
    def samples(self) -> list[Sample]:
        return [sample for report in self.reports for sample in report.samples]

    @property
    def summary(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for report in self.reports:
            if report.summary is not None:
                merged |= report.summary.model_dump(exclude_none=True)
        return merged

    @property
    def log(self) -> str:
        return "\n".join(line.text for report in self.reports for line in report.log)

    def train(self, config: RunConfig, *, resume: bool = False, interval: float = 0.05) -> None:
        """One attempt, in this process, to its end."""
        assignment = Assignment(
            run_id=uuid.uuid4(), attempt=1, token="t", url="http://service", config=config, resume=resume
        )
        transport = httpx.MockTransport(self.handle)
        run_attempt(assignment, Reporter(assignment, interval=interval, transport=transport))

    def train_keeping_checkpoints(
        self, config: RunConfig, monkeypatch: pytest.MonkeyPatch
    ) -> list[tuple[int, bytes]]:
        """One attempt that writes a checkpoint after every block: (step, data) of all of them.

        The service itself gets only the newest of those that were written between two posts.
        """
        taken: list[tuple[int, bytes]] = []
        post = Reporter.checkpoint

        def keep_and_post(reporter: Reporter, step: int, data: bytes, validation_loss: float | None) -> None:
            taken.append((step, data))
            post(reporter, step, data, validation_loss)

        with monkeypatch.context() as during:
            during.setattr(callbacks, "FIRST_CHECKPOINT_SECONDS", 0.0)
            during.setattr(callbacks, "CHECKPOINT_SECONDS", 0.0)
            during.setattr(callbacks, "CHECKPOINT_SHARE", 1e9)
            during.setattr(Reporter, "checkpoint", keep_and_post)
            self.train(config)
        return taken


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """A worker takes over SIGTERM and ignores SIGINT, for its whole process: here that is pytest's own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def service() -> ServiceInMemory:
    return ServiceInMemory()


@pytest.fixture
def another_service() -> ServiceInMemory:
    return ServiceInMemory()
