"""How fast a gradient fades on its way back: an exponential fitted to its norms."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Decay(NamedTuple):
    """norm(t) ≈ c · factor^(steps back), and how well that describes the norms."""

    factor: float
    """What one timestep back multiplies the norm by: below 1 it vanishes, above 1 it explodes."""
    half_life: float | None
    """Timesteps back in which the norm halves; None where it does not fade."""
    doubling: float | None
    """Timesteps back in which the norm doubles; None where it does not grow."""
    r_squared: float
    """The share of log norm's variance that the line explains, 0 to 1; 1 for norms that are all equal."""
    ratio: float
    """The earliest norm that counts ÷ the latest one; infinite where that is beyond 1e308."""
    spread: float
    """The largest norm that counts ÷ the smallest one; infinite likewise."""
    points: int
    """How many timesteps count: those whose norm is finite and above 0."""


def fit_decay(norms: Tensor, first: int = 0, last: int | None = None) -> Decay | None:
    """The least-squares line through log norm against t.

    Zeros (of states that no loss depends on, or below float64's smallest number) and values that are not
    finite are left out.

    Args:
        norms: (T,) gradient norms, index 0 for the first timestep.
        first: fit from this timestep on.
        last: fit up to and with this timestep, say the one of the loss; ``None`` is the last one.

    Returns:
        None where fewer than two timesteps count.
    """
    t = torch.arange(norms.shape[0], dtype=torch.float64)
    counts = norms.isfinite() & (norms > 0) & (t >= first)
    if last is not None:
        counts &= t <= last
    points = int(counts.sum())
    if points < 2:
        return None
    log, t = norms[counts].double().log(), t[counts]
    t_off, log_off = t - t.mean(), log - log.mean()
    slope = float(t_off @ log_off / (t_off @ t_off))
    variance, unexplained = float(log_off @ log_off), float((log_off - slope * t_off).square().sum())
    # Norms equal but for rounding are flat: what is left of them is no trend.
    is_flat = variance <= points * (1e-12 * max(1.0, float(log.abs().max()))) ** 2
    slope = 0.0 if is_flat else slope
    return Decay(
        factor=_exp(-slope),
        half_life=math.log(2) / slope if slope > 0 else None,
        doubling=math.log(2) / -slope if slope < 0 else None,
        r_squared=1.0 if is_flat else max(0.0, 1 - unexplained / variance),
        ratio=_exp(float(log[0] - log[-1])),
        spread=_exp(float(log.max() - log.min())),
        points=points,
    )


def reach(norms: Tensor, share: float = 0.01) -> int:
    """How many timesteps back a gradient is heard, counted from its largest norm.

    Args:
        norms: (T,) gradient norms.
        share: what still counts as heard, as a share of the largest norm.

    Returns:
        Timesteps from the largest norm back to the earliest one that is at least ``share`` of it; 0 where
        nothing is heard, or nothing earlier.
    """
    norms = torch.where(norms.isfinite(), norms, 0)
    if not norms.any():
        return 0
    largest = int(norms.argmax())
    heard = norms >= share * norms[largest]
    return largest - int(heard.int().argmax())


def remembered(norms: Tensor, last: int, least: float = 1e-30) -> int | None:
    """How far back a memory of finite length goes: the gradient is exactly 0 more timesteps back than this.

    Args:
        norms: (T,) gradient norms.
        last: the timestep of the loss, from which is counted.
        least: zeros that follow a norm below this one are a gradient that has faded below the smallest
            number: 1.4e-45 in single precision.

    Returns:
        None where the gradient is not 0 at the first timestep, or at all timesteps, or where it has faded.
    """
    heard = norms[: last + 1] != 0  # what is not a number is not 0
    if not heard.any() or heard[0]:
        return None
    earliest = int(heard.int().argmax())
    return last - earliest if norms[earliest] >= least else None


def _exp(exponent: float) -> float:
    return math.exp(exponent) if exponent < 709 else math.inf
