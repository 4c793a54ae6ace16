"""The Ω regulariser: keep a gradient's length as it travels back through time.

Axes: B (batch), T (time), D (input features), H (hidden units), O (outputs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.base import Network, State, detach, from_named_tensors, named_history, named_tensors

SMALLEST = 1e-20
"""Of ‖dE/ds‖² of one sequence: below it nothing is left to keep, and the timestep is skipped."""


class Omega(NamedTuple):
    """Ω and what it does to the state-to-state weights."""

    value: Tensor
    """Scalar, detached. 0 where every gradient keeps its length."""
    gradients: dict[str, Tensor]
    """Immediate derivative of the value, by weight role: ``"Ws/0"``, …"""


def recurrent_weights(network: Network[Any]) -> dict[str, nn.Parameter]:
    """The parameters that make a state from the state before, by role; empty where a network has none."""
    return {
        role: weight
        for role, weight in network.weight_roles().items()
        if role.startswith("Ws/") and isinstance(weight, nn.Parameter)
    }


def omega(network: Network[Any], x: Tensor, state: State | None, loss: Callable[[Tensor], Tensor]) -> Omega:
    r"""Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks", 3.3.

    .. math::
        \Omega = \operatorname{mean}_{t} \left( \frac{\lVert \frac{\partial E}{\partial s_{t+1}}
        \frac{\partial s_{t+1}}{\partial s_t} \rVert^2}{\lVert \frac{\partial E}{\partial s_{t+1}} \rVert^2}
        - 1 \right)^2

    with squared norms, as in the paper's equation 10 and its authors' code; equation 9 has plain ones. As in
    that code, norms are each sequence's own, the mean is over sequences and timesteps, and timesteps whose
    squared norm is under 1e-20 are left out.

    The state s is all that the network hands from one timestep to the next, taken as one vector: every layer,
    and for an LSTM h and c. dE/ds is the derivative by one of its numbers with the others held.

    Only the immediate derivative is taken, and only by the state-to-state weights: s_t and dE/ds_{t+1} count
    as constants, which they are not. The authors' code, for one tanh layer, also holds the slope of the tanh
    at t + 1; here the slope follows the weights, as it must in a network of any kind. For ReLU and linear
    cells there is no difference.

    Args:
        network: any network of the contract, in eval mode. Its parameters' ``.grad`` is left alone.
        x: (B, T, D) inputs.
        state: the state before the first timestep; ``None`` is the initial one.
        loss: gives a scalar, E, from the (B, T, O) outputs.
    """
    weights = recurrent_weights(network)
    if not weights:
        raise ValueError(
            "this network has no state-to-state weights for Ω to act on; leave the regulariser off"
        )
    start = network.initial_state(x.shape[0]) if state is None else detach(state)
    totals = network.state_gradients(x, start, loss)  # (T, B, H) each
    with torch.no_grad():
        _, states = network.unroll(x, start)
    # Seen from constant states every timestep is independent of the others: all are one batch of T·B rows.
    past = named_history((start, *states[:-1]))
    read = {name: torch.cat(tensors).requires_grad_() for name, tensors in past.items()}
    before = list(read.values())
    with torch.enable_grad():
        _, after = network.step(x.transpose(0, 1).flatten(0, 1), from_named_tensors(start, read))
        made = [tensor for _, tensor in named_tensors(after)]
        arriving = _held_apart(made, [totals[name].flatten(0, 1) for name in read], before)
        # Only ratios are asked for: in units of its largest number no row has a square that is lost.
        unit = torch.cat(arriving, dim=1).abs().amax(1)
        safe = unit.where(unit > 0, 1.0)[:, None]
        arriving = [part / safe for part in arriving]
        sent = torch.autograd.grad(
            made, before, arriving, create_graph=True, allow_unused=True, materialize_grads=True
        )
        length = _squared_norm(arriving)
        counts = length.sqrt() * unit >= SMALLEST**0.5
        kept = _squared_norm(sent) / length.where(counts, 1.0)
        value = (kept - 1).square().where(counts, 0.0).sum() / counts.sum().clamp(min=1)
        gradients = torch.autograd.grad(
            value, list(weights.values()), allow_unused=True, materialize_grads=True
        )
    return Omega(value.detach(), dict(zip(weights, gradients, strict=True)))


def _held_apart(made: list[Tensor], totals: list[Tensor], before: list[Tensor]) -> list[Tensor]:
    """From total derivatives dE/ds to those with the rest of the state held.

    Within a timestep one part of the state is made from another (an LSTM's h from its c, a layer from the
    one below), so the total derivative of the latter counts what it does through the former. That share is
    found by one backward pass in which each tensor, whatever reaches it, hands down its total.
    """
    if len(made) == 1:
        return totals
    through = [torch.zeros_like(total) for total in totals]

    def watch(place: int) -> Callable[[Tensor], Tensor]:
        def hand_down(reached: Tensor) -> Tensor:
            through[place] = reached
            return totals[place]

        return hand_down

    watches = [tensor.register_hook(watch(place)) for place, tensor in enumerate(made)]  # type: ignore[no-untyped-call]
    torch.autograd.grad(
        made, before, [torch.zeros_like(tensor) for tensor in made], retain_graph=True, allow_unused=True
    )
    for one in watches:
        one.remove()
    return [total - share for total, share in zip(totals, through, strict=True)]


def _squared_norm(parts: Iterable[Tensor]) -> Tensor:
    """(N, H) tensors, the parts of N vectors, give their N squared norms."""
    total: Tensor = sum(part.square().sum(dim=1) for part in parts)  # type: ignore[assignment]
    return total
