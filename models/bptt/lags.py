"""The gradient of the weights by lag: how much of it comes from how far back.

With G_l the part of dE/dW in which a loss at t meets a weight at step t - l, the full gradient is the sum of
all G_l. A gradient truncated to k2 steps at every timestep (k1 = 1) is the sum of the first k2 of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.base import Network, State, from_named_tensors, named_history
from models.bptt.precise import laboratory, norms, one_step, output_gradient
from models.bptt.truncation import Match, compare


class Lag(NamedTuple):
    """What one lag brings."""

    norm: dict[str, float]
    """‖G_l‖ by weight role."""
    so_far: dict[str, Match]
    """This lag and all shorter ones together, beside the full gradient: truncated with k1 = 1, k2 = l + 1."""


def by_lag(
    network: Network[Any], x: Tensor, state: State | None, loss: Callable[[Tensor], Tensor]
) -> list[Lag]:
    """Take the full gradient apart by lag.

    For one lag after the other, every loss goes one step further back, all of them in one batch.

    Args:
        network: any network of the contract; a float64 copy does the work.
        x: (B, T, D) inputs.
        state: the state before the first timestep, taken as a constant; ``None`` is the initial one.
        loss: gives a scalar, or (T,) losses, from the (B, T, O) outputs: a sum over timesteps, each term of
            which depends on its own timestep's outputs.

    Returns:
        One entry per lag, 0 to T - 1. A network without memory has all of its gradient at lag 0.
    """
    own, x, states, outputs = laboratory(network, x, state)
    roles, seeds = own.weight_roles(), output_gradient(outputs, loss)
    full = _full_gradient(own, x, states[0], seeds)
    inputs = x.transpose(0, 1)  # (T, B, D)
    history = {
        name: torch.stack(past) for name, past in named_history(states[:-1]).items()
    }  # (T, B, H) before t
    losses_at = seeds.ne(0).any(2).any(0).nonzero().flatten()  # (R,) t of each loss that is on its way
    arriving = {name: tensor.new_zeros(len(losses_at), *tensor.shape[1:]) for name, tensor in history.items()}
    so_far = {role: torch.zeros_like(weight) for role, weight in roles.items()}
    report = []
    for lag in range(x.shape[1]):
        begun = losses_at >= lag  # the others have passed the first timestep
        losses_at, arriving = losses_at[begun], {name: a[begun] for name, a in arriving.items()}
        k = losses_at - lag
        parts = {role: torch.zeros_like(weight) for role, weight in roles.items()}
        if len(k) and (arriving or lag == 0):
            with torch.enable_grad():
                before = from_named_tensors(states[0], {n: h[k].flatten(0, 1) for n, h in history.items()})
                step = one_step(own, inputs[k].flatten(0, 1), before)
            seed = seeds.transpose(0, 1)[k].flatten(0, 1) if lag == 0 else torch.zeros_like(step.y)
            found = torch.autograd.grad(
                [step.y, *step.after.values()],
                [*step.before.values(), *roles.values()],
                [seed, *(a.flatten(0, 1) for a in arriving.values())],
                allow_unused=True,
                materialize_grads=True,
            )
            found_before, found_weights = found[: len(arriving)], found[len(arriving) :]
            parts = dict(zip(roles, found_weights, strict=True))
            arriving = {
                name: gradient.view(len(k), -1, *gradient.shape[1:])
                for name, gradient in zip(arriving, found_before, strict=True)
            }
        so_far = {role: so_far[role] + part for role, part in parts.items()}
        report.append(
            Lag({role: float(norms(part[None])) for role, part in parts.items()}, compare(so_far, full))
        )
    return report


def _full_gradient(network: Network[Any], x: Tensor, state: Any, seeds: Tensor) -> dict[str, Tensor]:
    roles = network.weight_roles()
    with torch.enable_grad():
        outputs, _ = network(x, state)
    found = torch.autograd.grad(
        outputs, list(roles.values()), seeds, allow_unused=True, materialize_grads=True
    )
    return dict(zip(roles, found, strict=True))
