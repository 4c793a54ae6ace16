"""What the best blind guess would score: on the data of validation, and on those of training."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import torch

from trainer.schema import Chance
from trainer.scoring import asks_once
from trainer.tasks.base import Task

LENGTHS = 16
"""Of random training lengths so many are looked at, evenly spread, where there are more."""


def chance_of(task: Task, trained: Sequence[Task], loss_at: str) -> Chance:
    """The chance level of a run, with all that a reader must know to lay curves beside it.

    Args:
        task: as validation and the closing test have it.
        trained: the same at each length that training has.
        loss_at: where training has its losses.
    """
    losses = [_training_loss(each, loss_at) for each in trained]
    known = [loss for loss in losses if loss is not None]
    return task.chance.model_copy(
        update={
            "training_loss": statistics.fmean(known) if len(known) == len(losses) else None,
            "held_back": task.held_back,
        }
    )


def some_lengths(shortest: int, longest: int) -> list[int]:
    """All lengths from one to the other, or the middles of as many equal stretches as are looked at."""
    count = longest - shortest + 1
    looked_at = min(count, LENGTHS)
    return [shortest + (2 * place + 1) * count // (2 * looked_at) for place in range(looked_at)]


def _training_loss(task: Task, loss_at: str) -> float | None:
    """The blind loss of one length; the same answer at every timestep is as hard to guess as once."""
    if loss_at != "last" or asks_once(task.draw_validation(1, torch.Generator().manual_seed(0))):
        return task.training_chance
    return task.last_chance
