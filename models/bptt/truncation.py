"""What truncated backpropagation leaves of the true gradient.

A truncated gradient is a different direction, not a noisy version of the right one (Aicher, Foti & Fox 2019,
"Adaptively truncating backpropagation through time to control gradient bias"). Here both are computed for the
same weights and inputs and laid side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.base import Network, State, detach
from models.bptt.precise import output_gradient

Window = tuple[int, int, int]
"""(start, begin, end): timesteps [start, end) are read, the losses of [begin, end) count once each."""

ALL = "all"
"""The key under which all weight matrices are compared as one long vector."""


class Match(NamedTuple):
    """How one gradient compares with the true one."""

    cosine: float
    """1: same direction; 0: nothing in common; below 0: uphill. NaN where one of the two is 0."""
    norm_ratio: float
    """Its norm ÷ the true one's; NaN where that is 0."""


def truncation_meter(
    network: Network[Any],
    x: Tensor,
    state: State | None,
    loss: Callable[[Tensor], Tensor],
    cuts: Iterable[Sequence[Window]],
) -> list[dict[str, Match]]:
    """Compare truncated gradients with the full one.

    Args:
        network: any network of the contract, with gradients enabled for its weights.
        x: (B, T, D) inputs.
        state: the state before the first timestep, taken as a constant; ``None`` is the initial one.
        loss: gives a scalar from the (B, T, O) outputs: a sum over timesteps, each term of which depends on
            its own timestep's outputs.
        cuts: for each truncation to be judged, the windows it cuts the T timesteps into.

    Returns:
        For each cut, by weight role and for ``"all"`` matrices together. A network without memory has the
        full gradient at any cut.
    """
    full = truncated_gradient(network, x, state, loss, [(0, 0, x.shape[1])])
    return [compare(truncated_gradient(network, x, state, loss, cut), full) for cut in cuts]


def truncated_gradient(
    network: Network[Any],
    x: Tensor,
    state: State | None,
    loss: Callable[[Tensor], Tensor],
    windows: Sequence[Window],
) -> dict[str, Tensor]:
    """dE/dW by weight role, from windows each of which knows no gradient beyond its start.

    Every window starts from the very state that the whole sequence has there, as if the weights had not
    changed since. Arguments are those of ``truncation_meter``; parameters' ``.grad`` is left alone.
    """
    length, roles = x.shape[1], network.weight_roles()
    for start, begin, end in windows:
        if not 0 <= start <= begin < end <= length:
            raise ValueError(
                f"windows: ({start}, {begin}, {end}) does not fit {length} timesteps;"
                " give 0 <= start <= begin < end <= T"
            )
    outputs, starts = _read(network, x, state, {start for start, _, _ in windows})
    seeds = output_gradient(outputs, loss)
    gradient = {role: torch.zeros_like(weight) for role, weight in roles.items()}
    for start, begin, end in windows:
        if not seeds[:, begin:end].any():
            continue
        with torch.enable_grad():
            made, _ = network(x[:, start:end], starts[start], begin - start)
        parts = torch.autograd.grad(
            made, list(roles.values()), seeds[:, begin:end], allow_unused=True, materialize_grads=True
        )
        for role, part in zip(roles, parts, strict=True):
            gradient[role] += part
    return gradient


def compare(gradient: dict[str, Tensor], full: dict[str, Tensor]) -> dict[str, Match]:
    """Two gradients with the same roles, matrix by matrix and all together."""
    parts = {role: (_flat(gradient[role]), _flat(full[role])) for role in full}
    ours, theirs = (torch.cat(vectors) for vectors in zip(*parts.values(), strict=True))
    return {role: _match(*pair) for role, pair in {**parts, ALL: (ours, theirs)}.items()}


def _match(ours: Tensor, full: Tensor) -> Match:
    norm, true_norm = float(ours.norm()), float(full.norm())
    nan = float("nan")
    return Match(
        # Each made one long first, so that a faded gradient's square does not underflow.
        cosine=float((ours / norm) @ (full / true_norm)) if norm and true_norm else nan,
        norm_ratio=norm / true_norm if true_norm else nan,
    )


def _read(
    network: Network[Any], x: Tensor, state: State | None, wanted: set[int]
) -> tuple[Tensor, dict[int, Any]]:
    """(B, T, O) outputs, and the states before the ``wanted`` timesteps; without a graph."""
    at = network.initial_state(x.shape[0]) if state is None else detach(state)
    outputs, found, begin = [], {}, 0
    with torch.no_grad():
        for end in sorted(wanted | {0, x.shape[1]}):
            if end > begin:
                made, at = network(x[:, begin:end], at)
                outputs.append(made)
            found[end], begin = at, end
    return torch.cat(outputs, dim=1), found


def _flat(tensor: Tensor) -> Tensor:
    """A matrix as a float64 vector; complex numbers as pairs."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.double().flatten()
