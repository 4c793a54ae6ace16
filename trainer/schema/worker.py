"""What a worker and the service say to each other."""

from __future__ import annotations

from uuid import UUID

from pydantic import Base64Bytes, ConfigDict

from trainer.schema.base import Wire
from trainer.schema.config import RunConfig
from trainer.schema.runs import LogLine, RunState, Sample, Summary


class Assignment(Wire):
    """What an engine hands to a worker: all it needs for one attempt at one run."""

    run_id: UUID
    attempt: int
    token: str
    """The attempt's token: opens this attempt's own routes and nothing else."""
    url: str
    """The service."""
    config: RunConfig
    resume: bool
    """Whether to start from the run's latest checkpoint, where it has one."""


class Column(Wire):
    """New points of one metric. Values may be NaN or infinite (Python's JSON dialect)."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    step: list[int]
    value: list[float]
    seconds: list[float]
    sequences: list[float]


EIGENVALUES = "eigenvalues/"
"""Before the matrix's name in the name of a vector that holds eigenvalues."""


class Vector(Wire):
    """Many numbers of one step: little-endian float32."""

    name: str
    """Quantity and layer, ``h/0``, of norms by timestep; ``eigenvalues/Ws/0``, ``eigenvalues/Ws/0/f`` of
    eigenvalues, the real and imaginary part of each in turn."""
    step: int
    numbers: Base64Bytes


class CheckpointMeta(Wire):
    """Announces the checkpoint whose bytes follow the report."""

    step: int
    sha256: str
    validation_loss: float | None
    """At this step or the last one before, to tell the best."""


class End(Wire):
    """A worker's last word."""

    state: RunState
    reason: str | None = None


class Report(Wire):
    """One post of a worker: all of it is stored in one transaction, or none.

    On the wire: 4 bytes, big-endian length of the JSON; the JSON; then the checkpoint's bytes, if announced.
    A repeated post of the same ``sequence`` changes nothing.
    """

    sequence: int
    """0, 1, 2, … within the attempt."""
    pid: int
    step: int
    """Updates made so far."""
    metrics: dict[str, Column] = {}
    vectors: list[Vector] = []
    samples: list[Sample] = []
    log: list[LogLine] = []
    summary: Summary | None = None
    """Fields that are None leave what is stored."""
    checkpoint: CheckpointMeta | None = None
    end: End | None = None


class ReportReply(Wire):
    """What the service answers to a report."""

    stop: bool
    """The user asked for a stop: write a checkpoint and exit."""


class ServiceAddress(Wire):
    """What a local service writes into its data folder, so that dashboards and commands find it."""

    url: str
    token: str
    pid: int
