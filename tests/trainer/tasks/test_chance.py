"""The chance level of every task that one constant answer can be given to, beside all of those, tried out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from trainer.chance import chance_of, some_lengths
from trainer.config import resolve
from trainer.corpora import builtin_corpora
from trainer.schema import RunConfig, TrainingConfig
from trainer.tasks import TASKS
from trainer.tasks.base import Batch, Task
from trainer.tasks.reber import Reber, possible_next


def task_of(name: str, **settings: Any) -> Task:
    spec = TASKS[name]
    return spec.build(spec.config.model_validate(settings), lambda corpus: builtin_corpora()[corpus].text)


def wrong_share(task: Task, batch: Batch, answer: Tensor) -> float:
    outputs = answer.expand(*batch.targets.shape[:2], task.output_size)
    wrong, total = task.score(outputs, batch)
    return wrong / total


NUMBERS = [
    ("adding", {"length": 10}),
    ("adding", {"length": 10, "convention": "sum"}),
    ("multiplication", {"length": 10}),
    ("series", {}),
    ("waves", {"length": 30}),
]
CLASSES = [
    ("temporal_order", {}),
    ("temporal_order", {"bits": "3"}),
    ("random_permutation", {"length": 3}),
    ("random_lag", {"lag": 2}),
    ("parity", {"length": 5}),
    ("echo", {"symbols": 3}),
    ("copy_memory", {"length": 2}),
    ("memorisation", {"length": 2}),
    ("digits", {}),
    ("characters", {}),
    ("words", {}),
]


@pytest.mark.parametrize(("name", "settings"), [*NUMBERS, *CLASSES])
def test_the_chance_error_is_that_of_the_constant_that_is_wrong_least_often(
    name: str, settings: dict[str, Any]
) -> None:
    """Found on data of training, judged on those of validation."""
    task, source = task_of(name, **settings), torch.Generator().manual_seed(3)
    count = 400 if task.streaming else 20_000
    known, asked = task.draw(count, source), task.draw_validation(count, source)
    answers = (
        [torch.tensor([float(value)]) for value in torch.linspace(-2, 2, 161)]
        if task.loss_kind == "mse"
        else [100.0 * row for row in torch.eye(task.output_size)[:60]]
    )
    best = min(answers, key=lambda answer: wrong_share(task, known, answer))
    error = task.chance.error
    assert error is not None
    # A grid of numbers has none exactly at the best one; sunspots are few, and lie in many windows each.
    slack = 0.02 if name == "series" else 0.006
    spread = 5 * (error * (1 - error) / count) ** 0.5
    assert abs(wrong_share(task, asked, best) - error) < spread + slack


def test_of_a_product_no_constant_is_wrong_less_often_than_a_fifth() -> None:
    """Exactly: over all pairs of a fine grid of the two numbers."""
    grid = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    products = (grid[:, None] * grid).flatten()
    wrong = {at: float(((products - at / 100).abs() > 0.2).double().mean()) for at in range(5, 60)}
    assert min(wrong, key=wrong.__getitem__) == 20
    assert task_of("multiplication").chance.error == pytest.approx(wrong[20], abs=1e-3)
    assert wrong[25] == pytest.approx(0.39, abs=5e-3)


def test_strings_of_training_and_of_validation_have_chance_levels_of_their_own() -> None:
    """Who forgets the second symbol, over every training string."""
    task = task_of("reber")
    assert isinstance(task, Reber)
    paid = scored = 0.0
    for row in task.training.tolist():
        string = [symbol for symbol in row if symbol >= 0]
        following = possible_next(torch.tensor([string[:-1]]))[0].sum(1).tolist()
        paid += sum(math.log(count) for count in following) + math.log(2)
        scored += len(string) - 1
    assert task.training_chance == pytest.approx(paid / scored)
    assert task.training_chance == pytest.approx(0.51, abs=0.005)
    assert task.chance.loss == pytest.approx(0.56, abs=0.005)


@pytest.mark.parametrize("name", ["digits", "characters", "words"])
def test_in_training_the_blind_loss_is_the_entropy_of_what_is_asked_there(name: str) -> None:
    task = task_of(name)
    batch = task.draw(1437 * 40 if name == "digits" else 2_000, torch.Generator().manual_seed(1))
    shares = batch.targets.flatten().bincount().double() / batch.targets.numel()
    entropy = -float(torch.special.xlogy(shares, shares).sum())
    assert task.training_chance == pytest.approx(entropy, rel=2e-3)


def chance(task: dict[str, Any], **training: Any) -> Any:
    config = RunConfig.model_validate({"model": {"name": "gru"}, "task": task, "training": training})
    resolved = resolve(config, lambda corpus: builtin_corpora()[corpus].text)
    return resolved.chance(config.training)


def test_a_runs_chance_in_training_is_of_its_lengths_and_of_where_its_losses_stand() -> None:
    copy = {"name": "copy_memory", "length": 20}
    assert chance(copy).training_loss == chance(copy).loss
    random = chance(copy, longest=22)
    assert random.loss == pytest.approx(10 * math.log(8) / 40)
    assert random.training_loss == pytest.approx(
        sum(10 * math.log(8) / (length + 20) for length in (20, 21, 22)) / 3
    )
    long = chance(copy, longest=400).training_loss
    lengths = range(20, 401)
    assert long == pytest.approx(sum(10 * math.log(8) / (n + 20) for n in lengths) / len(lengths), rel=0.01)
    assert chance(copy, loss_at="last").training_loss == pytest.approx(math.log(8))
    adding = {"name": "adding"}
    assert {chance(adding, loss_at=at).training_loss for at in ("task", "last", "all")} == {1 / 24}
    assert chance({"name": "dyck"}, loss_at="last").training_loss is None  # nobody has worked it out


def test_lengths_that_are_looked_at_are_evenly_spread() -> None:
    assert some_lengths(5, 5) == [5]
    assert some_lengths(5, 20) == list(range(5, 21))
    looked_at = some_lengths(10, 1_009)
    assert len(looked_at) == 16
    assert sum(looked_at) / 16 == pytest.approx(509.5, abs=1)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("adding", "fresh sequences"),
        ("reber", "the 256 strings held back"),
        ("digits", "the 360 images held back"),
        ("series", "the last fifth of the series, held back"),
        ("characters", "the last tenth of the text, held back"),
    ],
)
def test_only_what_is_made_anew_is_called_fresh(name: str, data: str) -> None:
    """And it is: what is drawn for validation is drawn again only where it is held back."""
    task = task_of(name)
    assert chance_of(task, [task], TrainingConfig().loss_at).data == data
    source = torch.Generator().manual_seed(0)
    count = 200 if name == "characters" else 3_000
    drawn = [row.numpy().tobytes() for row in task.draw_validation(count, source).inputs]
    repeats = len(set(drawn)) < len(drawn)
    assert repeats == (name != "adding")
