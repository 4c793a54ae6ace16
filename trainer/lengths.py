"""Sequences of other lengths than a task's own: random ones to train on, longer ones to test on."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Generator

from trainer.tasks.base import Batch, Task

TaskAt = Callable[[int], Task]
"""Builds the task at a length."""


class RandomLengths:
    """Draws each training batch at a length of its own, uniform between two, both included.

    Pascanu, Mikolov & Bengio 2013 train one network on lengths from 50 to 200, and find that it then answers
    sequences far longer than any it was trained on.
    """

    def __init__(self, at: TaskAt, shortest: int, longest: int) -> None:
        self.at = lru_cache(maxsize=None)(at)
        self.shortest, self.longest = shortest, longest

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        """The next training batch; its length comes from the same generator as its content."""
        length = int(torch.randint(self.shortest, self.longest + 1, (), generator=generator))
        return self.at(length).draw(batch_size, generator)


def ladder(shortest: int, longest: int) -> list[int]:
    """Lengths to test at: ``shortest``, twice that, four times, …, and ``longest`` at the end."""
    rungs = [shortest]
    while rungs[-1] * 2 < longest:
        rungs.append(rungs[-1] * 2)
    return rungs if longest == shortest else [*rungs, longest]
