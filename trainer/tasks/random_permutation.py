"""Random permutation: remember the very first symbol past a row of random ones."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec
from trainer.tasks.symbols import one_hot, score_symbols, under_one_percent

SYMBOLS = 100


class RandomPermutationConfig(TaskConfig):
    """Settings of the random permutation task."""

    length: int = Field(default=50, ge=2, le=5000)
    """Symbols that the network reads, so timesteps between the first symbol and its return."""


class RandomPermutation(Task):
    """The first symbol, 0 or 1, comes back after the last: which was it?

    Every timestep is one of 100 symbols, one-hot. The first is 0 or 1, the others any of 2 to 99. After the
    last timestep the network must name the next symbol, which is the first one again; only that is scored.

    The format is that of the code with Pascanu, Mikolov & Bengio (2013). There, as here, the symbols between
    are independent draws, not a permutation; the name is Martens & Sutskever's (2011), after Hochreiter &
    Schmidhuber's experiment 2b.

    Chance: a guesser that has learnt that the answer is 0 or 1, and not which: ln 2 = .693 nats, 50% wrong. A
    network that has learnt nothing starts at ln 100 = 4.605 nats and 99%.
    """

    input_size = SYMBOLS
    output_size = SYMBOLS
    loss_kind = "cross_entropy"
    loss_unit = "nats"
    error_unit = "wrong sequences"

    def __init__(self, config: RandomPermutationConfig) -> None:
        self.length = config.length

    @property
    def chance(self) -> Chance:
        return Chance(loss=math.log(2), error=0.5)

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        symbols = torch.randint(2, SYMBOLS, (batch_size, self.length), generator=generator)
        first = torch.randint(2, (batch_size, 1), generator=generator)
        symbols[:, :1] = first
        return Batch(
            inputs=one_hot(symbols, SYMBOLS),
            targets=first,
            first=self.length - 1,
            informative=torch.zeros(batch_size, 1, dtype=torch.int64),
        )

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        return score_symbols(outputs, batch)

    def is_solved(self, wrong: int, total: int) -> bool:
        """Under 1% wrong."""
        return under_one_percent(wrong, total)

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        target = int(batch.targets[index])
        probabilities = outputs[index, 0].float().softmax(dim=0)
        prediction = int(probabilities.argmax())
        symbols = batch.inputs[index].argmax(dim=1).tolist()
        return SequenceSample(
            channels=[Channel(name="symbol", values=[float(symbol) for symbol in symbols])],
            informative=[0],
            target=str(target),
            prediction=str(prediction),
            correct=prediction == target,
            detail=f"probability given to {target}: {float(probabilities[target]):.3f}",
        )


SPEC = TaskSpec(
    title="Random permutation",
    summary="Say at the end whether the first symbol was 0 or 1, past many other symbols.",
    group="Long memory",
    description=(
        "Each timestep is one of 100 symbols. The first is 0 or 1; all others are random, from 2 to 99. At "
        "the end the network must name the first one again. Whether 0 or 1 is all there is to remember, but "
        "it has to be kept through the whole sequence, and the 98 other symbols push the state about. Who "
        "knows that the answer is 0 or 1, and not which, has a loss of ln 2 = 0.693 nats and is wrong 50% "
        "of the time; a network that knows nothing yet starts at ln 100 = 4.605 nats. Solved means under 1% "
        "wrong."
    ),
    source=(
        "Martens & Sutskever 2011, Learning recurrent neural networks with Hessian-free optimization; in the "
        "format of the code with Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent "
        "neural networks (arXiv 1211.5063)"
    ),
    wrong_when=(
        "A sequence is wrong when another symbol than the true one is given the highest probability."
    ),
    loss_reason="Cross-entropy: the answer is one of 100 symbols, and the network gives each a probability.",
    config=RandomPermutationConfig,
    task=RandomPermutation,
    asks_once=True,
    defaults={"steps": 2000, "learning_rate": 0.002},
)
