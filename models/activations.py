"""The activation functions φ that a hidden unit can have, and their slopes.

Any shape; everything is elementwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

ActivationName = Literal["tanh", "sigmoid", "relu", "linear"]


class Activation(NamedTuple):
    """One function, with its derivative."""

    function: Callable[[Tensor], Tensor]
    """h = φ(a)."""
    slope: Callable[[Tensor], Tensor]
    """φ'(a), computed from h = φ(a), as all of these allow."""


RANGES: dict[str, tuple[float, float]] = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
"""The ends that a function never leaves and flattens out at, by its name; others have none."""

ACTIVATIONS: dict[str, Activation] = {
    "tanh": Activation(torch.tanh, lambda h: 1 - h * h),
    "sigmoid": Activation(torch.sigmoid, lambda h: h * (1 - h)),
    "relu": Activation(torch.relu, lambda h: (h > 0).to(h)),
    "linear": Activation(lambda a: a, torch.ones_like),
}
