"""The multiplication problem: remember two numbers over a long distance, and multiply them."""

from __future__ import annotations

import math

from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance
from trainer.tasks.base import TaskConfig, TaskSpec
from trainer.tasks.marked_numbers import MarkedNumbers, mark_in_windows


class MultiplicationConfig(TaskConfig):
    """Settings of the multiplication task."""

    length: int = Field(default=50, ge=10, le=5000)
    """Shortest sequence, in timesteps; each batch has a length between this and a tenth more."""


class Multiplication(MarkedNumbers):
    r"""Which two of many random numbers are marked, and what is their product?

    Adding with another question: the format is that of the code with Pascanu, Mikolov & Bengio (2013),
    markers in windows (see ``mark_in_windows``), and the answer :math:`x_{p_0} x_{p_1}`. Hochreiter &
    Schmidhuber asked for it to show that an LSTM does not owe its success at adding to a memory cell that
    adds.

    Chance: of all constants the mean product, 1/4, has the least squared error, the variance, 1/9 − 1/16 =
    7/144; and .2 the fewest wrong answers. For the product z is at most c with probability :math:`F(c) = c -
    c \ln c`, so that small products are the likelier ones, and a guess of .2 is right for all of [0, .4], the
    likeliest stretch of that width: 1 − F(.4) = 23.3% are wrong. A network trained on squared error and blind
    to the numbers comes to 1/4, which is off by more than .2 in 1 − F(.45) + F(.05) = 39%: worse than chance.
    """

    def __init__(self, config: MultiplicationConfig) -> None:
        self.length = config.length

    @property
    def chance(self) -> Chance:
        return Chance(loss=7 / 144, error=1 - _at_most(0.4))

    def mark(self, batch_size: int, generator: Generator) -> tuple[int, Tensor]:
        return mark_in_windows(self.length, batch_size, generator)

    def answer(self, first: Tensor, second: Tensor) -> Tensor:
        return first * second


def _at_most(product: float) -> float:
    """The probability that two uniform numbers multiply to ``product`` or less."""
    return product - product * math.log(product)


SPEC = TaskSpec(
    title="Multiplication",
    summary="Multiply the two marked numbers of a long sequence.",
    group="Long memory",
    description=(
        "Each timestep brings a random number between 0 and 1 and a marker. Two numbers are marked: one "
        "in the first tenth of the sequence, one before its middle. At the end the network must give "
        "their product. It has to carry both numbers across at least half the sequence, and then do "
        "something with them that no single weight can. Who always answers the mean product, 0.25, has a "
        "squared error of 7/144 = 0.0486. An answer is wrong when it is off by more than 0.2: who always "
        "says 0.2 has the fewest wrong, 23.3%, and who says 0.25 has 39%. Solved means under 1% wrong."
    ),
    source=(
        "Hochreiter & Schmidhuber 1997, Long short-term memory (experiment 5); in the format of the "
        "code with Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural "
        "networks (arXiv 1211.5063)"
    ),
    wrong_when=("A sequence is wrong when its answer is off by more than 0.2."),
    loss_reason=(
        "Squared error: the answer is a number, and being nearly right is nearly as good as being right."
    ),
    config=MultiplicationConfig,
    task=Multiplication,
    asks_once=True,
    defaults={"steps": 4000, "learning_rate": 0.004},
)
