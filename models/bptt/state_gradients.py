"""How much of a loss's gradient reaches the state at each timestep: vanishing and exploding, measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from models.base import Network, State, map_state, named_tensors


def state_gradient_norms(
    network: Network[Any], x: Tensor, state: State | None, loss: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """The size of ∂loss/∂state at every timestep.

    For each tensor s of the state (``h``, for an LSTM also ``c``; one per layer) and each timestep t, this is
    the Frobenius norm over (B, H) of dE/ds_t, the *total* derivative: how the loss E changes when s_t alone
    is nudged right after timestep t has made it and everything that is computed from s_t follows. That is
    the output at t, the layers above at t, and every later timestep. For an LSTM, h_t is computed from c_t:
    so dE/dc_t includes the path through h_t, while dE/dh_t holds c_t fixed.

    A loss that is a mean over the batch makes each sequence's share 1/B of its own gradient, so norms
    compare between runs at the same B only.

    Args:
        network: any network of the contract. Its parameters' ``.grad`` and its mode are left alone.
        x: (B, T, D) inputs.
        state: the state before the first timestep; ``None`` is the initial one. It is taken as a constant.
        loss: gives a scalar from the (B, T, O) outputs.

    Returns:
        (T,) float64 norms by field and layer, ``"h/0"``, ``"c/0"``, …, index 0 for the state after the first
        timestep; in units of the loss per unit of state. Zero where the loss does not depend on the state.
        Empty for a network without memory.
    """
    start = network.initial_state(x.shape[0]) if state is None else state
    if next(named_tensors(start), None) is None:
        return {}
    with torch.enable_grad():
        # Gradients are wanted for states only; this gives every state a graph, whatever weights are frozen
        # and however little of it is computed.
        start = map_state(lambda tensor: tensor.detach().requires_grad_(), start)
        outputs, states = network.unroll(x.detach().requires_grad_(), start)
        history: dict[str, list[Tensor]] = {}
        for state_t in states:
            for name, tensor in named_tensors(state_t):
                history.setdefault(name, []).append(tensor)
        wanted = [tensor for tensors in history.values() for tensor in tensors]
        gradients = torch.autograd.grad(loss(outputs), wanted, allow_unused=True, materialize_grads=True)
    length = len(states)
    norms = {}
    for index, name in enumerate(history):
        over_time = torch.stack(gradients[index * length : (index + 1) * length]).flatten(1)  # (T, B·H)
        # In float32 the squares of a gradient below 1e-22 would all be zero, long before it has vanished.
        norms[name] = torch.linalg.vector_norm(over_time, dim=1, dtype=torch.float64)
    return norms
