"""The contract that every view meets: what it is given, what it answers, how it says no.

Axes: B (batch), T (time), D (input features), O (outputs).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.base import Network, from_named_tensors, named_tensors
from trainer.config import Resolved
from trainer.schema import RunConfig, Series, Stretch, VectorSeries, Wire
from trainer.scoring import as_learnt
from trainer.seeds import generator
from trainer.tasks.base import Batch, Task

DIGITS = 5
"""Significant digits of the numbers in an answer: more than a chart shows, in half the bytes."""


class ViewSettings(BaseModel):
    """Settings of one view: frozen, unknown keys refused; docstrings become the form's help."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ProbeSettings(ViewSettings):
    """Settings of a view that measures on a stretch of sequences."""

    sequences: int = Field(default=4, ge=1, le=64)
    """How many sequences to measure on: always the same ones, drawn for that alone."""
    length: int | None = Field(default=None, title="Length (timesteps)", ge=2, le=1000)
    """How many timesteps to measure, the last ones of each sequence; empty is automatic: as many as take
    about a second."""


class Meaningless(Exception):  # noqa: N818  an answer, not an error
    """The view has no meaning for this network or task; the text says why, in a sentence."""


class ViewError(Exception):
    """A setting does not fit this network or task."""

    def __init__(self, field: str, value: Any, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem}; {remedy}")
        self.field, self.value, self.problem, self.remedy = field, value, problem, remedy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a run told of itself while it trained."""

    vectors: Mapping[str, VectorSeries] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Series] = dataclasses.field(default_factory=dict)


class Probe:
    """A stretch of fresh sequences with the loss that training would give them.

    Each sequence's own last timesteps: sequences of different lengths are padded to the longest one, and what
    is padding is no part of any stretch. The network runs free: one that is taught in training, by teacher
    forcing, hears its own outputs here.

    Args:
        task: judges outputs.
        batch: whole sequences.
        network: reads what comes before the stretch.
        length: the stretch is the last so many timesteps of each sequence, or all of a shorter one.
    """

    def __init__(self, task: Task, batch: Batch, network: Network[Any], length: int | None = None) -> None:
        self.task = task
        self._count = batch.scored_count()
        self.batch, self.begins = batch.last(length)
        """Of the stretches alone; and the (B,) timesteps of their sequences at which they begin."""
        self.lengths = self.batch.lengths()
        """(B,) how many timesteps each stretch has; later ones in the batch are padding."""
        self.state = _states_before(network, batch.inputs, self.begins)
        """Before the stretch; None is the initial one."""

    @property
    def stretch(self) -> Stretch:
        """Which timesteps these are, for a reader."""
        return Stretch(begins=self.begins.tolist(), lengths=self.lengths.tolist())

    @property
    def begin(self) -> int:
        """The timestep that the first one of the stretch is in every sequence; 0 where they differ."""
        first = int(self.begins[0])
        return first if bool((self.begins == first).all()) else 0

    def apart(self, values: Tensor) -> list[Tensor]:
        """(T, B, ...) values of all timesteps to those of each sequence's own, (its T, 1, ...)."""
        return [values[:length, b : b + 1] for b, length in enumerate(self.lengths.tolist())]

    def loss(self, outputs: Tensor) -> Tensor:
        """(B, T, O) outputs of the stretch to the share that it has in the mean loss of its sequences."""
        return self._losses(outputs).sum() / self._count

    def losses(self, outputs: Tensor) -> Tensor:
        """The same, timestep by timestep: (T,), 0 where no output is scored."""
        each = self._losses(outputs).sum(0) / self._count
        return torch.cat((each.new_zeros(self.batch.first), each))

    def _losses(self, outputs: Tensor) -> Tensor:
        """(B, T - first)"""
        batch = self.batch.to(outputs.device, outputs.dtype)  # an analysis may compute in float64
        return self.task.scored_losses(outputs[:, batch.first :], batch)


