"""Norms of gradients of any size, over all parameters at once.

A norm is a root of squares, and these leave float32's range at 1e19 and at 1e-23, where a gradient itself
is well inside. The quick way is taken wherever it can be trusted, one in scaled numbers elsewhere: a gradient
of finite entries never has an infinite norm, nor one that is not 0 a norm of 0.

Everything stays on the gradients' device; only a CPU, where that costs nothing, is asked which way to take.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOST = 1e7
"""Times the root of the smallest number: squares that got lost count for nothing beside a norm above that."""


@torch.no_grad()
def total_norm(gradients: list[Tensor]) -> Tensor:
    """The norm of all gradients taken together: a scalar, float64 where the device has that.

    Infinite or NaN only where an entry is.
    """
    like = gradients[0]
    if like.device.type == "cpu":
        quick = _joined(torch._foreach_norm(gradients))
        if _is_sure(float(quick), like.dtype):
            return quick
    elif like.dtype != _widest(like):
        return _joined(torch._foreach_norm(gradients, dtype=_widest(like)))
    unit, scaled = _in_units(gradients)
    found = _joined(torch._foreach_norm(scaled)) * unit
    # A float64 gradient may have a norm beyond float64.
    return torch.where(unit.isfinite(), found.clamp(max=torch.finfo(found.dtype).max), unit)


@torch.no_grad()
def cosine(one: list[Tensor], other: list[Tensor], norms: tuple[Tensor, Tensor]) -> Tensor:
    """Between two gradients of all parameters, a scalar; 1 where one of them is 0.

    ``norms`` are their ``total_norm``.
    """
    if one[0].device.type == "cpu":
        together = _product(one, other)
        if all(_is_sure(float(number), one[0].dtype) for number in (*norms, together.abs().sqrt())):
            return together / norms[0] / norms[1]
    one, other = _in_units(one)[1], _in_units(other)[1]
    length = _joined(torch._foreach_norm(one)) * _joined(torch._foreach_norm(other))
    return torch.where(length == 0, 1.0, _product(one, other) / length)


def largest_entry(gradients: list[Tensor]) -> Tensor:
    """The size of the largest number in all of them, a scalar; NaN where one is."""
    return torch.stack([gradient.abs().max() for gradient in gradients]).max()


def to_widest(numbers: Tensor) -> Tensor:
    """As float64, or in the type with the widest range that their device has."""
    return numbers.to(_widest(numbers))


def _widest(like: Tensor) -> torch.dtype:
    return torch.float32 if like.device.type == "mps" else torch.float64


def _is_sure(norm: float, dtype: torch.dtype) -> bool:
    """Whether a norm was found without losing squares that matter: too large, too small, or NaN."""
    return math.sqrt(torch.finfo(dtype).tiny) * LOST < norm < math.inf


def _in_units(gradients: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The largest entry's size, and the gradients divided by it; by 1 where it is 0 or not finite."""
    largest = largest_entry(gradients)
    by = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
    return to_widest(largest), list(torch._foreach_div(gradients, by))


def _joined(norms: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """The norm of vectors of which these are the parts' norms."""
    found: Tensor = torch.linalg.vector_norm(to_widest(torch.stack(list(norms))))
    return found


def _product(one: list[Tensor], other: list[Tensor]) -> Tensor:
    """The sum of all entries' products, a scalar."""
    sums = [torch.sum(u * v) for u, v in zip(one, other, strict=True)]
    return to_widest(torch.stack(sums)).sum()
