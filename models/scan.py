r"""The linear recurrence h_t = a_t ⊙ h_{t−1} + b_t for all timesteps at once.

Where neither a_t nor b_t depends on the state, both are known for all timesteps before the first state is.
One pass through memory is left, and that can be cut into chunks which are walked side by side:

1. every chunk alone, from zero, gives its last value and the product of its a's;
2. these carry the state from chunk to chunk, which gives the true value at the start of each;
3. every chunk again, from its true start, writes all of its values.

With about √T chunks that is 3√T operations on large tensors in place of T on small ones, and three products
for each number, where a tree scan (Blelloch 1990, "Prefix sums and their applications") makes 2 log T passes
through memory. The gradient is the same recurrence, run backwards in time:

.. math::
    \delta_t = g_t + \overline{a_{t+1}} \odot \delta_{t+1}, \qquad
    \partial E / \partial b_t = \delta_t, \qquad
    \partial E / \partial a_t = \delta_t \odot \overline{h_{t-1}}

with g_t what reaches h_t from outside. So the gradient of b_t *is* the total derivative of the loss by h_t.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isqrt
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_STEP_BY_STEP = 64
"""Up to this length a plain loop is quicker (measured with B = 32, H = 64, on one thread)."""


def scan(a: Tensor, b: Tensor, before: Tensor) -> Tensor:
    """h_t = a_t ⊙ h_{t−1} + b_t for t = 0 … T − 1; differentiable once, with respect to everything.

    Time comes first, so that each timestep lies in one piece of memory. A second derivative is refused with
    an error; who needs one unrolls a network's ``step``.

    Args:
        a: (T, B, H), or (H,) where every timestep has the same; real or complex, of the dtype of ``b``.
        b: (T, B, H), T at least 1.
        before: (B, H), the state before the first timestep.

    Returns:
        (T, B, H) states.
    """
    states: Tensor = _Scan.apply(a, b, before)  # type: ignore[no-untyped-call]
    return states


class _Scan(torch.autograd.Function):
    """``scan`` with its gradient by the same recurrence, backwards in time."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, before: Tensor) -> Tensor:
        h = b.new_empty(b.shape)
        _fill(h, a, b, before)
        ctx.save_for_backward(a, before, h)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, reaching: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        a, before, h = ctx.saved_tensors
        a = a.conj().resolve_conj()  # once, not in each of the products below
        constant = _is_constant(a)
        delta = reaching.new_empty(reaching.shape)
        delta[-1] = reaching[-1]
        later = a if constant else a[1:]
        _fill(delta[:-1], later, reaching[:-1], delta[-1], backwards=True)
        of_a = None
        if ctx.needs_input_grad[0]:
            of_a = torch.empty_like(h)
            torch.mul(delta[0], before.conj(), out=of_a[0])
            torch.mul(delta[1:], h[:-1].conj(), out=of_a[1:])
            of_a = of_a.sum((0, 1)) if constant else of_a
        return of_a, delta, (a if constant else a[0]) * delta[0]


def _fill(h: Tensor, a: Tensor, b: Tensor, before: Tensor, backwards: bool = False) -> None:
    """Write the recurrence into h (T, B, H); ``backwards`` walks from the last timestep to the first."""
    length = b.shape[0]
    if length <= _STEP_BY_STEP:
        _walk(h, a, b, before, backwards)
        return
    size = isqrt(length)
    # Timesteps that fill no chunk are left to the end of the walk.
    over = length % size
    split = over if backwards else length - over
    left, right = slice(0, split), slice(split, length)
    cut, rest = (right, left) if backwards else (left, right)

    def side_by_side(tensor: Tensor) -> Tensor:
        """(T, B, H) as (S, C, B, H): step s of every one of the C chunks of S timesteps; a view."""
        return tensor[cut].view(-1, size, *tensor.shape[1:]).transpose(0, 1)

    chunks_h, chunks_b = side_by_side(h), side_by_side(b.contiguous())
    chunks_a = a if _is_constant(a) else side_by_side(a.contiguous())
    _walk(chunks_h, chunks_a, chunks_b, _starts(chunks_a, chunks_b, before, backwards), backwards)
    _walk(
        h[rest], a if _is_constant(a) else a[rest], b[rest], h[split if backwards else split - 1], backwards
    )


def _starts(a: Tensor, b: Tensor, before: Tensor, backwards: bool) -> Tensor:
    """The state before every chunk: (S, C, B, H) and (B, H) give (C, B, H)."""
    (a_t, b_t), *later = _in_order(backwards, _each(a, len(b)), b)
    last, product = b_t.clone(), a_t.clone()
    for a_t, b_t in later:
        torch.addcmul(b_t, a_t, last, out=last)
        product.mul_(a_t)
    starts = torch.empty_like(last)
    first, others, feeders = (
        (-1, slice(0, -1), slice(1, None)) if backwards else (0, slice(1, None), slice(0, -1))
    )
    starts[first] = before
    _walk(starts[others], product if _is_constant(a) else product[feeders], last[feeders], before, backwards)
    return starts


def _walk(h: Tensor, a: Tensor, b: Tensor, before: Tensor, backwards: bool) -> None:
    """Write the recurrence into h, one entry of the first axis after the other."""
    for h_t, a_t, b_t in _in_order(backwards, h, _each(a, len(b)), b):
        before = torch.addcmul(b_t, a_t, before, out=h_t)


def _is_constant(a: Tensor) -> bool:
    return a.dim() == 1


def _each(a: Tensor, length: int) -> Iterable[Tensor]:
    return [a] * length if _is_constant(a) else a


def _in_order(backwards: bool, *sequences: Iterable[Tensor]) -> list[tuple[Tensor, ...]]:
    return list(zip(*sequences, strict=True))[:: -1 if backwards else 1]
