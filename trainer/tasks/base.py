"""The contract that every task meets.

Axes: B (batch), T (time), D (input features), O (outputs).
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import Generator, Tensor
from torch.nn import functional as F

from models.base import Network
from trainer.schema import Chance, SampleContent, SequenceSample, SettingError
from trainer.tables import Table, TableError

SHOWN_SEQUENCES = 3
"""Sequences of a batch that samples show."""


class TaskConfig(BaseModel):
    """Settings of one task: frozen, keyword-only, unknown keys refused; docstrings become the form's help."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @property
    def timesteps(self) -> int:
        """Timesteps of a sequence, for limits on memory: ``length``, unless a task says otherwise."""
        return getattr(self, "length", 1)

    @property
    def extent(self) -> int | None:
        """The number that a run of this task is named after: how long, or how far."""
        return getattr(self, "length", None)


class Batch(NamedTuple):
    """Sequences of one length, with the outputs that count.

    Outputs before ``first`` are never scored and carry no target; of the T - ``first`` later ones all are
    scored, or those where ``mask`` is true.
    """

    inputs: Tensor
    """(B, T, D)"""
    targets: Tensor
    """(B, T - first, O) float for squared error, (B, T - first) int64 for cross-entropy."""
    first: int
    """The first scored timestep."""
    mask: Tensor | None = None
    """(B, T - first) bool, or None where every one of them is scored."""
    informative: Tensor | None = None
    """(B, n) int64: the timesteps whose inputs decide the target, for plots; None where all do."""

    @property
    def length(self) -> int:
        return self.inputs.shape[1]

    def scored(self, begin: int, end: int) -> tuple[slice, slice] | None:
        """For the window [begin, end): where its scored steps lie in its own outputs, and in ``targets``.

        None when no output of the window is scored.
        """
        low = max(begin, self.first)
        if low >= end:
            return None
        return slice(low - begin, end - begin), slice(low - self.first, end - self.first)

    def scored_count(self) -> int:
        """How many (sequence, timestep) outputs are scored."""
        return self.targets.shape[0] * self.targets.shape[1] if self.mask is None else int(self.mask.sum())

    def lengths(self) -> Tensor:
        """(B,) int64: the timesteps of each sequence up to its last scored one; what follows is padding."""
        if self.mask is None:
            return torch.full((len(self.inputs),), self.length, device=self.inputs.device)
        steps = torch.arange(self.first + 1, self.length + 1, device=self.mask.device)
        return (steps * self.mask).amax(1)

    def informative_counts(self) -> dict[int, int] | None:
        """By informative timestep: how many sequences it decides the target of; None where all do."""
        if self.informative is None:
            return None
        each = [timestep for row in self.informative.tolist() for timestep in set(row)]
        return dict(sorted(Counter(each).items()))

    def rows(self, begin: int, end: int | None = None) -> Batch:
        """The sequences [begin, end) alone."""
        return Batch(*(part[begin:end] if isinstance(part, Tensor) else part for part in self))  # type: ignore[arg-type]

    def last(self, length: int | None = None) -> tuple[Batch, Tensor]:
        """The last ``length`` timesteps of each sequence, or all; what follows its end is not among them.

        Returns:
            The batch of these stretches, each from its own timestep on, without the padding that all have;
            where one is shorter than another its inputs after its end are 0. And (B,) int64, the timestep
            at which each begins.
        """
        lengths = self.lengths()
        begins = torch.zeros_like(lengths) if length is None else (lengths - length).clamp(min=0)
        width, lead = int((lengths - begins).max()), max(0, self.first - int(begins.max()))
        places = begins[:, None] + torch.arange(width, device=lengths.device)  # (B, width)
        inside = places < lengths[:, None]
        rows = torch.arange(len(lengths), device=lengths.device)[:, None]
        asked = (places - self.first)[:, lead:]  # which of the targets
        is_target = (asked >= 0) & inside[:, lead:]
        asked = asked.clamp(0, self.targets.shape[1] - 1)
        read = self.inputs[rows, places.clamp(max=self.length - 1)]
        stretch = Batch(
            inputs=torch.where(inside[:, :, None], read, 0),
            targets=self.targets[rows, asked],
            first=lead,
            mask=None if self.mask is None else is_target & self.mask[rows, asked],
            informative=None if bool(begins.any()) else self.informative,
        )
        return stretch, begins

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> Batch:
        """The batch on ``device``, its floating-point numbers in ``dtype`` where one is given."""
        moved = (t.to(device, non_blocking=True) if isinstance(t, Tensor) else t for t in self)
        batch = Batch(*moved)  # type: ignore[arg-type]
        if dtype in (None, batch.inputs.dtype):
            return batch
        targets = batch.targets.to(dtype) if batch.targets.is_floating_point() else batch.targets
        return batch._replace(inputs=batch.inputs.to(dtype), targets=targets)


class Score(NamedTuple):
    """How many units (sequences, or symbols for a stream) were judged, and how many were wrong."""

    wrong: int
    total: int


