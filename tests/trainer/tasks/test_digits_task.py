"""The digits task: real images in a fixed order, some of them never trained on."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Literal

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Generator, Tensor

from trainer.tasks.digits import Digits, DigitsConfig

Order = Literal["rows", "shuffled"]
ORDERS: tuple[Order, ...] = ("rows", "shuffled")


def make(order: Order = "rows") -> Digits:
    return Digits(DigitsConfig(order=order))


def images() -> tuple[Tensor, list[int]]:
    """(1797, 8, 8) and the digits, straight from the package."""
    data = load_digits()
    return torch.tensor(data.images) / 16, data.target.tolist()


def key(pixels: Tensor) -> tuple[int, ...]:
    return tuple((pixels * 16).round().int().flatten().tolist())


@pytest.mark.parametrize("order", ORDERS)
def test_sequences_are_images_pixel_by_pixel_with_their_digit(order: Order) -> None:
    pictures, digits = images()
    known = {
        key(picture.flatten()[make(order).order]): digit
        for picture, digit in zip(pictures, digits, strict=True)
    }
    task = make(order)
    for batch in (
        task.draw(200, Generator().manual_seed(0)),
        task.draw_validation(200, Generator().manual_seed(1)),
    ):
        assert batch.inputs.shape == (200, 64, 1)
        assert batch.first == 63
        assert float(batch.inputs.min()) == 0
        assert float(batch.inputs.max()) == 1
        assert [known[key(sequence)] for sequence in batch.inputs] == batch.targets.flatten().tolist()


def test_validation_uses_the_last_360_images_all_of_them_and_training_never_does() -> None:
    pictures, _ = images()
    held_out = {key(picture) for picture in pictures[-360:]}
    others = {key(picture) for picture in pictures[:-360]}
    task = make()
    generator = Generator().manual_seed(0)
    seen = {key(s) for _ in range(5) for s in task.draw_validation(1000, generator).inputs}
    trained = {key(s) for _ in range(5) for s in task.draw(1000, generator).inputs}
    assert seen == held_out
    assert trained <= others
    assert len(trained) > 1300
    assert not held_out & others


def test_the_shuffled_order_is_one_permutation_for_all_images_and_all_runs() -> None:
    task, again, rows = make("shuffled"), make("shuffled"), make("rows")
    assert rows.order.tolist() == list(range(64))
    assert sorted(task.order.tolist()) == list(range(64))
    assert task.order.tolist() == again.order.tolist() != list(range(64))
    steps = (task.order[1:] - task.order[:-1]).abs()
    assert (steps == 1).sum() < 8, "neighbours do not stay together"
    ours, theirs = (t.draw(50, Generator().manual_seed(3)) for t in (task, rows))
    assert torch.equal(ours.targets, theirs.targets)
    assert torch.equal(ours.inputs, theirs.inputs[:, task.order])


def test_chance_is_that_of_a_guesser_that_counted_the_training_digits() -> None:
    """By hand from the labels; and no better constant is known on the held-out ones by more than 0.1%."""
    _, digits = images()
    training, held_out = digits[:-360], digits[-360:]
    chance = make().chance
    loss = -sum(math.log(training.count(digit) / 1437) for digit in held_out) / 360
    assert chance.loss == pytest.approx(loss, rel=1e-9)
    assert chance.loss == pytest.approx(math.log(10), rel=1e-3)
    commonest = max(range(10), key=training.count)
    assert chance.error == pytest.approx(1 - held_out.count(commonest) / 360)
    assert chance.error == pytest.approx(0.9, abs=0.01)


def test_a_blind_guesser_measures_the_chance_level_on_validation_batches() -> None:
    _, digits = images()
    task = make()
    shares = torch.tensor([digits[:-360].count(digit) / 1437 for digit in range(10)])
    batch = task.draw_validation(10_000, Generator().manual_seed(0))
    outputs = shares.log().expand(10_000, 1, 10)
    losses = task.elementwise_loss(outputs, batch.targets).double()
    assert abs(losses.mean() - task.chance.loss) < 5 * losses.std() / 100
    wrong, total = task.score(outputs, batch)
    assert task.chance.error is not None
    assert abs(wrong / total - task.chance.error) < 5 * 0.3 / 100


@pytest.mark.parametrize("order", ORDERS)
def test_a_rendered_image_is_the_image_whatever_the_order(order: Order) -> None:
    pictures, digits = images()
    known = {key(picture): digit for picture, digit in zip(pictures, digits, strict=True)}
    task = make(order)
    batch = task.draw_validation(20, Generator().manual_seed(0))
    outputs = torch.nn.functional.one_hot(batch.targets, 10).float() * 20
    outputs[1] = outputs[1].roll(1, dims=-1)
    samples = [task.render(batch, outputs, index) for index in range(20)]
    for sample, pixels in zip(samples, batch.inputs, strict=True):
        assert sample.picture is not None
        picture = torch.tensor(sample.picture)
        assert picture.shape == (8, 8)
        assert known[key(picture)] == int(sample.target)
        assert sample.channels[0].values == pixels.flatten().tolist()
    assert [sample.correct for sample in samples] == [place != 1 for place in range(20)]
    assert int(samples[1].prediction) == (int(samples[1].target) + 1) % 10
    assert samples[0].detail == f"probability given to {samples[0].target}: 1.000"


def test_solved_means_under_10_percent_wrong() -> None:
    assert make().is_solved(999, 10_000)
    assert not make().is_solved(1_000, 10_000)


def test_the_nearest_neighbour_among_the_training_images_is_wrong_on_4_percent_as_described() -> None:
    pictures, digits = images()
    labels = torch.tensor(digits)
    nearest = torch.cdist(pictures[-360:].flatten(1), pictures[:-360].flatten(1)).argmin(dim=1)
    assert round(100 * float((labels[:-360][nearest] != labels[-360:]).float().mean())) == 4


def test_the_package_with_the_images_is_imported_only_for_this_task() -> None:
    """It takes seconds, and importing the registry happens at every start of a worker."""
    code = "import sys, trainer.tasks; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
