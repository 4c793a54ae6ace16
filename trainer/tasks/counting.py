"""Counting: read as many b as there were a, and know where the string ends."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec
from trainer.tasks.symbol_sets import THRESHOLD, right_sets, set_channel
from trainer.tasks.symbols import one_hot

INPUTS = ("start", "a", "b")
"""By input channel."""
NEXT = ("a", "b", "end")
"""By output."""
_START, _A, _B = range(3)
_END = 2


class CountingConfig(TaskConfig):
    """Settings of the counting task."""

    length: int = Field(default=10, title="Largest n", ge=2, le=1000)
    """Largest n: each string has n times a, then n times b, with n drawn from 1 to this number."""

    @property
    def timesteps(self) -> int:
        return 2 * self.length + 1


class Counting(Task):
    r"""Read aⁿbⁿ and say at every timestep which symbols may come next.

    A string is a start symbol, n times a, n times b: 2n + 1 timesteps, n uniform from 1 to N. Wished for is
    the set of symbols that may follow: after the start only a; after an a both a and b; after a b another b,
    and after the n-th b only the end. Just the sets after a b take counting. Batches are padded to their
    longest string with timesteps without input, which are not scored.

    The set is coded 1 and 0 with a threshold at 1/2, where Gers & Schmidhuber (2001) have 1, -1 and 0. As
    with them, a string is right when every set is. They train on n from 1 to 10 among others, and test on
    larger n.

    Chance: a guesser that sees the current symbol and does not count. After a b, the end comes with
    probability p = 2 / (N + 1), N strings ends among N (N + 1) / 2 times b. Its mean squared error there is
    2 p (1 - p) / 3, elsewhere 0: over all timesteps, 2 (N - 1) / (3 (N + 1) (N + 2)). The most strings that
    it can have right are those with n = 1, where it says "end" after every b: 1 - 1/N are wrong.
    """

    input_size = len(INPUTS)
    output_size = len(NEXT)
    loss_kind = "mse"
    loss_unit = "squared error"
    error_unit = "wrong sequences"

    def __init__(self, config: CountingConfig) -> None:
        self.largest = config.length
        self.length = config.timesteps

    @property
    def chance(self) -> Chance:
        n = self.largest
        return Chance(loss=2 * (n - 1) / (3 * (n + 1) * (n + 2)), error=1 - 1 / n)

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        n = torch.randint(1, self.largest + 1, (batch_size, 1), generator=generator)
        return strings(n)

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        assert batch.mask is not None
        right = (right_sets(outputs, batch.targets) | ~batch.mask).all(dim=1)
        return Score(wrong=int((~right).sum()), total=len(right))

    def is_solved(self, wrong: int, total: int) -> bool:
        """Every string right, as Gers & Schmidhuber ask of the strings that they train on."""
        del total
        return wrong == 0

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        assert batch.mask is not None
        steps = int(batch.mask[index].sum())
        n = steps // 2
        said, asked = outputs[index, :steps], batch.targets[index, :steps]
        right = right_sets(said, asked)
        ends = (said[n + 1 :, _END] > THRESHOLD).nonzero().flatten()
        return SequenceSample(
            channels=[
                Channel(name="input", values=[INPUTS[i] for i in batch.inputs[index, :steps].argmax(dim=1)]),
                set_channel("may follow", asked, NEXT),
                set_channel("network", said, NEXT),
            ],
            informative=[],
            target=f"end after {n} b",
            prediction=f"end after {int(ends[0]) + 1} b" if len(ends) else "no end",
            correct=bool(right.all()),
            detail=f"{int(right.sum())} of {steps} sets right",
        )


def strings(n: Tensor) -> Batch:
    """The strings aⁿbⁿ for (B, 1) numbers n, padded to the longest."""
    place = torch.arange(2 * int(n.max()) + 1)  # (T,)
    symbol = torch.where(place == 0, _START, torch.where(place <= n, _A, _B))  # (B, T)
    mask = place <= 2 * n
    last, after_b = place == 2 * n, place > n
    sets = torch.stack((~after_b, (place > 0) & ~last, last), dim=2)  # (B, T, O)
    return Batch(
        inputs=one_hot(symbol, len(INPUTS)) * mask.unsqueeze(2),
        targets=(sets & mask.unsqueeze(2)).float(),
        first=0,
        mask=mask,
    )


SPEC = TaskSpec(
    title="Counting (aⁿbⁿ)",
    summary="Read n times a, then n times b, and know when the string ends.",
    group="Formal languages",
    description=(
        "The network reads a start symbol, then n times a, then n times b, with n new in every string. At "
        "each timestep it says which symbols may come next: after an a, another a or the first b; after a "
        "b, another b or, when there were as many b as a, only the end. A string is right when all these "
        "answers are. To know the end it must count up and down again; a network that has learnt to count "
        "is right for larger n than it was trained on, and one that has learnt the strings by heart is not."
        " Who sees only the current symbol has all strings wrong except those with n = 1. Solved means that"
        " no string is wrong."
    ),
    source=(
        "Gers & Schmidhuber 2001, LSTM recurrent networks learn simple context-free and context-sensitive "
        "languages"
    ),
    wrong_when=(
        "A sequence is wrong when, at any timestep, the symbols with an output above one half are not those "
        "that may follow."
    ),
    loss_reason=(
        "Squared error: the answer is a set of symbols, so that several outputs may be 1 at once and there "
        "is no single right class."
    ),
    config=CountingConfig,
    task=Counting,
    defaults={"steps": 2000, "learning_rate": 0.005},
)
