"""The adding problem: remember two numbers over a long distance, and add them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance
from trainer.tasks.base import TaskConfig, TaskSpec
from trainer.tasks.marked_numbers import MarkedNumbers, mark_anywhere, mark_in_windows


class AddingConfig(TaskConfig):
    """Settings of the adding task."""

    length: int = Field(default=50, ge=10, le=5000)
    """Length of a sequence, in timesteps; for the mean, each batch is up to a tenth longer."""
    convention: Literal["mean", "sum"] = "mean"
    """Mean: one number is marked early, one before the middle, and their mean is asked for. Sum: both are
    marked anywhere, and their sum is asked for."""


class Adding(MarkedNumbers):
    r"""Which two of many random numbers are marked, and what is their mean, or their sum?

    ``mean`` is the format of the code with Pascanu, Mikolov & Bengio (2013): markers in windows (see
    ``mark_in_windows``), and the answer :math:`(x_{p_0} + x_{p_1}) / 2`. At least half of the sequence passes
    after the second marker. The code there has the marker in channel 0 and the number in channel 1; here the
    number comes first. Wrong beyond a squared error of .04, as there.

    ``sum`` is the format of the TCN benchmark (Bai, Kolter & Koltun 2018): two different timesteps anywhere,
    and the answer :math:`x_{p_0} + x_{p_1}`. That source counts no errors; here an answer is wrong
    when it would be for the mean, off by more than .4.

    Chance: the mean of two uniform numbers has a triangular density on [0, 1], so that .5 is the best
    blind guess by either measure. Its squared error is the variance, (1/12 + 1/12) / 4 = 1/24, and it is
    off by more than .2 with probability 2 · 2 · .3² = 36%. The sum is twice the mean: guess 1, squared
    error 1/6, off by more than .4 in 36%.
    """

    def __init__(self, config: AddingConfig) -> None:
        self.length = config.length
        is_mean = config.convention == "mean"
        self._places = mark_in_windows if is_mean else mark_anywhere
        self._scale = 0.5 if is_mean else 1.0
        self.largest_squared_error = 0.16 * self._scale**2

    @property
    def chance(self) -> Chance:
        return Chance(loss=self._scale**2 / 6, error=0.36)

    def mark(self, batch_size: int, generator: Generator) -> tuple[int, Tensor]:
        return self._places(self.length, batch_size, generator)

    def answer(self, first: Tensor, second: Tensor) -> Tensor:
        return (first + second) * self._scale


SPEC = TaskSpec(
    title="Adding",
    summary="Add the two marked numbers of a long sequence.",
    group="Long memory",
    description=(
        "Each timestep brings a random number between 0 and 1 and a marker. Two numbers are marked. At the "
        "end the network must give their mean (one is marked in the first tenth of the sequence, one before "
        "its middle) or their sum (both are marked anywhere). It has to carry both numbers to the end, past "
        "many others that do not matter. Who always answers 0.5 for the mean has a squared error of 1/24 = "
        "0.0417; who always answers 1 for the sum, 1/6 = 0.1667. An answer is wrong when it is off by more "
        "than 0.2 for the mean, 0.4 for the sum: a blind guess is wrong 36% of the time. Solved means under "
        "1% wrong."
    ),
    source=(
        "Hochreiter & Schmidhuber 1997, Long short-term memory (experiment 4). Mean: in the format of the "
        "code with Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks "
        "(arXiv 1211.5063). Sum: in the format of Bai, Kolter & Koltun 2018, An empirical evaluation of "
        "generic convolutional and recurrent networks (arXiv 1803.01271)"
    ),
    wrong_when=(
        "A sequence is wrong when its answer is off by more than 0.2; by more than 0.4 where the run's "
        "convention is set to sum and not, as by default, to mean."
    ),
    loss_reason=(
        "Squared error: the answer is a number, and being nearly right is nearly as good as being right."
    ),
    config=AddingConfig,
    task=Adding,
    asks_once=True,
    defaults={"steps": 3000, "learning_rate": 0.004},
)