class Task(ABC):
    """A source of sequences, with the rules by which they are judged.

    Draws from the generator it is given and from nothing else. A task whose ``streaming`` is true is one
    long stream in B parallel lanes: successive training batches continue each other, the network's state is
    carried over, and ``position`` says where the next batch begins.
    """

    input_size: int
    output_size: int
    loss_kind: ClassVar[Literal["mse", "cross_entropy"]]
    streaming: ClassVar[bool] = False
    loss_unit: ClassVar[str]
    """What the loss is measured in, for axis titles: ``"nats"``, ``"squared error"``."""
    error_unit: ClassVar[str]
    """What the error rate counts, for axis titles: ``"wrong sequences"``."""
    solvable: ClassVar[bool] = True
    """Whether ``is_solved`` has a rule."""
    counts_characters: ClassVar[bool] = False
    """Whether the loss is nats per character, so that bits per character can be told."""

    held_back: str = ""
    """What ``draw_validation`` draws from, in words, where that is a fixed set; empty: all are made anew."""

    @property
    @abstractmethod
    def chance(self) -> Chance:
        """Loss and error rate of the best blind guess: one that never looks at the informative inputs.

        On data as ``draw_validation`` gives them. The guess with the fewest errors may be another one than
        that with the least loss. Where data are fixed, a guesser knows those of training alone.
        """

    @property
    def training_chance(self) -> float:
        """The same for the loss on data as ``draw`` gives them."""
        return self.chance.loss

    @property
    def last_chance(self) -> float | None:
        """The same where the last scored output of each sequence alone is learnt from; None: not known."""
        return None

    @abstractmethod
    def draw(self, batch_size: int, generator: Generator) -> Batch:
        """The next training batch."""

    def draw_validation(self, batch_size: int, generator: Generator) -> Batch:
        """Fresh sequences to validate on, which training never reads.

        Drawn as those for training are; a stream, or a task with a fixed set of sequences, keeps some apart.
        """
        return self.draw(batch_size, generator)

    def elementwise_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of each scored output: (B, n, O) and targets give (B, n); squared error is averaged over O."""
        if self.loss_kind == "mse":
            return F.mse_loss(outputs, targets, reduction="none").mean(dim=-1)
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)

    def scored_losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Of (B, T - first, O) outputs, those from ``first`` on: (B, T - first), 0 where none is scored."""
        losses = self.elementwise_loss(outputs, batch.targets)
        return losses if batch.mask is None else losses.where(batch.mask, 0.0)

    def teacher(self, batch: Batch) -> Tensor:
        """The outputs that a batch wishes for: (B, T - first, O), NaN where none is scored.

        For teacher forcing. One-hot symbols for cross-entropy: what an output says once it is sure.
        """
        wished = batch.targets
        if self.loss_kind == "cross_entropy":
            wished = F.one_hot(wished, self.output_size).float()
        return wished if batch.mask is None else wished.masked_fill(~batch.mask.unsqueeze(2), torch.nan)

    @abstractmethod
    def score(self, outputs: Tensor, batch: Batch) -> Score:
        """Judge (B, T - first, O) outputs, those from ``batch.first`` on."""

    @abstractmethod
    def is_solved(self, wrong: int, total: int) -> bool | None:
        """The success rule of the task's source, given wrong units among fresh ones; None without a rule."""

    @abstractmethod
    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        """Sequence ``index`` of a batch with the network's (B, T - first, O) outputs, for a reader."""

    @torch.no_grad()
    def samples(self, network: Network[Any], batch: Batch, generator: Generator) -> Sequence[SampleContent]:
        """What the network makes of a batch, for a reader: by default its first sequences, rendered.

        A task whose network can go on by itself shows that instead (``trainer.sampling`` has the ways).

        Args:
            network: in eval mode.
            batch: on the network's device.
            generator: on the CPU, for draws that a sample needs.
        """
        del generator
        outputs, _ = network(batch.inputs, first=batch.first)
        shown = range(min(SHOWN_SEQUENCES, len(batch.inputs)))
        return [self.render(batch, outputs, index) for index in shown]

    # Only streams have a position; others are wholly described by their generator.
    def position(self) -> dict[str, int]:
        """Where the next training batch begins, to be stored in a checkpoint."""
        return {}

    def seek(self, position: dict[str, int]) -> None:
        """Go where ``position`` said."""
        del position


Corpora = Callable[[str], str]
"""Gives the text of a corpus by its id; raises LookupError for an unknown one."""
Tables = Callable[[str], Table]
"""Gives a table by its id; raises LookupError for an unknown one, TableError for what is none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """A registry entry: the task, its settings, and what a reader of the catalogue is told."""

    title: str
    summary: str
    """One line for the launch form."""
    group: str = ""
    """Heading under which the launch form offers it, beside others of its kind."""
    description: str
    """A short paragraph: what goes in, what is asked, why it is hard, what chance looks like."""
    source: str
    """Author, year, title; and which version is followed where they disagree."""
    wrong_when: str
    """One sentence: what is counted as wrong, in the words of ``error_unit``."""
    loss_reason: str
    """One sentence: which loss this task has, squared error or cross-entropy, and why that one."""
    config: type[TaskConfig]
    task: type[Task]
    defaults: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Training settings that learn something on this task within a minute on two cores, for the form."""
    asks_once: bool | dict[str, Any] = False
    """Whether a sequence has one answer, at its end; a rule as in ``only_if`` where settings decide that."""
    needs_corpus: bool = False
    """Whether ``task`` is built with the text as well: ``task(config, text)`` instead of ``task(config)``."""
    check_text: Callable[[str, str], None] | None = None
    """Given the corpus's id and text, raises SettingError where a new run could learn nothing from it."""
    needs_table: bool = False
    """Whether that text is a table, of which the setting ``column`` names one column."""

    def build(self, config: TaskConfig, corpora: Corpora, tables: Tables | None = None) -> Task:
        """The task; a table is read from ``corpora``'s text where nobody has it read already."""
        if self.needs_table and tables is not None:
            corpus: str = config.corpus  # type: ignore[attr-defined]
            try:
                return self.task(config, tables(corpus))  # type: ignore[call-arg]
            except TableError as error:
                raise SettingError("corpus", corpus, error.problem, error.remedy) from None
        if self.needs_corpus:
            return self.task(config, corpora(config.corpus))  # type: ignore[call-arg, attr-defined]
        return self.task(config)  # type: ignore[call-arg]
