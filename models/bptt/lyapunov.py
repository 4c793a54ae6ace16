"""Lyapunov exponents: the rates at which a gradient grows or fades on a long way back through time.

Axes: B (batch: starts), T (time), D (input features), S (numbers of the state), K (directions).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.base import Network, from_named_tensors, map_state, named_tensors
from models.bptt.precise import laboratory, leaf

SPREAD = 14.0
"""Logarithm of the largest stretch ÷ the smallest one, up to which directions stay apart by themselves."""
MOST_STEPS = 16
"""Timesteps after which directions are made orthogonal again at the latest."""
WARM_UP = 3
"""One part of so many is left to the directions, to turn to where they belong, and does not count."""
FEWEST = 300
"""Timesteps, without which nothing counts as settled unless all is wiped out."""
CLOSE, CLOSE_SHARE = 0.002, 0.05
"""An exponent has settled once it is known to so much per timestep, or to such a share of itself."""


class LongRun(NamedTuple):
    """Exponents along a stream, from several starts."""

    exponents: Tensor
    """(B, K) in nats per timestep, each start's largest first; -inf for a direction that is wiped out."""
    warm_up: int
    """Timesteps that did not count, in which the directions turned to where they belong."""
    timesteps: int
    """The window: timesteps that count."""
    has_settled: bool
    """Whether all starts, and both halves of the window, agree."""


class Directions:
    """Orthonormal directions that are carried through linear maps, as in Benettin et al. 1980.

    After each map they are made orthonormal again, the first as it is, each later one without what it shares
    with those before it; what is left of its length is its stretch.

    A direction is wiped out, for good, once nothing of it can be told from rounding. Rounding is taken to be
    eps · S of the longest image for each map, and to go on growing as whatever is not yet a direction does,
    which is what the next direction shows. (Exact zeros stay exact: Householder's QR would fill them.)

    Args:
        start: (B, S, K) in any position.
    """

    def __init__(self, start: Tensor) -> None:
        self.size = start.shape[1]
        self.vectors = torch.linalg.qr(start).Q
        """(B, S, K); 0 for a direction that is wiped out."""
        self.unsure = start.new_zeros(start.shape[0], start.shape[2])
        """(B, K) the part of each direction that is rounding, 0 to 1."""

    def become(self, images: Tensor, steps: int = 1) -> Tensor:
        """Take the place of their images (B, S, K) under so many maps: (B, K) logarithms of the stretch."""
        largest = images.abs().amax((1, 2))
        unit = torch.where(largest > 0, largest, 1.0)
        images = images / unit[:, None, None]
        noise = steps * self.size * torch.finfo(images.dtype).eps * images.norm(dim=1).amax(1)
        vectors, lengths = torch.zeros_like(images), torch.zeros_like(self.unsure)
        for k in range(images.shape[2]):
            rest, known = images[:, :, k : k + 1], vectors[:, :, :k]
            for _ in range(2 if k else 0):  # once more, for what rounding left
                rest = rest - known @ (known.mT @ rest)
            length = rest.norm(dim=1)[:, 0]
            kept = length > noise
            lengths[:, k] = torch.where(kept, length, 0)
            vectors[:, :, k] = rest[:, :, 0] / torch.where(kept, length, torch.inf)[:, None]
        following = torch.cat((lengths[:, 1:], lengths[:, -1:]), dim=1)
        self.unsure = (self.unsure * following + noise[:, None]) / lengths
        lost = ~(self.unsure < 1)
        self.vectors = vectors.masked_fill(lost[:, None], 0)
        return lengths.masked_fill(lost, 0).log() + unit.log()[:, None]


def lyapunov_exponents(jacobians: Tensor, count: int = 1, settle: int = 0) -> Tensor:
    """The largest exponents along a few timesteps: of these alone, not of infinitely many.

    The mean rate, per timestep, at which a small change of the state grows (above 0) or fades (below 0) in
    the direction that grows fastest, the next fastest, and so on.

    Args:
        jacobians: (T, B, S, S) of all timesteps in order.
        count: how many exponents, up to S.
        settle: at first the directions are random, and turn to those that grow fastest; so many timesteps,
            0 to T - 1, are left to that and not counted.

    Returns:
        (B, count) in nats per timestep, the largest first; -inf for a direction that is wiped out.
    """
    length, batch, size, _ = jacobians.shape
    if not 0 <= settle < length:
        raise ValueError(f"settle is {settle}; there are {length} timesteps: give 0 to {length - 1}")
    if not 0 < count <= size:
        raise ValueError(f"count is {count}; this state has {size} numbers: give 1 to {size}")
    directions = Directions(_start(1, size, count).to(jacobians).expand(batch, -1, -1))
    logs = torch.stack([directions.become(jacobian @ directions.vectors) for jacobian in jacobians])
    return _sorted(logs[settle:].sum(0)[:, :count] / (length - settle))