def _states_before(network: Network[Any], x: Tensor, begins: Tensor) -> Any:
    """The state of each sequence before its own timestep, (B,); None where that is the first for all."""
    if not bool(begins.any()):
        return None
    found = state = network.initial_state(len(x))
    read = 0
    for begin in sorted(set(begins.tolist())):
        if begin > read:
            with torch.no_grad():
                _, state = network(x[:, read:begin], state, begin - read)
        here, read, before = (begins == begin)[:, None], begin, dict(named_tensors(found))
        now = {name: torch.where(here, held, before[name]) for name, held in named_tensors(state)}
        found = from_named_tensors(found, now)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """What is looked into: one run, and one of its checkpoints."""

    config: RunConfig
    resolved: Resolved
    step: int | None
    """Of the checkpoint; None where the view needs none."""
    network: Network[Any]
    """With the checkpoint's weights (without a checkpoint, those of the start), in eval mode, on the CPU."""
    stored: Mapping[str, Any]
    """The whole checkpoint; empty without one."""
    recorded: Recorded

    @property
    def task(self) -> Task:
        return self.resolved.task

    @property
    def title(self) -> str:
        """What the literature calls the network."""
        return self.resolved.model_spec.title

    def fresh(self) -> Network[Any]:
        """The network as it was before the first update."""
        return self.resolved.network().to(next(self.network.parameters()).dtype).eval()

    def drawn(self, sequences: int, seed: int | None = None) -> Batch:
        """The first sequences of the run's own probe, or of that of another seed, as the task scores them.

        No longer than the longest of them.
        """
        drawn = max(sequences, self.config.analysis.probe_size)
        source = generator(self.config.seed if seed is None else seed, "probe")
        batch, _ = self.task.draw_validation(drawn, source).rows(0, sequences).last()
        return batch.to(torch.device("cpu"), next(self.network.parameters()).dtype)

    def learnt(self, sequences: int) -> Batch:
        """The first sequences of the run's own probe, with losses where the run's training has them."""
        return as_learnt(self.drawn(sequences), self.config.training.loss_at)

    def probe(self, sequences: int, length: int | None = None) -> Probe:
        """A stretch of the first sequences of the run's own probe, with the losses of training."""
        return Probe(self.task, self.learnt(sequences), self.network, length)

    @property
    def parameters(self) -> int:
        """How many numbers the network learns."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def state_names(self) -> list[str]:
        """``"h/0"``, …; empty for a network without memory."""
        return [name for name, _ in named_tensors(self.network.initial_state(1))]

    def require_state(self, why: str) -> None:
        """Raises Meaningless, with the reason, for a network that carries no state."""
        if not self.state_names():
            raise Meaningless(
                f"This network, {self.title}, carries no state from timestep to timestep: {why}"
            )


def anything(subject: Subject) -> None:
    """Requires nothing."""


def needs_state(why: str) -> Callable[[Subject], None]:
    """Requires a network that carries a state; ``why`` tells what is missing without one."""
    return lambda subject: subject.require_state(why)


Settings = TypeVar("Settings", bound=ViewSettings | Wire)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViewSpec(Generic[Settings]):
    """A registry entry: one way to look inside a run, and what a reader is told of it."""

    title: str
    summary: str
    """One or two lines: what one sees."""
    look_for: str
    """One or two lines: what to look for in it."""
    settings: type[Settings]
    compute: Callable[[Subject, Settings], Wire]
    """Gives a member of ``trainer.schema.ViewResult``. Raises Meaningless and ViewError."""
    require: Callable[[Subject], None] = anything
    """Raises Meaningless where no weights and no settings would give the view a meaning: asked before
    ``compute``, and quick, since a page asks it of all views to mark those that have none."""
    uses_checkpoint: Literal["must", "may", "no"] = "must"
    """``may``: with the one that was asked for, where there is one."""
    needs_recordings: bool = False
    """Whether it is given what the run recorded."""


def quick_length(most: int, usual: float, cost: float, power: float = 0.5) -> int:
    """How many timesteps can be measured in about a second.

    Args:
        most: how many of a network of usual size.
        usual: what a timestep of that costs, in any unit.
        cost: what one of this network costs, in the same unit.
        power: how steeply the length must fall with the cost: 1/2 where time grows with its square.
    """
    return max(2, min(most, int(most * (usual / max(cost, 1)) ** power)))


def number(value: float) -> float | None:
    """A number as JSON may have it, with few digits; None where it is not finite."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def curve(values: Tensor) -> list[float | None]:
    """(N,)"""
    return [number(value) for value in values.tolist()]


def grid(values: Tensor) -> list[list[float | None]]:
    """(N, M)"""
    return [curve(row) for row in values]
