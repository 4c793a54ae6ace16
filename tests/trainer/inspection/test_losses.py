"""Losses that are looked into stand where the run's training has them, by its setting loss_at."""

from __future__ import annotations

from typing import cast

import pytest
import torch

from tests.trainer.inspection.making import ADDING, TEXT, asked, lstm, numbers, trained
from trainer.schema import TriangleView


def test_losses_stand_where_the_runs_training_has_them() -> None:
    """Target replication: the sum is wanted, and its error measured, at each of 12 timesteps."""
    run = trained(lstm(), ADDING, {"loss_at": "all"})
    _, network, probe = run.rebuilt()
    outputs, _ = network(probe.inputs[:3])
    loss = (outputs - probe.targets[:3, -1:]).square().mean()
    roles = network.weight_roles()
    view = cast(TriangleView, asked(run, "triangle", sequences=3).result)
    for role, gradient in zip(roles, torch.autograd.grad(loss, [*roles.values()]), strict=True):
        assert view.totals[role] == pytest.approx(float(gradient.norm()), rel=1e-4)
    assert (numbers(view.states["h/0"]).diagonal() > 0).all()

    text = trained(lstm(), TEXT, {"loss_at": "last"})
    last = cast(TriangleView, asked(text, "triangle", sequences=3).result)
    triangle = numbers(last.states["h/0"])
    assert triangle[-1, -1] > 0
    assert not triangle[:-1].any()
