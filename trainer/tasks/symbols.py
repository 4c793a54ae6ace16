"""Sequences of symbols: as inputs, and as answers to be judged.

Axes: B (batch), T (time), n (scored timesteps), O (outputs).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.tasks.base import Batch, Score

LETTERS = "abcdefghijklmnopqrstuvwxyz"
"""Names for symbols that have none of their own."""
BLANK = "–"
"""How a timestep without a symbol is shown."""
_SHOWN_SYMBOLS = 60


def one_hot(symbols: Tensor, size: int) -> Tensor:
    """(B, T) int64 symbols as (B, T, ``size``) float32: 1 in the symbol's own channel.

    Unlike ``F.one_hot`` it makes no int64 copy of that size on the way.
    """
    return torch.zeros(*symbols.shape, size).scatter_(2, symbols.unsqueeze(2), 1.0)


def score_symbols(outputs: Tensor, batch: Batch) -> Score:
    """How many scored symbols are not the likeliest one of their (B, n, O) outputs."""
    wrong = outputs.argmax(dim=-1) != batch.targets
    if batch.mask is not None:
        wrong = wrong[batch.mask]
    return Score(wrong=int(wrong.sum()), total=wrong.numel())


def probability_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """The largest distance of any class's probability from what it should be, 1 or 0.

    Args:
        outputs: (B, n, O) logits.
        targets: (B, n) int64 classes.

    Returns:
        (B, n), from 0 to 1, or NaN where an output is not a number.
    """
    probabilities = outputs.float().softmax(dim=-1)
    wanted = F.one_hot(targets, outputs.shape[-1])
    return (probabilities - wanted).abs().amax(dim=-1)


def under_one_percent(wrong: int, total: int) -> bool:
    """The success rule of Pascanu, Mikolov & Bengio (2013)."""
    return 100 * wrong < total


def spelled(names: Sequence[str]) -> str:
    """Symbols in a row, the middle of a long row left out."""
    if len(names) <= _SHOWN_SYMBOLS:
        return "".join(names)
    half = _SHOWN_SYMBOLS // 2
    return "".join(names[:half]) + "…" + "".join(names[-half:])
