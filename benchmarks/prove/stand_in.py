"""A worker played by the proof: the real one is frozen, and our token stands in the place of its own."""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import text

from benchmarks.prove.ground import Ground
from benchmarks.prove.kills import LSTM, worker_pid
from benchmarks.prove.processes import kill
from benchmarks.service import Service
from trainer.schema import (
    CheckpointMeta,
    Column,
    End,
    LogLine,
    Report,
    Run,
    RunState,
    Sample,
    Summary,
    TextSample,
    Vector,
)

ENDLESS: dict[str, Any] = {**LSTM, "training": {**LSTM["training"], "steps": 1_000_000}}


class StandIn:
    """Speaks for the current attempt of a run.

    Args:
        ground: whose database it is.
        service: whom to report to.
        run: one that runs; its worker is frozen here.
    """

    def __init__(self, ground: Ground, service: Service, run: Run) -> None:
        self.ground, self.service, self.run = ground, service, run
        self.pid = worker_pid(ground, run)
        os.kill(self.pid, signal.SIGSTOP)
        self.attempt = service.run(run).attempt
        self.token = secrets.token_urlsafe(32)
        which = {"run": run.number, "attempt": self.attempt}
        with ground.sql() as connection:
            connection.execute(
                text("UPDATE attempts SET token_hash = :hash WHERE run = :run AND number = :attempt"),
                {**which, "hash": hashlib.sha256(self.token.encode()).hexdigest()},
            )
        rows = ground.rows(
            "SELECT next_sequence FROM attempts WHERE run = :run AND number = :attempt", **which
        )
        self.sequence = int(rows[0].next_sequence)
        self.step = service.run(run).step + 1000
        """Of the next report: far from what the worker itself has sent, but could not say any more."""

    def report(self, checkpoint: bytes | None = None, end: RunState | None = None, points: int = 5) -> bytes:
        """The next report with something of every kind, as it goes over the wire."""
        steps = list(range(self.step, self.step + points))
        self.step += points
        at = steps[-1]
        said = Report(
            sequence=self.sequence,
            pid=self.pid,
            step=at,
            metrics={"loss": column(steps), "gradient_norm": column(steps)},
            vectors=[Vector.model_validate({"name": "h/0", "step": at, "numbers": "AACAPwAAAEA="})],
            samples=[
                Sample(step=at, index=0, content=TextSample(prompt="", text=f"said at {at}", temperature=1))
            ],
            log=[LogLine(at=datetime.now(UTC), level="info", text=f"said at {at}")],
            summary=Summary(loss=float(at), best_step=at),
            checkpoint=None
            if checkpoint is None
            else CheckpointMeta(
                step=at, sha256=hashlib.sha256(checkpoint).hexdigest(), validation_loss=1 / at
            ),
            end=None if end is None else End(state=end, reason="the proof says so"),
        )
        self.sequence += 1
        encoded = said.model_dump_json(exclude_none=True).encode()
        return struct.pack(">I", len(encoded)) + encoded + (checkpoint or b"")

    def post(self, body: bytes, attempt: int | None = None) -> httpx.Response:
        """What the service answers to it."""
        url = f"{self.service.address.url}/runs/{self.run.id}/attempts/{attempt or self.attempt}/reports"
        headers = {"Authorization": f"Bearer {self.token}"}
        # A connection for each: the server closes that of a request which it failed at.
        return httpx.post(url, content=body, headers=headers, timeout=60, trust_env=False)

    def close(self) -> None:
        """End the frozen worker."""
        kill(self.pid)


def column(steps: Sequence[int]) -> Column:
    """A point at each step."""
    numbers = [float(step) for step in steps]
    return Column(step=list(steps), value=numbers, seconds=numbers, sequences=numbers)


def picture(service: Service, run: Run) -> Mapping[str, Any]:
    """All that the API shows of a run."""
    path = f"/runs/{run.id}"
    kinds = ("metrics", "gradients", "samples", "log", "checkpoints")
    return {"run": service.call("GET", path)} | {
        kind: service.call("GET", f"{path}/{kind}") for kind in kinds
    }
