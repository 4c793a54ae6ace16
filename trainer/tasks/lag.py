"""Long lag, regular: the first symbol decides the last, and everything between is always the same."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec
from trainer.tasks.symbols import one_hot, probability_errors

LARGEST_ERROR = 0.25
"""A sequence counts as wrong where any output is this far, or farther, from what it should be."""


class LagConfig(TaskConfig):
    """Settings of the long lag task, regular form."""

    lag: int = Field(default=50, ge=2, le=1000)
    """Timesteps from reading the first symbol to predicting the last; the alphabet has one symbol more."""

    @property
    def timesteps(self) -> int:
        return self.lag

    @property
    def extent(self) -> int:
        return self.lag


class Lag(Task):
    """Predict each next symbol of one of two sequences that differ in their first and last symbol only.

    With p the lag, the sequences are y a₁ a₂ … a₍p−1₎ y and x a₁ a₂ … a₍p−1₎ x, equally likely. The network
    reads the first p symbols, one-hot over p + 1 channels (a₁ … a₍p−1₎, x, y), and at each predicts the next.
    The a's follow from the symbol before; the last needs the first one, p timesteps back.

    This is experiment 2a of Hochreiter & Schmidhuber (1997), who have squared error on sigmoid outputs; here
    the outputs are a softmax with cross-entropy, and it is its probabilities that are judged: a sequence is
    right when at every timestep every output is within .25 of what it should be (1 or 0). Solved means, as
    there, all of 10,000 random sequences right.

    Chance: who has learnt all but the last symbol has a loss of ln 2 once in p timesteps, so ln 2 / p, at
    best. By error the best blind guess is to be sure of x: wrong half the time. A network that leaves both
    open, as one trained on cross-entropy does, is wrong always.
    """

    loss_kind = "cross_entropy"
    loss_unit = "nats per symbol"
    error_unit = "wrong sequences"

    def __init__(self, config: LagConfig) -> None:
        self.length = config.timesteps
        self.input_size = self.output_size = config.lag + 1
        self._x = config.lag - 1
        # x a₁ … a₍p−1₎ x, to be made the other one by adding 1 to both ends.
        self._sequence = torch.tensor([self._x, *range(self._x), self._x])

    @property
    def chance(self) -> Chance:
        return Chance(loss=math.log(2) / self.length, error=0.5)

    @property
    def last_chance(self) -> float:
        return math.log(2)

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        which = torch.randint(2, (batch_size,), generator=generator)
        sequences = self._sequence.repeat(batch_size, 1)  # (B, T + 1)
        sequences[:, 0] += which
        sequences[:, -1] += which
        return Batch(
            inputs=one_hot(sequences[:, :-1], self.input_size),
            targets=sequences[:, 1:].contiguous(),
            first=0,
            informative=torch.zeros(batch_size, 1, dtype=torch.int64),
        )

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        right = (probability_errors(outputs, batch.targets) < LARGEST_ERROR).all(dim=1)  # a NaN is not right
        return Score(wrong=int((~right).sum()), total=right.numel())

    def is_solved(self, wrong: int, total: int) -> bool:
        """Not one wrong."""
        del total
        return wrong == 0

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        errors = probability_errors(outputs[index : index + 1], batch.targets[index : index + 1])[0]
        worst = int(errors.argmax())
        first = int(batch.inputs[index, 0].argmax())
        return SequenceSample(
            # The a's always come in the same order: their numbers would only fill the plot.
            channels=[Channel(name="symbol", values=[self._name(first), *["a"] * (self.length - 1)])],
            informative=[0],
            target=self._name(int(batch.targets[index, -1])),
            prediction=self._name(int(outputs[index, -1].argmax())),
            correct=bool((errors < LARGEST_ERROR).all()),
            detail=f"largest error of an output: {float(errors[worst]):.3f}, at timestep {worst + 1}",
        )

    def _name(self, symbol: int) -> str:
        return f"a{symbol + 1}" if symbol < self._x else "xy"[symbol - self._x]


SPEC = TaskSpec(
    title="Long lag, regular",
    summary="Predict the next symbol; the last one is the same as the first.",
    group="Long memory",
    description=(
        "There are two sequences: x, then a1, a2, a3 and so on, then x again; and the same with y in place "
        "of x. At each timestep the network predicts the next symbol. All but the last follow from the "
        "symbol before; the last is the first one again, which has to be kept all the way. Who learns "
        "everything but that has a loss of ln 2 divided by the lag: look at the error, as the loss is small "
        "early. A sequence is right when every output, at every timestep, is within 0.25 of what it should "
        "be. So who is sure of x has half of them wrong, and who is sure of nothing has all. Solved means "
        "all of 10,000 sequences right."
    ),
    source=(
        "Hochreiter & Schmidhuber 1997, Long short-term memory (experiment 2a); with softmax outputs and "
        "cross-entropy where they have sigmoid outputs and squared error"
    ),
    wrong_when=("A sequence is wrong when any of its outputs is 0.25 or more away from what it should be."),
    loss_reason="Cross-entropy: the next symbol is one of many, and the network gives each a probability.",
    config=LagConfig,
    task=Lag,
    defaults={"steps": 2000, "learning_rate": 0.005},
)
