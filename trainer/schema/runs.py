"""Runs, and what they told of themselves: curves, samples, log lines."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, model_validator

from trainer.schema.base import Wire
from trainer.schema.catalog import Chance
from trainer.schema.config import RunConfig
from trainer.schema.ends import is_blow_up
from trainer.schema.words import Name, Shown, ShownLine, Tag


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
    binned: bool | None = None
    """Into the bin, which keeps it for a day, or back out of it."""


class LengthVerdict(Wire):
    """A test of the trained network on sequences of another length than it was trained on."""

    length: int
    """As the task's own setting ``length`` has it."""
    loss: float | None
    """None where it was not finite."""
    error: float | None
    """Share of wrong units, 0 to 1; None where the task has no right and wrong."""
    wrong: int
    total: int
    chance: Chance | None = None
    """Of the task at this length."""


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
    """Whether the task's success rule held at the last test on many sequences that training never read."""
    solved_at: int | None = None
    test_loss: float | None = None
    test_wrong: int | None = None
    test_total: int | None = None
    """The closing test: wrong units among this many."""
    bits_per_character: float | None = None
    lengths: list[LengthVerdict] | None = None
    """After training: how the network does on longer sequences, by length."""
    informative: dict[int, int] | None = None
    """By timestep, from 0: in how many of the probe's sequences, on which gradients are measured, its input
    decides the target. None where all do, and for runs of versions that did not count."""

    @property
    def test_words(self) -> str:
        """What the closing test found, and on which data; empty before it."""
        if not self.test_total:
            return ""
        held_back = None if self.chance is None else self.chance.held_back
        which = f" drawn from {held_back}" if held_back else " fresh ones" if held_back == "" else ""
        return f"{self.test_wrong or 0:,} wrong of {self.test_total:,}{which}"


class Run(Wire):
    """A run as GET /runs and GET /runs/{id} give it."""

    id: UUID
    number: int
    """1, 2, 3, … in order of creation; gives a run its colour."""
    name: ShownLine
    tags: list[ShownLine]
    state: RunState
    reason: Shown | None
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
    binned_at: datetime | None = None
    """When it was put into the bin; a day later it is deleted."""
    can_resume: bool
    """Also while it runs, if its worker does not answer."""
    silent_for: int | None = None
    """Seconds since anything was heard of its worker, where that is 30 or more: it does not answer. None
    while it does, and where none is at work."""

    @property
    def blew_up(self) -> bool:
        """Whether its numbers grew beyond all bounds. A resumed run repeats that, as it repeats all else."""
        return self.state is RunState.FAILED and is_blow_up(self.reason)


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


class EigenvalueSeries(Wire):
    """The eigenvalues of one matrix of one run: as many as it has rows, for each recorded step."""

    steps: list[int]
    real: list[list[float | None]]
    imaginary: list[list[float | None]]


class TextSample(Wire):
    """Text that the network wrote after a prompt."""

    kind: Literal["text"] = "text"
    prompt: Shown
    text: Shown
    temperature: float


class Channel(Wire):
    """One row of a rendered input: a number or a symbol for each timestep."""

    name: ShownLine
    values: list[float] | list[Shown]


class SequenceSample(Wire):
    """One input sequence with what was asked and what the network said."""

    kind: Literal["sequence"] = "sequence"
    channels: list[Channel]
    informative: list[int]
    """Timesteps whose inputs decide the target; empty where all do."""
    target: Shown
    prediction: Shown
    correct: bool
    detail: Shown = ""
    """Say, the probability given to the right class."""
    picture: list[list[float]] | None = None
    """Rows of brightness from 0, paper, to 1, ink, where the sequence is one."""


class ForecastSample(Wire):
    """One series of numbers, with what the network made of it; all three lists are equally long."""

    kind: Literal["forecast"] = "forecast"
    name: ShownLine = "value"
    """What the numbers are."""
    truth: list[float]
    one_ahead: list[float | None]
    """Each value as forecast from the true values before it; None where none was made."""
    alone: list[float | None]
    """From timestep ``given`` on, the network going on from its own forecasts; None before."""
    given: int
    """True values that it read before it was left alone."""
    detail: Shown = ""
    """Say, both mean squared errors."""
    correct: bool | None = None
    """Whether the task counts all of it as right; None where nobody asked."""


SampleContent = Annotated[TextSample | SequenceSample | ForecastSample, Field(discriminator="kind")]
"""What a sample can be; ``kind`` says which."""


class Sample(Wire):
    """One thing that the network produced at an update; ``index`` tells those of one update apart."""

    step: int
    index: int
    content: SampleContent


class LogLine(Wire):
    """One line of a run's log."""

    at: datetime
    level: Literal["debug", "info", "warning", "error"]
    text: Shown


class CorpusInfo(Wire):
    """A text or a table to train on, without what it holds."""

    id: str
    name: ShownLine
    characters: int
    vocabulary: int
    """Distinct characters."""
    builtin: bool
    preview: Shown
    kind: Literal["text", "table"] = "text"
    """As its owner declared it; found out from what it holds only where nothing was declared."""
    columns: list[str] = []
    """The columns of numbers, the likeliest to be wanted first; a text has none."""

    @model_validator(mode="before")
    @classmethod
    def _kind_from_columns(cls, given: Any) -> Any:
        """Of a service or a file that does not say yet: what has columns is a table."""
        if isinstance(given, dict) and "kind" not in given and given.get("columns"):
            return {**given, "kind": "table"}
        return given
