"""Every type that crosses the wire: between browser and service, worker and service, command line and store.

Pydantic only. Importing this module imports neither torch nor the database, so the dashboard can use it.
"""

from __future__ import annotations

import math
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)


class Wire(BaseModel):
    """Base of everything here: frozen, unknown keys refused, docstrings become descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


# --- A run's configuration ---------------------------------------------------------------------------


class TrainingConfig(Wire):
    """How the weights are changed."""

    steps: int = Field(default=2000, title="Steps (updates)", ge=1, le=10_000_000)
    """Optimiser updates in all. This is the x-axis of every plot."""
    batch_size: int = Field(default=32, ge=1, le=4096)
    """Sequences per batch (for text: parallel lanes of the stream)."""
    optimizer: Literal["sgd", "rmsprop", "adam", "adamw"] = "adam"
    """The rule that turns gradients into updates."""
    learning_rate: float = Field(default=0.001, gt=0, le=10)
    """Size of each update."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """How much of the last update is kept; SGD and RMSprop only."""
    weight_decay: float | None = Field(default=None, ge=0, le=1)
    """Pull of every weight towards zero; empty is PyTorch's default: 0.01 for AdamW, else none."""
    k1: int | None = Field(default=None, title="Backward every, k1", ge=1)
    """Truncated BPTT: run backward after every k1 timesteps; empty is off: backward once, after the last."""
    k2: int | None = Field(default=None, title="Reaching back, k2", ge=1)
    """Truncated BPTT: how many timesteps the gradient travels back, at least k1; empty is unlimited."""
    clip: Literal["norm", "value"] | None = Field(default="norm", title="Gradient clipping")
    """Rescale the whole gradient when its norm is too large (norm), cut each entry (value), or leave it."""
    clip_at: float = Field(default=1.0, title="Clipping threshold", gt=0)
    """The clipping threshold: a norm, or the largest allowed entry."""
    update_every: int = Field(default=1, title="Windows per update", ge=1, le=1000)
    """Sum the gradients of this many windows, counting those with a scored output, then update once."""
    validate_every: int = Field(default=200, title="Validate every (updates)", ge=1)
    """Updates between two validations on fresh sequences."""
    stop_when_solved: bool = False
    """End early once the task's own success rule holds on 10,000 fresh sequences."""
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """Where to compute; auto takes a GPU where there is one."""
    precision: Literal["32", "bf16"] = "32"
    """Bits of the forward and backward pass; weights stay 32-bit."""

    @field_validator("precision", mode="before")
    @classmethod
    def _precision(cls, given: Any) -> Any:
        return "32" if given == 32 else given  # a number, where it was typed into a terminal

    @model_validator(mode="after")
    def _truncation(self) -> Self:
        if self.k1 is None and self.k2 is not None:
            raise SettingError(
                "k2", self.k2, "k2 without k1", "set k1 as well, or leave both empty for full BPTT"
            )
        if self.k1 is not None and self.k2 is not None and self.k2 < self.k1:
            raise SettingError(
                "k2",
                self.k2,
                f"k2 is smaller than k1 = {self.k1}: some losses would reach no weight",
                f"set k2 to {self.k1} or more, or leave it empty",
            )
        return self


class AnalysisConfig(Wire):
    """What a run records about itself beside its losses."""

    every: int | None = Field(default=50, title="Record gradients every (updates)", ge=1)
    """Updates between two recordings of the gradient at every timestep; empty records none."""
    probe_size: int = Field(default=8, title="Probe batch (sequences)", ge=1, le=256)
    """Sequences in the fixed probe batch on which that gradient is measured."""
    samples_every: int | None = Field(default=250, title="Take samples every (updates)", ge=1)
    """Updates between two samples of what the network produces; empty takes none."""


class RunConfig(Wire):
    """A whole experiment. ``model`` and ``task`` carry a ``name`` and that entry's own settings.

    The service checks them against the catalogue; unknown names and settings are refused.
    """

    model: dict[str, Any]
    task: dict[str, Any]
    training: TrainingConfig = TrainingConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Where all random numbers of the run start."""


class SettingError(ValueError):
    """One setting is wrong: for use in validators, whose errors ``trainer.errors`` takes apart again."""

    def __init__(self, field: str, value: Any, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem}; {remedy}")
        self.field, self.value, self.problem, self.remedy = field, value, problem, remedy


class FieldError(Wire):
    """What is wrong with one field of a request."""

    field: str
    """Dotted path from the request's root, without list positions of unions: ``config.training.k2``."""
    value: Any = None
    """What was sent, shortened."""
    problem: str
    remedy: str


class ErrorBody(Wire):
    """The body of every 4xx and 5xx answer."""

    message: str
    """One sentence for a person."""
    remedy: str = ""
    """What to do now."""
    errors: list[FieldError] = []
    """One per field, for a 422."""


# --- The catalogue -----------------------------------------------------------------------------------


class Chance(Wire):
    """The best blind guess: never looks at the inputs that matter."""

    loss: float
    error: float | None = None
    """Share of wrong units, 0 to 1; None where a task has no right and wrong."""


class CatalogEntry(Wire):
    """One network or one task, as the launch form shows it."""

    name: str
    title: str
    summary: str
    description: str = ""
    equations: str = ""
    source: str
    json_schema: dict[str, Any]
    """Of its settings, without ``name``."""
    loss_unit: str = ""
    error_unit: str = ""
    streaming: bool = False
    needs_corpus: bool = False
    training_defaults: dict[str, Any] = {}
    """Tasks: training settings that learn something within a minute."""


