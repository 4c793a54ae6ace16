"""Answers that are sets: which symbols may come next?

Each symbol has an output, wished to be 1 where the symbol may come next and 0 where it may not.

Axes: B (batch), n (scored timesteps), O (outputs).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from trainer.schema import Channel

THRESHOLD = 0.5
"""An output above it says that its symbol may come next."""


def right_sets(outputs: Tensor, targets: Tensor) -> Tensor:
    """(B, n) bool: whether every one of the (B, n, O) outputs lies on its own side of the threshold.

    An output that is not a number lies on neither.
    """
    allowed = (outputs > THRESHOLD) & (targets > THRESHOLD)
    refused = (outputs < THRESHOLD) & (targets < THRESHOLD)
    return (allowed | refused).all(dim=-1)


def set_channel(name: str, sets: Tensor, symbols: Sequence[str]) -> Channel:
    """A lane that spells one (T, O) row of sets: at each timestep, the symbols whose output is above 1/2."""
    spelled = [
        " ".join(symbol for symbol, inside in zip(symbols, row, strict=True) if inside) or "none"
        for row in (sets > THRESHOLD).tolist()
    ]
    return Channel(name=name, values=spelled)
