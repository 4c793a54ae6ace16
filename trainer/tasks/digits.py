"""Handwritten digits, one pixel per timestep: which digit was it?"""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec

SIDE = 8
PIXELS = SIDE * SIDE
CLASSES = 10
HELD_OUT = 360
"""The last fifth of the images."""
BRIGHTEST = 16.0
SHUFFLING_SEED = 0


class DigitsConfig(TaskConfig):
    """Settings of the digits task."""

    order: Literal["rows", "shuffled"] = Field(default="rows", title="Order of the pixels")
    """Row by row from the top left; or one random order, the same for every image, which is harder."""

    @property
    def timesteps(self) -> int:
        return PIXELS


class Digits(Task):
    """An image of 8 × 8 pixels is read pixel by pixel; after the last, the network names the digit.

    The images are the 1,797 that ship with scikit-learn: handwritten digits of 13 people, from the test set
    of the UCI repository's Optical Recognition of Handwritten Digits. A pixel is a number from 0, paper, to
    1, ink. Training draws at random from the first 1,437; validation and the closing test from the last 360,
    at random too, so that 10,000 test sequences show each about 28 times.

    In the shuffled order, one permutation is drawn once and for all and used for every image, as in Le et
    al. (2015), whose images are the 28 × 28 of MNIST: pixels that are neighbours come far apart.

    Chance: a guesser that knows only how often each digit occurs in the training images, judged on the
    held-out ones. Its loss is close to ln 10 = 2.303, its error to 90%.
    """

    held_back = f"the {HELD_OUT} images held back"

    input_size = 1
    output_size = CLASSES
    loss_kind = "cross_entropy"
    loss_unit = "nats"
    error_unit = "wrong images"
    length = PIXELS

    def __init__(self, config: DigitsConfig) -> None:
        images, labels = _images()
        self.order = torch.arange(PIXELS)
        if config.order == "shuffled":
            self.order = torch.randperm(PIXELS, generator=Generator().manual_seed(SHUFFLING_SEED))
        sequences = images[:, self.order].unsqueeze(2)  # (N, 64, 1)
        self._training = sequences[:-HELD_OUT], labels[:-HELD_OUT]
        self._validation = sequences[-HELD_OUT:], labels[-HELD_OUT:]

    @property
    def chance(self) -> Chance:
        known, asked = _shares(self._training[1]), _shares(self._validation[1])
        return Chance(loss=float(-(asked * known.log()).sum()), error=float(1 - asked[known.argmax()]))

    @property
    def training_chance(self) -> float:
        known = _shares(self._training[1])
        return float(-(known * known.log()).sum())

    @property
    def last_chance(self) -> float:
        return self.training_chance

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        return _drawn(*self._training, batch_size, generator)

    def draw_validation(self, batch_size: int, generator: Generator) -> Batch:
        return _drawn(*self._validation, batch_size, generator)

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        wrong = outputs.argmax(dim=-1) != batch.targets
        return Score(wrong=int(wrong.sum()), total=wrong.numel())

    def is_solved(self, wrong: int, total: int) -> bool:
        """Under 10% wrong: our own rule, since the source has none."""
        return 10 * wrong < total

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        pixels = batch.inputs[index, :, 0].cpu()
        target = int(batch.targets[index])
        probabilities = outputs[index, 0].float().softmax(dim=0)
        prediction = int(probabilities.argmax())
        picture = torch.empty(PIXELS)
        picture[self.order] = pixels.to(picture)
        return SequenceSample(
            channels=[Channel(name="ink", values=pixels.tolist())],
            informative=[],
            target=str(target),
            prediction=str(prediction),
            correct=prediction == target,
            detail=f"probability given to {target}: {float(probabilities[target]):.3f}",
            picture=picture.view(SIDE, SIDE).tolist(),
        )


@cache
def _images() -> tuple[Tensor, Tensor]:
    """(1797, 64) pixels from 0 to 1 in reading order, and (1797,) digits."""
    # Takes about two seconds, which only a run on this task should pay.
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return torch.from_numpy(pixels).float() / BRIGHTEST, torch.from_numpy(labels).long()


def _shares(labels: Tensor) -> Tensor:
    """How often each class occurs, (10,)."""
    return labels.bincount(minlength=CLASSES).double() / len(labels)


def _drawn(sequences: Tensor, labels: Tensor, batch_size: int, generator: Generator) -> Batch:
    chosen = torch.randint(len(labels), (batch_size,), generator=generator)
    return Batch(inputs=sequences[chosen], targets=labels[chosen].unsqueeze(1), first=PIXELS - 1)


SPEC = TaskSpec(
    title="Digits",
    summary="Read a handwritten digit one pixel at a time, then say which it is.",
    group="Real data",
    description=(
        "Each sequence is a real image of 8 by 8 pixels, written by a person. The network sees one pixel per "
        "timestep, 64 in all, and must name the digit after the last. So the shape has to be put together in "
        "its memory: two pixels that touch, one above the other, are eight timesteps apart, and in the "
        "shuffled order any number. The last 360 of 1,797 images are kept for validation and the test. Who "
        "guesses blindly has a loss of ln 10 = 2.303 nats and is wrong 90% of the time. "
        "Solved means under 10% wrong; the nearest neighbour among the training images, by all pixels at "
        "once, is wrong on 4%."
    ),
    source=(
        "Le, Jaitly & Hinton 2015, A simple way to initialize recurrent networks of rectified linear units "
        "(arXiv 1504.00941), there with MNIST; the images here: Alpaydin & Kaynak 1998, Optical Recognition "
        "of Handwritten Digits, UCI Machine Learning Repository, as bundled with scikit-learn"
    ),
    wrong_when=("An image is wrong when another digit than the true one is given the highest probability."),
    loss_reason=(
        "Cross-entropy: the answer is one of ten digits, none of them nearer to another, and the outputs are "
        "read as their probabilities."
    ),
    config=DigitsConfig,
    task=Digits,
    asks_once=True,
    defaults={"steps": 2000, "learning_rate": 0.005},
)
