"""The learning rate of every update: a function of its number alone, so that resuming is exact."""

from __future__ import annotations

import math
from collections.abc import Callable

from trainer.schema import TrainingConfig


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The learning rate of the update that follows ``step`` earlier ones.

    Over the ``warmup_steps`` w it is η·1/w, η·2/w, …, η. Then the schedule begins, and runs over the updates
    that are left: its numbers are those of PyTorch's ``LinearLR``, ``CosineAnnealingLR`` and ``StepLR``.
    """
    warmup = config.warmup_steps or 0
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    share = SHAPES[config.schedule](config, step - warmup, max(1, config.steps - warmup))
    return config.learning_rate * share


def changes(config: TrainingConfig) -> bool:
    """Whether the learning rate is not the same for all updates."""
    return config.schedule is not None or config.warmup_steps is not None


def _linear(config: TrainingConfig, done: int, total: int) -> float:
    return 1 + (config.schedule_factor - 1) * min(1.0, done / total)


def _cosine(config: TrainingConfig, done: int, total: int) -> float:
    left = (1 + math.cos(math.pi * min(1.0, done / total))) / 2
    return config.schedule_factor + (1 - config.schedule_factor) * left


def _steps(config: TrainingConfig, done: int, _total: int) -> float:
    return float(config.schedule_factor ** (done // config.schedule_every))


SHAPES: dict[str | None, Callable[[TrainingConfig, int, int], float]] = {
    None: lambda _config, _done, _total: 1.0,
    "linear": _linear,
    "cosine": _cosine,
    "step": _steps,
}
"""The share of the configured learning rate, given the updates done since the warm-up and those in all."""
