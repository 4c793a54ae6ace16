"""Temporal order: which of two symbols came first, and which later, among many that do not matter?"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec
from trainer.tasks.symbols import one_hot, score_symbols, under_one_percent

SYMBOLS = "XYcdef"
"""By input channel: the two that matter, then the four distractors."""
TENTHS = {"2": (1, 5), "3": (1, 3, 6)}
"""By the number of symbols to remember: the tenth of the sequence in which each stands, from 0."""


class TemporalOrderConfig(TaskConfig):
    """Settings of the temporal order task."""

    length: int = Field(default=20, ge=10, le=5000)
    """Length of every sequence, in timesteps."""
    bits: Literal["2", "3"] = Field(default="2", title="Symbols to remember")
    """How many times X or Y appears: two give four classes, three give eight."""


class TemporalOrder(Task):
    r"""Name, in order, the two symbols among {X, Y} of a sequence that is otherwise noise.

    Every timestep is one of six symbols, one-hot. With L the length, X or Y stands at :math:`p_0 \in [\lfloor
    .1L \rfloor, 2\lfloor .1L \rfloor)` and again at :math:`p_1 \in [\lfloor .5L \rfloor, \lfloor .5L \rfloor
    + \lfloor .1L \rfloor)`; elsewhere c, d, e or f, all equally likely. After the last timestep the network
    picks one of four classes. With three bits the windows, as wide, begin at :math:`\lfloor .1L \rfloor,
    \lfloor .3L \rfloor, \lfloor .6L \rfloor`, and there are eight classes.

    The format is that of the code with Pascanu, Mikolov & Bengio (2013), which calls the two symbols A and B
    (Hochreiter & Schmidhuber's names are kept here). L ≥ 10 keeps each window non-empty.

    Chance: the classes are equally likely, so the best blind guess has a loss of ln 4 = 1.386 nats and is
    wrong 75% of the time; of eight classes, ln 8 = 2.079 nats and 87.5%.
    """

    input_size = len(SYMBOLS)
    loss_kind = "cross_entropy"
    loss_unit = "nats"
    error_unit = "wrong sequences"

    def __init__(self, config: TemporalOrderConfig) -> None:
        self.length = config.length
        tenths = TENTHS[config.bits]
        self._bits = len(tenths)
        self._begins = torch.tensor([self.length * tenth // 10 for tenth in tenths])  # (bits,)
        self.output_size = 2**self._bits
        self.classes = tuple(self._spell(number) for number in range(self.output_size))
        """By output: the first symbol adds 1 when it is Y, the second 2, the third 4."""

    def _spell(self, number: int) -> str:
        return ",".join(SYMBOLS[number >> place & 1] for place in range(self._bits))

    @property
    def chance(self) -> Chance:
        return Chance(loss=math.log(self.output_size), error=1 - 1 / self.output_size)

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        size = (batch_size, self._bits)
        places = self._begins + torch.randint(self.length // 10, size, generator=generator)
        markers = torch.randint(2, size, generator=generator)
        symbols = torch.randint(2, len(SYMBOLS), (batch_size, self.length), generator=generator)
        symbols.scatter_(1, places, markers)
        return Batch(
            inputs=one_hot(symbols, len(SYMBOLS)),
            targets=(markers << torch.arange(self._bits)).sum(dim=1, keepdim=True),
            first=self.length - 1,
            informative=places,
        )

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        return score_symbols(outputs, batch)

    def is_solved(self, wrong: int, total: int) -> bool:
        """Under 1% wrong."""
        return under_one_percent(wrong, total)

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        assert batch.informative is not None
        target = int(batch.targets[index])
        probabilities = outputs[index, 0].float().softmax(dim=0)
        prediction = int(probabilities.argmax())
        return SequenceSample(
            channels=[
                Channel(
                    name="symbol",
                    values=[SYMBOLS[symbol] for symbol in batch.inputs[index].argmax(dim=1).tolist()],
                )
            ],
            informative=batch.informative[index].tolist(),
            target=self.classes[target],
            prediction=self.classes[prediction],
            correct=prediction == target,
            detail=f"probability given to {self.classes[target]}: {float(probabilities[target]):.3f}",
        )


SPEC = TaskSpec(
    title="Temporal order",
    summary="Say which of X and Y came first and which came second, in a sequence of noise.",
    group="Long memory",
    description=(
        "Each timestep is one of six symbols. Four are noise; X or Y appears once in the second tenth of"
        " the sequence and once just after its middle, or, with three, in its second, fourth and seventh "
        "tenth. At the end the network names all in order: X,X or X,Y or Y,X or Y,Y. The first symbol must "
        "survive the others and all the noise between. A blind guess has a loss of ln 4 = 1.386 nats and "
        "is wrong 75% of the time (of three symbols, ln 8 = 2.079 nats and 87.5%); the loss often stays "
        "there for long, then drops suddenly. Solved means under 1% wrong."
    ),
    source=(
        "Hochreiter & Schmidhuber 1997, Long short-term memory (experiments 6a and 6b); in the format of the "
        "code with Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural "
        "networks (arXiv 1211.5063)"
    ),
    wrong_when=("A sequence is wrong when another order than the true one is given the highest probability."),
    loss_reason=(
        "Cross-entropy: the answer is one of four or eight classes, and the network gives each a probability."
    ),
    config=TemporalOrderConfig,
    task=TemporalOrder,
    asks_once=True,
    defaults={"steps": 2000, "learning_rate": 0.005},
)