class Catalog(Wire):
    """All that can be launched on this service."""

    models: list[CatalogEntry]
    tasks: list[CatalogEntry]
    training_schema: dict[str, Any]
    analysis_schema: dict[str, Any]
    accelerators: list[str]
    """Those of ``cpu``, ``gpu``, ``mps`` that this machine has."""


class Estimate(Wire):
    """What a configuration will cost, told before it is launched."""

    parameters: int
    multiplications_per_timestep: int
    seconds: float
    """Training time for all steps on this machine, from a short measurement."""
    chance: Chance
    input_size: int
    output_size: int


# --- Runs --------------------------------------------------------------------------------------------


class RunState(StrEnum):
    """queued → running → finished | stopped | failed | interrupted; the last three can be resumed."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def is_over(self) -> bool:
        return self not in (RunState.QUEUED, RunState.RUNNING)

    @property
    def can_resume(self) -> bool:
        return self in (RunState.STOPPED, RunState.FAILED, RunState.INTERRUPTED)


_PLAIN = r"^[^\x00-\x1f\x7f<>]*$"
"""No markup and no control characters: names end up in pages, terminals and file names."""
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=_PLAIN)]
Tag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=40, pattern=_PLAIN),
]


class Launch(Wire):
    """The body of POST /runs, and of POST /estimate."""

    config: RunConfig
    name: Name | None = None
    """None makes one from network and task."""
    tags: list[Tag] = Field(default=[], max_length=20)


class RunPatch(Wire):
    """The body of PATCH /runs/{id}: what is given is changed."""

    name: Name | None = None
    tags: list[Tag] | None = Field(default=None, max_length=20)


class Summary(Wire):
    """Results of a run so far, kept beside it so that a table of runs needs no metrics."""

    parameters: int | None = None
    device: str | None = None
    chance: Chance | None = None
    loss: float | None = None
    """Of the last update."""
    validation_loss: float | None = None
    validation_error: float | None = None
    best_validation_loss: float | None = None
    best_validation_error: float | None = None
    best_step: int | None = None
    clip_rate: float | None = None
    """Share of updates whose gradient was clipped, 0 to 1."""
    steps_per_second: float | None = None
    sequences_per_second: float | None = None
    seconds: float | None = None
    """Training time over all attempts."""
    solved: bool | None = None
    """Whether the task's success rule held at the last test on many fresh sequences."""
    solved_at: int | None = None
    test_loss: float | None = None
    test_wrong: int | None = None
    test_total: int | None = None
    """The closing test: wrong units among this many fresh ones."""
    bits_per_character: float | None = None


class Run(Wire):
    """A run as GET /runs and GET /runs/{id} give it."""

    id: UUID
    number: int
    """1, 2, 3, … in order of creation; gives a run its colour."""
    name: str
    tags: list[str]
    state: RunState
    reason: str | None
    """Why it failed, was interrupted, or stopped; None otherwise."""
    attempt: int
    """The current attempt, from 1."""
    step: int
    """Optimiser updates made and stored."""
    config: RunConfig
    summary: Summary
    created_at: datetime
    started_at: datetime | None
    """Of the first attempt."""
    ended_at: datetime | None
    can_resume: bool


class RunPage(Wire):
    """One page of a list of runs."""

    runs: list[Run]
    """Newest first unless another order was asked for."""
    next: str | None
    """Pass as ``cursor`` for the next page; None at the end."""
    total: int
    """Runs that match the filter, over all pages."""


class Series(Wire):
    """One metric of one run, by update."""

    step: list[int]
    value: list[float | None]
    """None where the value was not finite; ``flag`` says which."""
    seconds: list[float]
    """Training time at each point, over all attempts."""
    sequences: list[float]
    """Training sequences seen at each point."""
    flag: dict[int, Literal["nan", "inf", "-inf"]] = {}
    """By step, for the values that were not finite."""


class VectorSeries(Wire):
    """One per-timestep quantity of one run: a T-vector for each recorded step."""

    steps: list[int]
    norms: list[list[float | None]]


class TextSample(Wire):
    """Text that the network wrote after a prompt."""

    kind: Literal["text"] = "text"
    prompt: str
    text: str
    temperature: float


class Channel(Wire):
    """One row of a rendered input: a number or a symbol for each timestep."""

    name: str
    values: list[float] | list[str]


class SequenceSample(Wire):
    """One input sequence with what was asked and what the network said."""

    kind: Literal["sequence"] = "sequence"
    channels: list[Channel]
    informative: list[int]
    """Timesteps whose inputs decide the target; empty where all do."""
    target: str
    prediction: str
    correct: bool
    detail: str = ""
    """Say, the probability given to the right class."""


class Sample(Wire):
    """One thing that the network produced at an update; ``index`` tells those of one update apart."""

    step: int
    index: int
    content: TextSample | SequenceSample = Field(discriminator="kind")


class LogLine(Wire):
    """One line of a run's log."""

    at: datetime
    level: Literal["debug", "info", "warning", "error"]
    text: str


class CorpusInfo(Wire):
    """A text to train on, without the text."""

    id: str
    name: str
    characters: int
    vocabulary: int
    """Distinct characters."""
    builtin: bool
    preview: str


# --- Worker to service -------------------------------------------------------------------------------


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


class Vector(Wire):
    """One per-timestep vector: ``norms`` is T little-endian float32 numbers."""

    name: str
    """Quantity and layer: ``h/0``."""
    step: int
    norms: Base64Bytes


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


def finite(value: float) -> float | None:
    """The value, or None where JSON has no way to write it."""
    return value if math.isfinite(value) else None
