"""How much of a loss's gradient reaches the state at each timestep: vanishing and exploding, measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from models.base import Network, State
from models.bptt.precise import norms


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
    return norms_over_time(network.state_gradients(x, state, loss))


def norms_over_time(gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state_gradient_norms`` of gradients that are known already, (T, B, ...) each."""
    return {name: norms(gradient) for name, gradient in gradients.items()}
