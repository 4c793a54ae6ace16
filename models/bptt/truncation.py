"""What truncated backpropagation leaves of the true gradient.

A truncated gradient is a different direction, not a noisy version of the right one (Aicher, Foti & Fox 2019,
"Adaptively truncating backpropagation through time to control gradient bias"). Here both are computed for the
same weights and inputs and laid side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.base import Network, State, detach, from_named_tensors, named_tensors
from models.bptt.precise import norms, output_gradient

Window = tuple[int, int, int]
"""(start, begin, end): timesteps [start, end) are read, the losses of [begin, end) count once each."""

ALL = "all"
"""The key under which all weight matrices are compared as one long vector."""
_AT_ONCE = 16_000_000  # numbers that a batch of windows may keep for its way back: 128 MB of float64
_COPIES = 12  # of each state, input and output in a forward and backward pass: gates, and their gradients


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
    cuts = [list(cut) for cut in cuts]
    full, *truncated = _gradients(network, x, state, loss, [[(0, 0, x.shape[1])], *cuts])
    return [compare(gradient, full) for gradient in truncated]


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
    (gradient,) = _gradients(network, x, state, loss, [windows])
    return gradient


def joined(windows: Iterable[Window], heard: Sequence[bool]) -> list[Window]:
    """Fewer windows with the same gradient: none without a loss, and one for neighbours with one start.

    Args:
        windows: in order.
        heard: (T,) which timesteps have a loss.
    """
    kept: list[Window] = []
    for start, begin, end in windows:
        if not any(heard[begin:end]):
            continue
        if kept and kept[-1][0] == start and not any(heard[kept[-1][2] : begin]):
            begin = kept.pop()[1]
        kept.append((start, begin, end))
    return kept


def _gradients(
    network: Network[Any],
    x: Tensor,
    state: State | None,
    loss: Callable[[Tensor], Tensor],
    cuts: Sequence[Sequence[Window]],
) -> list[dict[str, Tensor]]:
    """``truncated_gradient`` of each cut."""
    length, roles = x.shape[1], network.weight_roles()
    for start, begin, end in (window for cut in cuts for window in cut):
        if not 0 <= start <= begin < end <= length:
            raise ValueError(
                f"windows: ({start}, {begin}, {end}) does not fit {length} timesteps;"
                " give 0 <= start <= begin < end <= T"
            )
    at = network.initial_state(x.shape[0]) if state is None else detach(state)
    with torch.no_grad():
        outputs, _ = network(x, at)
    seeds = output_gradient(outputs, loss)
    heard = seeds.ne(0).any(2).any(0).tolist()
    needed = [tuple(joined(cut, heard)) for cut in cuts]
    starts = _states_before(network, x, at, {start for cut in needed for start, _, _ in cut})
    numbers = _COPIES * (
        sum(tensor.shape[1] for _, tensor in named_tensors(at)) + x.shape[2] + seeds.shape[2]
    )
    found: dict[tuple[Window, ...], dict[str, Tensor]] = {}
    for cut in needed:
        if cut in found:
            continue  # another cut with the same gradient, such as the full one
        gradient = found[cut] = {role: torch.zeros_like(weight) for role, weight in roles.items()}
        for alike in _alike(cut, _AT_ONCE // (numbers * x.shape[0])):
            lead, span = alike[0][1] - alike[0][0], alike[0][2] - alike[0][0]
            begun = [dict(named_tensors(starts[start])) for start, _, _ in alike]
            before = from_named_tensors(at, {name: torch.cat([b[name] for b in begun]) for name in begun[0]})
            with torch.enable_grad():
                read = torch.cat([x[:, start : start + span] for start, _, _ in alike])
                made, _ = network(read, before, lead)
            parts = torch.autograd.grad(
                made,
                list(roles.values()),
                torch.cat([seeds[:, begin:end] for _, begin, end in alike]),
                allow_unused=True,
                materialize_grads=True,
            )
            for role, part in zip(roles, parts, strict=True):
                gradient[role] += part
    return [found[cut] for cut in needed]


def _alike(windows: Iterable[Window], timesteps: int) -> Iterator[list[Window]]:
    """Windows of the same shape, which can be read as one batch: together no more than so many timesteps,
    except where one alone has more."""
    shapes: dict[tuple[int, int], list[Window]] = {}
    for start, begin, end in windows:
        shapes.setdefault((begin - start, end - start), []).append((start, begin, end))
    for (_, span), alike in shapes.items():
        most = max(1, timesteps // span)
        yield from (alike[i : i + most] for i in range(0, len(alike), most))


def compare(gradient: dict[str, Tensor], full: dict[str, Tensor]) -> dict[str, Match]:
    """Two gradients with the same roles, matrix by matrix and all together."""
    parts = {role: (_flat(gradient[role]), _flat(full[role])) for role in full}
    ours, theirs = (torch.cat(vectors) for vectors in zip(*parts.values(), strict=True))
    return {role: _match(*pair) for role, pair in {**parts, ALL: (ours, theirs)}.items()}


def _match(ours: Tensor, full: Tensor) -> Match:
    norm, true_norm = norms(torch.stack((ours, full))).tolist()
    nan = float("nan")
    return Match(
        # Each made one long first, so that a faded gradient's square does not underflow.
        cosine=float((ours / norm) @ (full / true_norm)) if norm and true_norm else nan,
        norm_ratio=norm / true_norm if true_norm else nan,
    )


def _states_before(network: Network[Any], x: Tensor, state: Any, wanted: set[int]) -> dict[int, Any]:
    """The states before the ``wanted`` timesteps, without a graph, from the one before the first."""
    found, begin = {}, 0
    with torch.no_grad():
        for end in sorted(wanted):
            if end > begin:
                _, state = network(x[:, begin:end], state, end - begin)
            found[end], begin = state, end
    return found


def _flat(tensor: Tensor) -> Tensor:
    """A matrix as a float64 vector; complex numbers as pairs."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.double().flatten()
