"""A private float64 copy of a network, and one of its timesteps with a graph that shows every state.

A gradient that fades by 0.6 a step is 1e-38 after 170 steps. There float32 ends, and on the way its
denormal numbers are a hundred times slower to add. float64 reaches to 1e-308.
"""

from __future__ import annotations

import copy
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
        start = own.initial_state(x.shape[0]) if state is None else map_state(_doubled, state)
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


def output_gradient(outputs: Tensor, loss: Any) -> Tensor:
    """dE/dy: (B, T, O), for a loss that gives a scalar, or one number per timestep, from such outputs."""
    with torch.enable_grad():
        outputs = leaf(outputs)
        (gradient,) = torch.autograd.grad(
            loss(outputs).sum(), [outputs], allow_unused=True, materialize_grads=True
        )
    return gradient


def _doubled(tensor: Tensor) -> Tensor:
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)
