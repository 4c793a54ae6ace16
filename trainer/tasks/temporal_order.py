"""Temporal order: which of two symbols came first, and which later, among many that do not matter?"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec

SYMBOLS = "XYcdef"
"""By input channel: the two that matter, then the four distractors."""
CLASSES = ("X,X", "Y,X", "X,Y", "Y,Y")
"""By output: the first symbol adds 1 when it is Y, the second adds 2."""


class TemporalOrderConfig(TaskConfig):
    """Settings of the temporal order task."""

    length: int = Field(default=20, ge=10, le=5000)
    """Length of every sequence, in timesteps."""


class TemporalOrder(Task):
    r"""Name, in order, the two symbols among {X, Y} of a sequence that is otherwise noise.

    Every timestep is one of six symbols, one-hot. With L the length, X or Y stands at
    :math:`p_0 \in [\lfloor .1L \rfloor, 2\lfloor .1L \rfloor)` and again at
    :math:`p_1 \in [\lfloor .5L \rfloor, \lfloor .5L \rfloor + \lfloor .1L \rfloor)`; elsewhere c, d, e or f,
    all equally likely. After the last timestep the network picks one of four classes.

    The format is that of the code with Pascanu, Mikolov & Bengio (2013), which calls the two symbols A and B
    (Hochreiter & Schmidhuber's names are kept here). L ≥ 10 keeps each window non-empty.

    Chance: the four classes are equally likely, so the best blind guess has a loss of ln 4 = 1.386 nats
    and is wrong 75% of the time.
    """

    input_size = len(SYMBOLS)
    output_size = len(CLASSES)
    loss_kind = "cross_entropy"
    loss_unit = "nats"
    error_unit = "wrong sequences"

    def __init__(self, config: TemporalOrderConfig) -> None:
        self.length = config.length

    @property
    def chance(self) -> Chance:
        return Chance(loss=math.log(4), error=0.75)

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        tenth, half = self.length // 10, self.length // 2
        early = torch.randint(tenth, 2 * tenth, (batch_size, 1), generator=generator)
        late = torch.randint(half, half + tenth, (batch_size, 1), generator=generator)
        places = torch.cat((early, late), dim=1)  # (B, 2)
        markers = torch.randint(2, (batch_size, 2), generator=generator)
        symbols = torch.randint(2, len(SYMBOLS), (batch_size, self.length), generator=generator)
        symbols.scatter_(1, places, markers)
        one_hot = torch.zeros(batch_size, self.length, len(SYMBOLS)).scatter_(2, symbols.unsqueeze(2), 1.0)
        return Batch(
            inputs=one_hot,
            targets=markers[:, :1] + 2 * markers[:, 1:],
            first=self.length - 1,
            informative=places,
        )

    def draw_validation(self, batch_size: int, generator: Generator) -> Batch:
        return self.draw(batch_size, generator)

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        wrong = outputs.argmax(dim=-1) != batch.targets
        return Score(wrong=int(wrong.sum()), total=wrong.numel())

    def is_solved(self, wrong: int, total: int) -> bool:
        """Under 1% wrong."""
        return 100 * wrong < total

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
            target=CLASSES[target],
            prediction=CLASSES[prediction],
            correct=prediction == target,
            detail=f"probability given to {CLASSES[target]}: {float(probabilities[target]):.3f}",
        )


SPEC = TaskSpec(
    title="Temporal order",
    summary="Say which of X and Y came first and which came second, in a sequence of noise.",
    description=(
        "Each timestep is one of six symbols. Four are noise; X or Y appears once in the second tenth of"
        " the sequence and once just after its middle. At the end the network names both in order: X,X "
        "or X,Y or Y,X or Y,Y. The first symbol must survive the second and all the noise after it. A "
        "blind guess has a loss of ln 4 = 1.386 nats and is wrong 75% of the time; the loss often stays "
        "there for long, then drops suddenly. Solved means under 1% wrong."
    ),
    source=(
        "Hochreiter & Schmidhuber 1997, Long short-term memory (experiment 6a); in the format of the "
        "code with Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural "
        "networks (arXiv 1211.5063)"
    ),
    config=TemporalOrderConfig,
    task=TemporalOrder,
    defaults={"steps": 2000, "learning_rate": 0.005},
)
