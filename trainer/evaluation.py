"""Judging a network on sequences that training never reads.

Axes: B (batch), T (time), O (outputs).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Generator

from models.base import Network, named_tensors
from trainer.lengths import TaskAt
from trainer.schema import VALIDATION_SEQUENCES as VALIDATION_SEQUENCES
from trainer.schema import LengthVerdict, finite
from trainer.seeds import generator
from trainer.tasks.base import Task

TEST_SEQUENCES = 10_000
LENGTH_SEQUENCES = 1_000
"""At each length of a generalisation curve."""
VALIDATION_CHUNKS = 128
TEST_CHUNKS = 1_000
"""Chunks of a stream, each of which holds many symbols."""
_BATCH = 256
_NUMBERS = 2**26
"""Numbers that one batch may hold at once: 256 MiB."""
_MULTIPLICATIONS = 2 * 10**10
"""Of one batch: about a second on one core, so that a stop is answered soon."""
_COPIES_OF_STATES = 5
"""Of each (B, T, H) state in a forward pass: itself, and the gates it is made from."""


class EvaluationStopped(Exception):  # noqa: N818  what happened, not what went wrong
    """Nobody waits for the verdict any more."""


def validation_size(task: Task) -> int:
    """Sequences (of a stream: chunks) in one validation."""
    return VALIDATION_CHUNKS if task.streaming else VALIDATION_SEQUENCES


def test_size(task: Task) -> int:
    """Sequences (of a stream: chunks) in the closing test."""
    return TEST_CHUNKS if task.streaming else TEST_SEQUENCES


def validation_generator(task: Task, seed: int, step: int) -> Generator:
    """Fresh sequences at each step; of a text, whose chunks differ much, the same ones each time."""
    return generator(seed, "validation", *(() if task.streaming else (step,)))


class Verdict(NamedTuple):
    """How a network did on sequences that training never reads."""

    loss: float
    """Mean over the scored outputs."""
    wrong: int
    total: int
    """Units judged: sequences, or symbols of a stream."""

    @property
    def error(self) -> float:
        return self.wrong / self.total


def batch_size(network: Network[Any], task: Task) -> int:
    """Sequences judged at once: fewer than usual where they are long or the network is large."""
    length = getattr(task, "length", 1)
    states = sum(tensor.shape[1] for _, tensor in named_tensors(network.initial_state(1)))
    made = sum(weight.shape[0] for weight in network.weight_roles().values())  # of hidden units without state
    numbers = length * (task.input_size + 3 * task.output_size + max(_COPIES_OF_STATES * states, made))
    multiplications = length * network.multiplications_per_timestep()
    return max(1, min(_BATCH, _NUMBERS // numbers, _MULTIPLICATIONS // max(1, multiplications)))


@torch.no_grad()
def evaluate(
    network: Network[Any],
    task: Task,
    sequences: int,
    source: Generator,
    stopped: Callable[[], bool] = lambda: False,
) -> Verdict:
    """Loss and errors on ``sequences`` of validation, each read from the initial state.

    Raises:
        EvaluationStopped: ``stopped``, which is asked before each batch, said so.
    """
    weight = next(network.parameters())
    loss, scored, wrong, total = torch.zeros((), dtype=torch.float64), 0, 0, 0
    at_once = batch_size(network, task)
    for begin in range(0, sequences, at_once):
        if stopped():
            raise EvaluationStopped
        batch = task.draw_validation(min(at_once, sequences - begin), source)
        batch = batch.to(weight.device, weight.dtype)
        outputs, _ = network(batch.inputs, first=batch.first)
        loss += task.scored_losses(outputs, batch).double().sum().cpu()
        scored += batch.scored_count()
        score = task.score(outputs, batch)
        wrong, total = wrong + score.wrong, total + score.total
    return Verdict(float(loss) / scored, wrong, total)


def evaluate_at_lengths(
    network: Network[Any],
    task_at: TaskAt,
    lengths: Sequence[int],
    seed: int,
    stopped: Callable[[], bool] = lambda: False,
) -> list[LengthVerdict]:
    """A generalisation curve: how a network does on other sequences of each length.

    Raises:
        EvaluationStopped: as ``evaluate``.
    """
    verdicts = []
    for length in lengths:
        task = task_at(length)
        verdict = evaluate(network, task, LENGTH_SEQUENCES, generator(seed, "length", length), stopped)
        verdicts.append(
            LengthVerdict(
                length=length,
                loss=finite(verdict.loss),
                error=verdict.error,
                wrong=verdict.wrong,
                total=verdict.total,
                chance=task.chance,
            )
        )
    return verdicts
