"""What adding and multiplication share: two marked numbers among many, and one number to answer.

Axes: B (batch), T (time).
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Generator, Tensor

from trainer.schema import Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task
from trainer.tasks.symbols import under_one_percent


def mark_in_windows(length: int, batch_size: int, generator: Generator) -> tuple[int, Tensor]:
    r"""Pascanu's markers: one early, one before the middle.

    With L the configured length, at least 10, a batch has length :math:`l \in [L, L + \lfloor .1L \rfloor)`,
    and the markers lie in :math:`p_0 \in [0, \lfloor .1l \rfloor)` and :math:`p_1 \in [\lfloor .1l \rfloor,
    \lfloor .1l \rfloor + \lfloor .4l \rfloor)`.

    Returns:
        The batch's length l, and the (B, 2) marked timesteps.
    """
    drawn = length + int(torch.randint(length // 10, (), generator=generator))
    early, wide = drawn // 10, drawn * 2 // 5
    first = torch.randint(early, (batch_size, 1), generator=generator)
    second = torch.randint(early, early + wide, (batch_size, 1), generator=generator)
    return drawn, torch.cat((first, second), dim=1)


def mark_anywhere(length: int, batch_size: int, generator: Generator) -> tuple[int, Tensor]:
    """The markers of the TCN benchmark: any two different timesteps, every pair equally likely.

    Returns:
        The batch's length, which is ``length``, and the (B, 2) marked timesteps, the earlier one first.
    """
    first = torch.randint(length, (batch_size, 1), generator=generator)
    others = torch.randint(length - 1, (batch_size, 1), generator=generator)
    second = others + (others >= first)  # skips the place that is taken
    return length, torch.cat((first, second), dim=1).sort(dim=1).values


class MarkedNumbers(Task):
    """Each timestep: a number x, uniform in [0, 1), and a marker that is 1 at two timesteps and 0 elsewhere.

    After the last timestep the network answers with one number. An answer is wrong when its squared error is
    over ``largest_squared_error``.
    """

    input_size = 2
    output_size = 1
    loss_kind = "mse"
    loss_unit = "squared error"
    error_unit = "wrong sequences"

    largest_squared_error: float = 0.04
    """Off by more than 0.2."""

    @abstractmethod
    def mark(self, batch_size: int, generator: Generator) -> tuple[int, Tensor]:
        """The length of a batch, and its (B, 2) marked timesteps, the earlier one first."""

    @abstractmethod
    def answer(self, first: Tensor, second: Tensor) -> Tensor:
        """(B,) right answers for the two (B,) marked numbers."""

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        length, marked = self.mark(batch_size, generator)
        values = torch.rand(batch_size, length, generator=generator)
        markers = torch.zeros(batch_size, length).scatter_(1, marked, 1.0)
        numbers = values.gather(1, marked)
        return Batch(
            inputs=torch.stack((values, markers), dim=2),
            targets=self.answer(numbers[:, 0], numbers[:, 1]).view(batch_size, 1, 1),
            first=length - 1,
            informative=marked,
        )

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        squared = (outputs.float() - batch.targets).square()
        right = int((squared <= self.largest_squared_error).sum())  # a NaN is not right
        return Score(wrong=squared.numel() - right, total=squared.numel())

    def is_solved(self, wrong: int, total: int) -> bool:
        """Under 1% wrong."""
        return under_one_percent(wrong, total)

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        assert batch.informative is not None
        target = float(batch.targets[index])
        prediction = float(outputs[index])
        squared = (prediction - target) ** 2
        return SequenceSample(
            channels=[
                Channel(name="value", values=batch.inputs[index, :, 0].tolist()),
                Channel(name="marker", values=batch.inputs[index, :, 1].tolist()),
            ],
            informative=batch.informative[index].tolist(),
            target=f"{target:.3f}",
            prediction=f"{prediction:.3f}",
            correct=squared <= self.largest_squared_error,
            detail=f"squared error {squared:.2g}",
        )
