"""What gates do over time: how much of a memory survives them, and how often they stand at an end."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def carried(gate: Tensor, lengths: Tensor | None = None) -> Tensor:
    """How much of what a memory held after step k is still there after step t: ∏ of the gates in between.

    For an LSTM's forget gates this is the whole of ∂c_t/∂c_k along the cell (Hochreiter & Schmidhuber 1997's
    constant error carousel, where it is 1).

    Args:
        gate: (B, T, H) the gates that multiply the old memory, each 0 to 1.
        lengths: (B,) int64: timesteps of each sequence; those after them are padding, and count for nothing.
            ``None``: all are T long.

    Returns:
        (T, T) float64, row t, column k: the mean over B (those longer than t) and H of ∏ gate_j for
        k < j ≤ t; 1 on the diagonal, 0 above it, and in rows beyond the longest sequence.
    """
    steps = gate.transpose(0, 1).double()  # (T, B, H)
    length = steps.shape[0]
    means = steps.new_zeros(length, length)
    products = steps.new_zeros(0, *steps.shape[1:])
    for t, gate_t in enumerate(steps):
        products = torch.cat((products * gate_t, torch.ones_like(gate_t)[None]))  # (t + 1, B, H)
        counts = slice(None) if lengths is None else lengths > t
        if lengths is None or bool((lengths > t).any()):
            means[t, : t + 1] = products[:, counts].flatten(1).mean(1)
    return means


class Saturation(NamedTuple):
    """Shares of the time, 0 to 1, that each unit spends at an end of its range."""

    low: Tensor
    """(H,) float64: of a gate, shut."""
    high: Tensor
    """(H,) float64: of a gate, open."""


def saturation(values: Tensor, floor: float = 0.0, ceiling: float = 1.0, margin: float = 0.1) -> Saturation:
    """How often units are saturated: so near an end of their range that hardly any gradient passes.

    The measure of Karpathy, Johnson & Li 2015, "Visualizing and understanding recurrent networks", with their
    margins of 0.1 and 0.9.

    Args:
        values: (B, T, H) gates, or the states of squashed units.
        floor: the low end of the range: 0 for a sigmoid, -1 for tanh.
        ceiling: the high end.
        margin: what counts as near, as a share of the range.
    """
    near = margin * (ceiling - floor)
    low, high = values < floor + near, values > ceiling - near
    return Saturation(low.double().mean((0, 1)), high.double().mean((0, 1)))
