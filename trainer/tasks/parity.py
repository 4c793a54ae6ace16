"""Parity: has the network seen an odd number of ones?"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec
from trainer.tasks.symbols import under_one_percent

CLASSES = ("even", "odd")
"""By output."""


class ParityConfig(TaskConfig):
    """Settings of the parity task."""

    length: int = Field(default=20, ge=2, le=5000)
    """Bits in every sequence, one per timestep."""
    scored: Literal["every", "last"] = Field(default="every", title="Scored timesteps")
    """Ask for the parity of the bits so far after every bit, or only once, after the last: much harder."""


class Parity(Task):
    """Say whether the ones so far are even or odd in number.

    Each timestep is a bit, 0 or 1 with equal probability, shown as -1 or 1. The loss is taken after every bit
    or after the last one only. A sequence is right when its last answer is, in both cases, so that the two
    can be compared.

    Bengio, Simard & Frasconi (1994) ask after the last bit only, in sequences of many lengths.

    Chance: whoever misses a single bit knows nothing, since that bit alone turns the answer. So the best
    blind guess has a loss of ln 2 = 0.693 nats at every timestep and is wrong half of the time.
    """

    input_size = 1
    output_size = len(CLASSES)
    loss_kind = "cross_entropy"
    loss_unit = "nats"
    error_unit = "wrong sequences"

    def __init__(self, config: ParityConfig) -> None:
        self.length = config.length
        self.first = 0 if config.scored == "every" else config.length - 1

    @property
    def chance(self) -> Chance:
        return Chance(loss=math.log(2), error=0.5)

    @property
    def last_chance(self) -> float:
        return math.log(2)

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        bits = torch.randint(2, (batch_size, self.length), generator=generator)
        return Batch(
            inputs=(2.0 * bits - 1).unsqueeze(2),
            targets=(bits.cumsum(dim=1) % 2)[:, self.first :].contiguous(),
            first=self.first,
        )

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        wrong = outputs[:, -1].argmax(dim=-1) != batch.targets[:, -1]
        return Score(wrong=int(wrong.sum()), total=len(wrong))

    def is_solved(self, wrong: int, total: int) -> bool:
        """Under 1% wrong, the rule of the temporal order task; the source gives none."""
        return under_one_percent(wrong, total)

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        ones = int((batch.inputs[index] > 0).sum())
        target = int(batch.targets[index, -1])
        probabilities = outputs[index, -1].float().softmax(dim=0)
        prediction = int(probabilities.argmax())
        return SequenceSample(
            channels=[Channel(name="bit", values=[float(bit > 0) for bit in batch.inputs[index, :, 0]])],
            informative=[],
            target=CLASSES[target],
            prediction=CLASSES[prediction],
            correct=prediction == target,
            detail=f"{ones} ones in {self.length} bits; probability given to {CLASSES[target]}: "
            f"{float(probabilities[target]):.3f}",
        )


SPEC = TaskSpec(
    title="Parity",
    summary="Say whether the number of ones in a row of bits is even or odd.",
    group="Formal languages",
    description=(
        "Each timestep brings a random bit. The network must say whether the ones so far are even or odd in"
        " number. One bit of memory is enough, but every single input turns the answer: there is nothing to"
        " learn from a part of the sequence, which makes the task hard for gradients. Asked after every "
        "bit, the first answers are easy and lead on to the later ones; asked only after the last bit, "
        "there is no such help. A sequence is right when its last answer is. A blind guess has a loss of ln"
        " 2 = 0.693 nats and is wrong half of the time. Solved means under 1% wrong."
    ),
    source=(
        "Bengio, Simard & Frasconi 1994, Learning long-term dependencies with gradient descent is difficult"
        " (the parity problem); here all sequences of a run have one length"
    ),
    wrong_when=("A sequence is wrong when its last answer, even or odd, is not the true one."),
    loss_reason="Cross-entropy: the answer is one of two classes, even or odd.",
    config=ParityConfig,
    task=Parity,
    asks_once={"scored": ["last"]},
    defaults={"steps": 2000, "learning_rate": 0.005},
)
