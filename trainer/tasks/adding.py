"""The adding problem: remember two numbers over a long distance, and average them."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec

LARGEST_SQUARED_ERROR = 0.04
"""A sequence counts as wrong beyond this: the guess is off by more than 0.2."""


class AddingConfig(TaskConfig):
    """Settings of the adding task."""

    length: int = Field(default=50, ge=10, le=5000)
    """Shortest sequence, in timesteps; each batch has a length between this and a tenth more."""


class Adding(Task):
    r"""Which two of many random numbers are marked, and what is their mean?

    At each timestep the network reads a number x, uniform in [0, 1), and a marker that is 1 at two timesteps
    and 0 elsewhere. After the last it must say :math:`(x_{p_0} + x_{p_1}) / 2`.

    The format is that of the code with Pascanu, Mikolov & Bengio (2013): with L the configured length, a
    batch has length :math:`l \in [L, L + \lfloor .1L \rfloor)`, and the markers lie in
    :math:`p_0 \in [0, \lfloor .1l \rfloor)` and
    :math:`p_1 \in [\lfloor .1l \rfloor, \lfloor .1l \rfloor + \lfloor .4l \rfloor)`. So at least half of the
    sequence passes after the second marker. L ≥ 10 keeps each window non-empty. The code there has the marker
    in channel 0 and the number in channel 1; here the number comes first.

    Chance: the mean of two uniform numbers has a triangular density on [0, 1], so that .5 is the best
    blind guess by either measure. Its squared error is the variance, (1/12 + 1/12) / 4 = 1/24, and it is
    off by more than .2 with probability 2 · 2 · .3² = 36%.
    """

    input_size = 2
    output_size = 1
    loss_kind = "mse"
    loss_unit = "squared error"
    error_unit = "wrong sequences"

    def __init__(self, config: AddingConfig) -> None:
        self.length = config.length

    @property
    def chance(self) -> Chance:
        return Chance(loss=1 / 24, error=0.36)

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        extra = torch.randint(self.length // 10, (), generator=generator)
        length = self.length + int(extra)
        early, wide = length // 10, length * 2 // 5
        first = torch.randint(early, (batch_size, 1), generator=generator)
        second = torch.randint(early, early + wide, (batch_size, 1), generator=generator)
        marked = torch.cat((first, second), dim=1)  # (B, 2)
        values = torch.rand(batch_size, length, generator=generator)
        markers = torch.zeros(batch_size, length).scatter_(1, marked, 1.0)
        return Batch(
            inputs=torch.stack((values, markers), dim=2),
            targets=values.gather(1, marked).mean(dim=1).view(batch_size, 1, 1),
            first=length - 1,
            informative=marked,
        )

    def draw_validation(self, batch_size: int, generator: Generator) -> Batch:
        return self.draw(batch_size, generator)

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        squared = (outputs.float() - batch.targets).square()
        right = int((squared <= LARGEST_SQUARED_ERROR).sum())  # a NaN is not right
        return Score(wrong=squared.numel() - right, total=squared.numel())

    def is_solved(self, wrong: int, total: int) -> bool:
        """Under 1% wrong."""
        return 100 * wrong < total

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
            informative=sorted(batch.informative[index].tolist()),
            target=f"{target:.3f}",
            prediction=f"{prediction:.3f}",
            correct=squared <= LARGEST_SQUARED_ERROR,
            detail=f"squared error {squared:.4f}",
        )


SPEC = TaskSpec(
    title="Adding",
    summary="Average the two marked numbers of a long sequence.",
    description=(
        "Each timestep brings a random number between 0 and 1 and a marker. Two numbers are marked: one "
        "in the first tenth of the sequence, one before its middle. At the end the network must give "
        "their mean. It has to carry both numbers across at least half the sequence, past many others "
        "that do not matter. Who always answers 0.5 has a squared error of 1/24 = 0.0417, and 36% of the"
        " sequences wrong; an answer is wrong when it is off by more than 0.2. Solved means under 1% "
        "wrong."
    ),
    source=(
        "Hochreiter & Schmidhuber 1997, Long short-term memory; in the format of the code with Pascanu, "
        "Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks (arXiv "
        "1211.5063)"
    ),
    config=AddingConfig,
    task=Adding,
    defaults={"steps": 3000, "learning_rate": 0.004},
)
