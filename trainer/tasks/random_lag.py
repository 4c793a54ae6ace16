"""Long lag, random: the second symbol decides the last, past distractors of unknown number."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec
from trainer.tasks.symbols import one_hot, probability_errors

LARGEST_ERROR = 0.2
"""A sequence counts as wrong where an output is this far, or farther, from what it should be."""
END_PROBABILITY = 0.1
"""Of the trigger, at each timestep after the shortest time."""


class RandomLagConfig(TaskConfig):
    """Settings of the long lag task, random form."""

    lag: int = Field(default=50, ge=1, le=1000)
    """Fewest distractors between the symbol to be kept and the end; on average there are 9 more."""
    distractors: int | None = Field(default=None, title="Kinds of distractors", ge=1, le=1000)
    """How many different distractor symbols there are; empty is the lag."""

    @property
    def timesteps(self) -> int:
        return self.lag + 3 + round(1 / END_PROBABILITY - 1)  # on average

    @property
    def extent(self) -> int:
        return self.lag


class RandomLag(Task):
    """Keep one symbol past many random ones, until a sign that may come at any time.

    A sequence is b, then x or y, then q + k distractors from a₁ … a₍p₎, then e; and after e the network must
    say whether x or y comes, which is the second symbol again. q is the lag, and k ≥ 0 is how often e, which
    from there on comes with probability 1/10, did not come: 9 on average. Symbols are one-hot over p + 4
    channels (the a's, then e, b, x, y); the two outputs stand for x and y, and only the last timestep is
    scored.

    This is experiment 2c of Hochreiter & Schmidhuber (1997), with p = q in the first five rows of their
    table. Two things differ: k is drawn once for each batch, not for each sequence, so that its sequences are
    equally long; and the outputs are a softmax with cross-entropy instead of sigmoids with squared error.
    Solved means, as there, both outputs within .2 of what they should be (1 or 0) on all of 10,000 sequences.

    Chance: x and y are equally likely, so ln 2 = .693 nats, and, for a guesser who is sure of x, 50% wrong.
    """

    output_size = 2
    loss_kind = "cross_entropy"
    loss_unit = "nats"
    error_unit = "wrong sequences"

    def __init__(self, config: RandomLagConfig) -> None:
        self._lag = config.lag
        self._kinds = config.lag if config.distractors is None else config.distractors
        self.input_size = self._kinds + 4
        self.length = config.timesteps

    @property
    def chance(self) -> Chance:
        return Chance(loss=math.log(2), error=0.5)

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        extra = int(torch.empty(()).geometric_(END_PROBABILITY, generator=generator)) - 1
        between = self._lag + extra
        end, begin, x = self._kinds, self._kinds + 1, self._kinds + 2
        which = torch.randint(2, (batch_size, 1), generator=generator)
        noise = torch.randint(self._kinds, (batch_size, between), generator=generator)
        column = torch.ones(batch_size, 1, dtype=torch.int64)
        symbols = torch.cat((begin * column, x + which, noise, end * column), dim=1)
        return Batch(
            inputs=one_hot(symbols, self.input_size),
            targets=which,
            first=symbols.shape[1] - 1,
            informative=column,
        )

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        right = probability_errors(outputs, batch.targets) < LARGEST_ERROR  # a NaN is not right
        return Score(wrong=int((~right).sum()), total=right.numel())

    def is_solved(self, wrong: int, total: int) -> bool:
        """Not one wrong."""
        del total
        return wrong == 0

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        error = float(probability_errors(outputs[index : index + 1], batch.targets[index : index + 1]))
        symbols = batch.inputs[index].argmax(dim=1).tolist()
        return SequenceSample(
            # Which distractor it is says nothing: one lane for all keeps the plot readable.
            channels=[Channel(name="symbol", values=[self._kind(symbol) for symbol in symbols])],
            informative=[1],
            target="xy"[int(batch.targets[index])],
            prediction="xy"[int(outputs[index].argmax())],
            correct=error < LARGEST_ERROR,
            detail=f"error of the outputs: {error:.3f}",
        )

    def _kind(self, symbol: int) -> str:
        return "a" if symbol < self._kinds else "ebxy"[symbol - self._kinds]


SPEC = TaskSpec(
    title="Long lag, random",
    summary="Keep x or y past random distractors, until a sign that may come at any time.",
    group="Long memory",
    description=(
        "A sequence begins with b, then x or y, then many random distractors, then e at a time that nobody "
        "knows. After e the network must say whether it was x or y. Nothing about the distractors is "
        "regular, so they cannot be predicted and forgotten; the one symbol has to survive them all. A "
        "blind guess has a loss of ln 2 = 0.693 nats. An answer is right when both outputs are within 0.2 of "
        "what they should be: who is always sure of x is wrong 50% of the time, and who is sure of nothing, "
        "always. Solved means all of 10,000 sequences right."
    ),
    source=(
        "Hochreiter & Schmidhuber 1997, Long short-term memory (experiment 2c); with softmax outputs and "
        "cross-entropy where they have sigmoid outputs and squared error"
    ),
    wrong_when=("A sequence is wrong when either of the two outputs at its end is 0.2 or more off."),
    loss_reason="Cross-entropy: the answer is x or y, and the network gives each a probability.",
    config=RandomLagConfig,
    task=RandomLag,
    asks_once=True,
    defaults={"steps": 2000, "learning_rate": 0.005},
)
