"""What memorisation and copy memory share: a pattern, a long pause, a trigger, and the pattern again.

Axes: B (batch), T (time), P (symbols in the pattern).
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Generator, Tensor

from trainer.schema import Channel, SequenceSample
from trainer.tasks.base import Batch, Task
from trainer.tasks.symbols import BLANK, LETTERS, one_hot, spelled

TRIGGER = "!"


class Recall(Task):
    """Read P symbols, stay silent, and say them again, in order, during the last P timesteps.

    The inputs are P symbols of K, then blanks, with one trigger among them at timestep ``trigger``. The
    wanted outputs are blanks, then the P symbols. Symbols are one-hot: channel K is the blank, channel K + 1,
    in the inputs only, the trigger. Every timestep is part of the loss, silence included.

    Args:
        alphabet: K, at most 26.
        pattern: P.
        length: T, at least 2P.
        trigger: the timestep of the trigger.
    """

    loss_kind = "cross_entropy"
    loss_unit: ClassVar[str] = "nats per timestep"

    def __init__(self, *, alphabet: int, pattern: int, length: int, trigger: int) -> None:
        self.alphabet, self.pattern, self.length, self.trigger = alphabet, pattern, length, trigger
        self.input_size, self.output_size = alphabet + 2, alphabet + 1
        self._names = (*LETTERS[:alphabet], BLANK, TRIGGER)

    @property
    def blind_loss(self) -> float:
        """Of a guesser that knows when to be silent, and gives each symbol the same chance when it is not."""
        return self.pattern * math.log(self.alphabet) / self.length

    @property
    def last_chance(self) -> float:
        return math.log(self.alphabet)

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        pattern = torch.randint(self.alphabet, (batch_size, self.pattern), generator=generator)
        symbols = torch.full((batch_size, self.length), self.alphabet)
        targets = symbols.clone()
        symbols[:, : self.pattern] = targets[:, -self.pattern :] = pattern
        symbols[:, self.trigger] = self.alphabet + 1
        return Batch(
            inputs=one_hot(symbols, self.input_size),
            targets=targets,
            first=0,
            informative=torch.arange(self.pattern).repeat(batch_size, 1),
        )

    def recalled_wrongly(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(B, P) bool: where the likeliest of the last P outputs is not the pattern's symbol."""
        return outputs[:, -self.pattern :].argmax(dim=-1) != batch.targets[:, -self.pattern :]

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        read = self._spell(batch.inputs[index].argmax(dim=1))
        wanted = self._spell(batch.targets[index])
        said = self._spell(outputs[index].argmax(dim=1))
        target, prediction = wanted[-self.pattern :], said[-self.pattern :]
        right = sum(a == b for a, b in zip(target, prediction, strict=True))
        silent = sum(symbol == BLANK for symbol in said[: -self.pattern])
        return SequenceSample(
            channels=[
                Channel(name="read", values=read),
                Channel(name="wanted", values=wanted),
                Channel(name="said", values=said),
            ],
            informative=list(range(self.pattern)),
            target=spelled(target),
            prediction=spelled(prediction),
            correct=right == self.pattern,
            detail=(
                f"{right} of {self.pattern} symbols recalled; silent at {silent} of "
                f"{self.length - self.pattern} timesteps before"
            ),
        )

    def _spell(self, symbols: Tensor) -> list[str]:
        return [self._names[symbol] for symbol in symbols.tolist()]
