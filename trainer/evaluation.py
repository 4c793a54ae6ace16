"""Judging a network on fresh sequences.

Axes: B (batch), T (time), O (outputs).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Generator

from models.base import Network
from trainer.seeds import generator
from trainer.tasks.base import Task

VALIDATION_SEQUENCES = 256
TEST_SEQUENCES = 10_000
VALIDATION_CHUNKS = 128
TEST_CHUNKS = 1_000
"""Chunks of a stream, each of which holds many symbols."""
_BATCH = 256


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
    """How a network did on fresh sequences."""

    loss: float
    """Mean over the scored outputs."""
    wrong: int
    total: int
    """Units judged: sequences, or symbols of a stream."""

    @property
    def error(self) -> float:
        return self.wrong / self.total


@torch.no_grad()
def evaluate(network: Network[Any], task: Task, sequences: int, source: Generator) -> Verdict:
    """Loss and errors on ``sequences`` fresh sequences, each read from the initial state."""
    device = next(network.parameters()).device
    loss, scored, wrong, total = torch.zeros((), dtype=torch.float64), 0, 0, 0
    for begin in range(0, sequences, _BATCH):
        batch = task.draw_validation(min(_BATCH, sequences - begin), source).to(device)
        outputs, _ = network(batch.inputs, first=batch.first)
        losses = task.elementwise_loss(outputs, batch.targets)
        if batch.mask is not None:
            losses = losses[batch.mask]
        loss += losses.double().sum().cpu()
        scored += losses.numel()
        score = task.score(outputs, batch)
        wrong, total = wrong + score.wrong, total + score.total
    return Verdict(float(loss) / scored, wrong, total)
