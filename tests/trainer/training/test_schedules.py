"""Learning-rate schedules against PyTorch's own, and gradient noise against its formula."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import optim
from torch.optim import lr_scheduler

from tests.trainer.training.test_worker import config
from trainer.noise import GradientNoise, noise_deviation
from trainer.schedules import learning_rate
from trainer.schema import TrainingConfig

STEPS, WARMUP, RATE = 60, 7, 0.02


def torchs(schedule: str | None, warmup: int | None, factor: float, every: int) -> list[float]:
    """The learning rates that PyTorch's schedulers give for the same settings."""
    optimizer = optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    left = STEPS - (warmup or 0)
    after: Any = {
        None: lambda: lr_scheduler.ConstantLR(optimizer, factor=1.0),
        "linear": lambda: lr_scheduler.LinearLR(optimizer, 1.0, end_factor=factor, total_iters=left),
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, left, eta_min=RATE * factor),
        "step": lambda: lr_scheduler.StepLR(optimizer, every, gamma=factor),
    }
    if warmup is None:
        scheduler = after[schedule]()
    else:
        # Its warm-up ends with its last milestone's update at the full rate, as ours does.
        rising = lr_scheduler.LambdaLR(optimizer, lambda done: (done + 1) / warmup)
        scheduler = lr_scheduler.SequentialLR(optimizer, [rising, after[schedule]()], milestones=[warmup])
    rates = []
    for _ in range(STEPS):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "warmup", "factor"),
    list(itertools.product([None, "linear", "cosine", "step"], [None, WARMUP], [0.0, 0.3])),
)
@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")
def test_the_learning_rate_is_that_of_pytorchs_schedulers(
    schedule: Any, warmup: int | None, factor: float
) -> None:
    settings = TrainingConfig(
        steps=STEPS,
        learning_rate=RATE,
        schedule=schedule,
        warmup_steps=warmup,
        schedule_factor=factor,
        schedule_every=9,
    )
    ours = [learning_rate(settings, step) for step in range(STEPS)]
    assert ours == pytest.approx(torchs(schedule, warmup, factor, 9), rel=1e-9, abs=1e-15)


def test_a_run_records_the_learning_rate_that_each_update_used(service: Any, another_service: Any) -> None:
    """The same updates as with rates set by hand: the weights move by rate times gradient."""
    given = {"optimizer": "sgd", "learning_rate": 0.5, "clip": None, "schedule": "linear", "warmup_steps": 5}
    made = config(training=given)
    service.train(made)
    recorded = service.points("learning_rate")
    assert list(recorded) == list(range(1, 61))
    assert recorded == {step: learning_rate(made.training, step - 1) for step in recorded}
    another_service.train(config(training={**given, "schedule": None, "warmup_steps": None}))
    assert another_service.points("learning_rate") == {}
    assert another_service.points("loss")[1] == service.points("loss")[1]
    assert another_service.points("loss")[2] != service.points("loss")[2]


@pytest.mark.parametrize("strength", [0.01, 1.0])
@pytest.mark.parametrize("step", [0, 99])
def test_gradient_noise_has_the_papers_variance_and_repeats_itself(strength: float, step: int) -> None:
    noise = GradientNoise(strength, seed=3, device=torch.device("cpu"))
    gradients = [torch.ones(300, 200), torch.zeros(500)]
    noise.add_to(gradients, step)
    added = torch.cat([(gradients[0] - 1).flatten(), gradients[1]])
    variance = strength / (1 + step) ** 0.55
    assert noise_deviation(strength, step) ** 2 == pytest.approx(variance)
    assert float(added.var()) == pytest.approx(variance, rel=0.03)
    assert float(added.mean()) == pytest.approx(0, abs=0.02 * variance**0.5)

    again = [torch.ones(300, 200), torch.zeros(500)]
    GradientNoise(strength, seed=3, device=torch.device("cpu")).add_to(again, step)
    assert all(torch.equal(one, other) for one, other in zip(gradients, again, strict=True))
    GradientNoise(strength, seed=3, device=torch.device("cpu")).add_to(again, step + 1)
    drawn = (again[0] - gradients[0]).flatten() / noise_deviation(strength, step + 1)
    assert abs(float((drawn * (gradients[0] - 1).flatten()).mean())) < 0.02 * variance**0.5


def test_noise_changes_the_updates_and_not_the_norms_that_are_reported(
    service: Any, another_service: Any
) -> None:
    """It is added after the clip: what is reported is the gradient's own."""
    service.train(config(training={"gradient_noise": 1.0, "clip_at": 0.01, "optimizer": "sgd"}))
    another_service.train(config(training={"clip_at": 0.01, "optimizer": "sgd"}))
    noisy, clean = (s.points("gradient_norm/after_clip") for s in (service, another_service))
    assert noisy[1] == clean[1] == pytest.approx(0.01)
    assert max(noisy.values()) == pytest.approx(0.01)
    assert service.points("loss")[1] == another_service.points("loss")[1]
    assert abs(service.points("loss")[2] - another_service.points("loss")[2]) > 1e-4
