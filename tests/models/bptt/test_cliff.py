"""The loss cliff beside the unit written with plain numbers, autograd, and the figure of the paper."""

from __future__ import annotations

import math

import pytest
import torch

from models.bptt.cliff import descend, surface

W, BIAS = torch.linspace(4.0, 5.0, 4001, dtype=torch.float64), -2.2  # a line that crosses the cliff


def loss_in_plain_numbers(w: float, b: float) -> float:
    def sigma(a: float) -> float:
        return 1 / (1 + math.exp(-a))

    x = 0.5
    for _ in range(50):
        x = w * sigma(x) + b
    return (sigma(x) - 0.7) ** 2


def test_loss_and_gradient_equal_plain_numbers_and_autograd() -> None:
    w, b = torch.meshgrid(torch.linspace(-2, 7, 7), torch.linspace(-4, 1, 6), indexing="ij")
    found = surface(w, b)
    assert found.loss.shape == (7, 6)
    w, b = w.double().requires_grad_(), b.double().requires_grad_()
    x = torch.full_like(w, 0.5)
    for _ in range(50):
        x = w * torch.sigmoid(x) + b
    loss = (torch.sigmoid(x) - 0.7) ** 2
    of_w, of_b = torch.autograd.grad(loss.sum(), (w, b))
    torch.testing.assert_close(found.of_w, of_w, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.of_b, of_b, rtol=1e-9, atol=1e-12)
    by_hand = [
        [loss_in_plain_numbers(a, c) for a, c in zip(*row, strict=True)]
        for row in zip(w.tolist(), b.tolist(), strict=True)
    ]
    torch.testing.assert_close(found.loss, torch.tensor(by_hand, dtype=torch.float64))


def test_there_is_a_cliff() -> None:
    """Along w the loss falls, within a hundredth, by most of its range; only there is the slope steep."""
    found = surface(W, torch.full_like(W, BIAS))
    span = found.loss.max() - found.loss.min()
    within = round(0.01 / float(W[1] - W[0]))
    assert float((found.loss[within:] - found.loss[:-within]).abs().max()) > 0.5 * float(span)
    assert float(found.of_w.abs().max()) > 100 * float(found.of_w.abs().median())


def test_clipping_keeps_a_descent_near_where_the_cliff_would_throw_it_far() -> None:
    steepest = float(W[surface(W, torch.full_like(W, BIAS)).of_w.abs().argmax()])
    free = descend(steepest, BIAS, learning_rate=0.5, updates=3)
    clipped = descend(steepest, BIAS, learning_rate=0.5, updates=3, clip_at=0.1)
    assert float(free.norm[0]) == float(clipped.norm[0]) > 1

    def first_step(path: object) -> float:
        return math.hypot(float(path.w[1] - path.w[0]), float(path.b[1] - path.b[0]))  # type: ignore[attr-defined]

    assert first_step(free) == pytest.approx(0.5 * float(free.norm[0]))
    assert first_step(clipped) == pytest.approx(0.5 * 0.1)
    direction = [(p.w[1] - p.w[0]) / (p.b[1] - p.b[0]) for p in (free, clipped)]
    assert float(direction[0]) == pytest.approx(float(direction[1]))


def test_a_descent_records_the_loss_of_each_place_and_goes_down() -> None:
    path = descend(1.0, 0.0, learning_rate=0.1, updates=20, clip_at=1e9)
    assert len(path.w) == len(path.b) == len(path.loss) == len(path.norm) == 21
    for w, b, loss in zip(path.w.tolist(), path.b.tolist(), path.loss.tolist(), strict=True):
        assert loss == pytest.approx(loss_in_plain_numbers(w, b))
    assert path.loss.diff().max() < 0
    assert torch.equal(path.w, descend(1.0, 0.0, learning_rate=0.1, updates=20).w)
