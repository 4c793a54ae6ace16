"""Runs and reports for the tests of store and service."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.schema import CheckpointMeta, Column, Report, Run, RunConfig, RunState, Vector
from trainer.store import Attempt, Store

CONFIG = RunConfig(model={"name": "lstm"}, task={"name": "adding"})


def config(model: str = "lstm", task: str = "adding", seed: int = 0) -> RunConfig:
    return RunConfig(model={"name": model}, task={"name": task}, seed=seed)


def queued(store: Store, name: str = "a run", tags: Sequence[str] = (), **settings: Any) -> Run:
    return store.create_run(config(**settings), name, list(tags))[0]


def started(store: Store, name: str = "a run", **settings: Any) -> Attempt:
    return store.start_attempt(queued(store, name, **settings).id)


def column(steps: Sequence[int], values: Sequence[float] | None = None) -> Column:
    return Column(
        step=list(steps),
        value=[float(step) for step in steps] if values is None else list(values),
        seconds=[0.5 * step for step in steps],
        sequences=[32.0 * step for step in steps],
    )


def vector(name: str, step: int, numbers: Sequence[float]) -> Vector:
    return Vector(name=name, step=step, numbers=base64.b64encode(np.asarray(numbers, dtype="<f4").tobytes()))


def report(sequence: int = 0, step: int = 0, **parts: Any) -> Report:
    return Report(sequence=sequence, pid=4242, step=step, **parts)


def checkpoint(step: int, data: bytes, loss: float | None = None) -> CheckpointMeta:
    return CheckpointMeta(step=step, sha256=hashlib.sha256(data).hexdigest(), validation_loss=loss)


def post(store: Store, attempt: Attempt, sent: Report, data: bytes | None = None) -> bool:
    """Whether the reply asks for a stop."""
    return store.accept(attempt.run_id, attempt.number, attempt.token, sent, data).stop


def end(store: Store, attempt: Attempt, state: RunState = RunState.INTERRUPTED) -> None:
    assert store.end_attempt(attempt.run_id, attempt.number, state, "for the test")