def long_run_exponents(network: Network[Any], x: Tensor, count: int, skip: int = 0) -> LongRun | None:
    """The largest exponents along a stream, by gradients that go back through it from its end.

    Each sequence of the batch is a stream of its own, and its directions start at random: B independent
    measurements. They go back until they have settled, or to the stream's beginning.

    Args:
        network: any network of the contract; a float64 copy does the work.
        x: (B, T, D) inputs, read from the initial state.
        count: how many exponents; fewer where the state has fewer numbers.
        skip: timesteps at the beginning that are only read, for the state to forget that it began.

    Returns:
        None where the state leaves float64's range before anything can be measured. A stream in which it
        does so later is followed up to there.
    """
    own, x, states, _ = laboratory(network, x, None)
    own.requires_grad_(False)
    batch, end = x.shape[0], _finite(states)
    meaningful = _Meaningful(own, states[0])
    count = min(count, meaningful.size)
    directions = Directions(_start(batch, meaningful.size, count).to(x))
    rows = directions.vectors.shape[2]
    total = end - skip
    asked = {total >> place for place in range(1, 10) if total >> place >= FEWEST} | {total}
    stretched: list[Tensor] = []
    """(B, K) of each timestep; of several in a row, their mean."""
    steps, vectors, at_once, is_over = 0, directions.vectors, 1, False
    for t in reversed(range(skip, end)):
        repeated = map_state(lambda tensor: tensor.repeat_interleave(rows, 0), states[t])
        flat = vectors.mT.flatten(0, 1)  # (B·K, S)
        flat = meaningful.back(x[:, t].repeat_interleave(rows, 0), repeated, flat)
        vectors, steps = flat.view(batch, rows, -1).mT, steps + 1
        done = len(stretched) + steps
        if steps < at_once and done not in asked:
            continue
        if not bool(vectors.isfinite().all()):
            break
        logs = directions.become(vectors, steps)
        stretched += [logs / steps] * steps
        at_once = _affordable(logs, steps)
        vectors, steps = directions.vectors, 0
        is_over = bool((directions.vectors == 0).all())  # nothing is left to follow
        if is_over or (done in asked and _has_settled(_window(stretched), count)):
            break
    if len(stretched) < WARM_UP and not is_over:
        return None
    window = _window(stretched)
    return LongRun(
        exponents=_sorted(window.mean(0)[:, :count]),
        warm_up=len(stretched) - len(window),
        timesteps=len(window),
        has_settled=_has_settled(window, count),
    )


class _Meaningful:
    """The numbers of a state that mean something by themselves, and how gradients by them go back."""

    def __init__(self, network: Network[Any], state: Any) -> None:
        self.network = network
        self.sizes = {name: t.shape[1] for name, t in named_tensors(state) if is_meaningful(network, name)}
        self.size = sum(self.sizes.values())

    def back(self, x_t: Tensor, state: Any, arriving: Tensor) -> Tensor:
        """From (N, S) gradients by the state after a step to those by the state before it."""
        tensors = dict(named_tensors(state))
        before = {name: leaf(tensors[name]) for name in self.sizes}
        with torch.enable_grad():
            _, made = self.network.step(x_t, from_named_tensors(state, {**tensors, **before}))
            after = dict(named_tensors(self.network.in_fixed_units(made)))
        found = torch.autograd.grad(
            [after[name] for name in self.sizes],
            list(before.values()),
            torch.split(arriving, list(self.sizes.values()), dim=1),
            allow_unused=True,
            materialize_grads=True,
        )
        return torch.cat(found, dim=1)


def is_meaningful(network: Network[Any], name: str) -> bool:
    """Whether a tensor of the state, ``"h/0"``, is more than the unit of others."""
    return name.split("/")[0] not in network.mere_units


def _start(batch: int, size: int, count: int) -> Tensor:
    """(B, S, K) random directions, one more than asked for where there is one; fewer are the first of more.

    Any will do, but axes might be left alone by a sparse Jacobian.
    """
    source = torch.Generator().manual_seed(0)
    start = torch.randn(batch, min(count + 1, size), size, generator=source, dtype=torch.float64)
    return start.mT


def _finite(states: list[Any]) -> int:
    """How many timesteps pass before a state is not finite."""
    for t, state in enumerate(states):
        if not all(bool(tensor.isfinite().all()) for _, tensor in named_tensors(state)):
            return max(0, t - 1)
    return len(states) - 1


def _affordable(logs: Tensor, steps: int) -> int:
    """Timesteps that may go by before directions are made orthogonal again."""
    alive = logs.isfinite()
    spread = logs.masked_fill(~alive, -torch.inf).amax(1) - logs.masked_fill(~alive, torch.inf).amin(1)
    widest = float(spread[alive.any(1)].max()) if bool(alive.any()) else 0.0
    return max(1, min(MOST_STEPS, 2 * steps, int(SPREAD * steps / widest) if widest > 0 else MOST_STEPS))


def _window(stretched: list[Tensor]) -> Tensor:
    """(T, B, K) of the timesteps that count."""
    return torch.stack(stretched[len(stretched) // WARM_UP :])


def _has_settled(window: Tensor, count: int) -> bool:
    """Whether what starts find, and what each half of the window finds, is close to their mean."""
    found = _sorted(window.mean(0)[:, :count])
    middle = len(window) // 2
    halves = [_sorted(half.mean(0)[:, :count]).mean(0) for half in (window[:middle], window[middle:])]
    mean = found.mean(0)
    alive = found.isfinite()
    if not bool((alive.all(0) | ~alive.any(0)).all()):
        return False  # wiped out in some only
    off = torch.stack([*(found - mean), *(half - mean for half in halves)]).abs()[:, alive.all(0)]
    limit = (CLOSE_SHARE * mean.abs()).clamp(min=CLOSE)[alive.all(0)]
    # Rates that are nearer to each other than 1/T are still one to directions that went T timesteps.
    is_long = len(window) >= FEWEST - FEWEST // WARM_UP and bool((limit * len(window) >= 1).all())
    return (is_long or not bool(alive.any())) and bool((off <= limit).all())


def _sorted(exponents: Tensor) -> Tensor:
    return exponents.sort(dim=1, descending=True).values
