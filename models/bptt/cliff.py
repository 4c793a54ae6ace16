"""The loss cliff: why gradients are clipped, in two dimensions.

Figure 6 of Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks": one
unit without input,

    x_t = w σ(x_{t-1}) + b,  x_0 = 0.5,  E = (σ(x_50) - 0.7)²

Where the unit's behaviour tips over, the loss rises like a wall. A step of gradient descent that meets it is
thrown far away; a clipped one stays near.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

START, TARGET, STEPS = 0.5, 0.7, 50


class Surface(NamedTuple):
    """The loss and its slope; all in the shape of w and b."""

    loss: Tensor
    of_w: Tensor
    """dE/dw"""
    of_b: Tensor
    """dE/db"""


class Path(NamedTuple):
    """A descent of n steps: n + 1 places."""

    w: Tensor
    """(n + 1,) float64"""
    b: Tensor
    """(n + 1,)"""
    loss: Tensor
    """(n + 1,)"""
    norm: Tensor
    """(n + 1,): the gradient's norm before any clipping."""


def surface(w: Tensor, b: Tensor, steps: int = STEPS) -> Surface:
    """Loss and gradient for weights and biases of one shape, all at once, in float64.

    The derivatives go forward with x: dx_t/dw = σ(x_{t-1}) + w σ'(x_{t-1}) dx_{t-1}/dw, dx_t/db likewise.
    """
    w, b = w.double(), b.double()
    x = torch.full_like(w, START)
    x_by_w, x_by_b = torch.zeros_like(w), torch.zeros_like(w)
    for _ in range(steps):
        squashed = x.sigmoid()
        gain = w * squashed * (1 - squashed)
        x, x_by_w, x_by_b = w * squashed + b, squashed + gain * x_by_w, 1 + gain * x_by_b
    squashed = x.sigmoid()
    by_x = 2 * (squashed - TARGET) * squashed * (1 - squashed)
    return Surface((squashed - TARGET) ** 2, by_x * x_by_w, by_x * x_by_b)


def descend(
    w: float, b: float, learning_rate: float, updates: int, clip_at: float | None = None, steps: int = STEPS
) -> Path:
    """Gradient descent from (w, b).

    Args:
        w: the weight at the start.
        b: the bias at the start.
        learning_rate: by what the gradient is multiplied.
        updates: how many steps down.
        clip_at: the largest norm that a gradient may have, by which longer ones are scaled; ``None``: any.
        steps: timesteps of the unit.
    """
    place = torch.tensor([w, b], dtype=torch.float64)
    places, losses, norms = [], [], []
    for _ in range(updates + 1):
        here = surface(place[0], place[1], steps)
        gradient = torch.stack((here.of_w, here.of_b))
        norm = torch.hypot(here.of_w, here.of_b)
        places.append(place)
        losses.append(here.loss)
        norms.append(norm)
        if clip_at is not None and norm > clip_at:
            gradient = gradient * (clip_at / norm)
        place = place - learning_rate * gradient
    track = torch.stack(places)
    return Path(track[:, 0], track[:, 1], torch.stack(losses), torch.stack(norms))
