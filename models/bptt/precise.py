"""A private float64 copy of a network, one of its timesteps with a graph that shows every state, and norms.

A gradient that fades by 0.6 a step is 1e-38 after 170 steps. There float32 ends, and on the way its
denormal numbers are a hundred times slower to add. float64 reaches to 1e-308, and so do the norms here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.base import Network, State, map_state, named_tensors


class Laboratory(NamedTuple):
    """What an analysis may work on without leaving a trace in what it was given."""

    network: Network[Any]
    """float64, in eval mode, every parameter with a gradient."""
    x: Tensor
    """(B, T, D) float64."""
    states: list[Any]
    """T + 1 states, detached: the one before the first timestep, then the one after each timestep."""
    outputs: Tensor
    """(B, T, O), detached."""


def laboratory(network: Network[Any], x: Tensor, state: State | None) -> Laboratory:
    """Copy a network and its inputs (B, T, D) in float64 and read the inputs once, step by step."""
    with torch.no_grad():
        own = copy.deepcopy(network).double().requires_grad_().eval()
        x = x.double()
        start = own.initial_state(x.shape[0]) if state is None else map_state(Tensor.double, state)
        outputs, states = own.unroll(x, start)
    return Laboratory(own, x, [start, *states], outputs)


def leaf(tensor: Tensor) -> Tensor:
    """The same values as the start of a new graph."""
    return tensor.detach().requires_grad_()


class Step(NamedTuple):
    """One differentiable timestep."""

    y: Tensor
    """(B, O)"""
    before: dict[str, Tensor]
    """The state that the step read, a leaf each: ``"h/0"``: (B, H)."""
    after: dict[str, Tensor]
    """The state that it made; the gradient of one of these is its total derivative."""


def one_step(network: Network[Any], x_t: Tensor, state: State) -> Step:
    """``step`` on (B, D) and a state, cut from whatever made them."""
    before = map_state(leaf, state)
    y, after = network.step(leaf(x_t), before)
    return Step(y, dict(named_tensors(before)), dict(named_tensors(after)))


def output_gradient(outputs: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """dE/dy: (B, T, O), for a loss that gives a scalar, or one number per timestep, from such outputs."""
    with torch.enable_grad():
        outputs = leaf(outputs)
        (gradient,) = torch.autograd.grad(
            loss(outputs).sum(), [outputs], allow_unused=True, materialize_grads=True
        )
    return gradient


def norms(tensor: Tensor) -> Tensor:
    """(N, ...) gives the norm of each of the N, (N,) float64, whatever its size.

    A norm is a root of squares, and these leave float64's range at 1e-162 and at 1e154: the few rows beyond
    are scaled first, which no float32 number is. Scaling all rows by their largest number takes 10 to 50
    times as long.
    """
    rows = tensor.flatten(1)
    rows = rows.cpu() if rows.device.type == "mps" else rows  # Apple's GPUs have no float64
    found: Tensor = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64)
    if tensor.dtype != torch.float64:
        return found
    for scale, beyond in ((2.0**900, found < 1e-140), (2.0**-600, found == math.inf)):
        if bool(beyond.any()):
            found[beyond] = torch.linalg.vector_norm(rows[beyond].double() * scale, dim=1) / scale
    return found
