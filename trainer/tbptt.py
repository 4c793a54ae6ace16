"""Truncated backpropagation through time: which windows a sequence is cut into, and one window's forward.

(k1, k2) as in Sutskever's thesis, 2.8.6, and Williams & Peng's BPTT(h; h') (1990) with h = k2, h' = k1:
every k1 timesteps forward, run back k2 timesteps. The losses of the newest k1 outputs each count once; the
k2 - k1 timesteps before them only lend history to the gradient.

A window is always computed anew from the stored, detached state at its start. Detaching a state that the
graph has already used does not cut the graph (pytorch #49236), so k2 > k1 has no shorter way.

Axes: B (batch), T (time), D (input features), O (outputs).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from models.base import Network, State, detach


class Window(NamedTuple):
    """Timesteps [start, end) of a sequence; its losses are those of [begin, end)."""

    start: int
    """How far back the gradient reaches. Negative: into the history that a stream carries over."""
    begin: int
    end: int


def windows(length: int, k1: int | None, k2: int | None, history: int = 0) -> list[Window]:
    """Cut a sequence of ``length`` timesteps into windows; the last one may be shorter.

    Args:
        length: T, at least 1.
        k1: timesteps between two backward passes; None for one pass at the end.
        k2: timesteps that each pass runs back, at least k1; None for back to timestep 0.
        history: timesteps before the sequence that a stream still holds.

    Returns:
        Windows in order. Each timestep is in [begin, end) of exactly one.
    """
    stride = length if k1 is None else min(k1, length)
    cut = []
    for begin in range(0, length, stride):
        end = min(begin + stride, length)
        start = 0 if k2 is None else max(-history, end - k2)
        cut.append(Window(min(start, begin), begin, end))
    return cut


def next_start(cut: list[Window], index: int, k1: int | None, k2: int | None, streaming: bool) -> int:
    """Where the window after ``cut[index]`` starts: the timestep whose state has to be kept.

    After a sequence's last window that is the first window of a stream's next stretch, in the coordinates
    of this one; a sequence that is not part of a stream has no next window and keeps its end.
    """
    window = cut[index]
    if index + 1 < len(cut):
        return cut[index + 1].start
    if not streaming or k1 is None or k2 is None:
        return window.end
    stride = min(k1, window.end)
    return min(window.end, max(window.start, window.end + stride - k2))


def forward_window(
    network: Network[State],
    inputs: Tensor,
    state: State,
    lead: int,
    first: int,
    teacher: Tensor | None = None,
) -> tuple[Tensor, State]:
    """Run one window forward.

    Args:
        network: any network that meets the contract.
        inputs: (B, end - start, D), the window's inputs.
        state: detached, before the window's first timestep.
        lead: after how many of those timesteps the next window starts; its state is kept.
        first: the first of those timesteps whose output is wanted.
        teacher: (B, end - start, O) for a network that is taught, None for any other.

    Returns:
        (B, end - start - first, O) outputs with their graph, and the detached state at the next window's
        start.
    """
    if lead == 0:
        outputs, _ = read(network, inputs, state, first, teacher)
        return outputs, state
    if lead == inputs.shape[1]:
        outputs, last = read(network, inputs, state, first, teacher)
        return outputs, detach(last)
    # One graph through both halves: the state between them is handed on attached, and kept detached.
    early, late = (None, None) if teacher is None else (teacher[:, :lead], teacher[:, lead:])
    before, middle = read(network, inputs[:, :lead], state, min(first, lead), early)
    after, _ = read(network, inputs[:, lead:], middle, max(0, first - lead), late)
    return (torch.cat((before, after), dim=1) if first < lead else after), detach(middle)


def read(
    network: Network[State], inputs: Tensor, state: State, first: int, teacher: Tensor | None
) -> tuple[Tensor, State]:
    """``forward``, or ``forward_taught`` where there is a teacher."""
    if teacher is not None:
        return network.forward_taught(inputs, state, first, teacher)
    outputs: tuple[Tensor, State] = network(inputs, state, first)
    return outputs
