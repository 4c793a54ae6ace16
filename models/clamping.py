"""Surgery on weights: units that stand still at a value, for all that reads them.

Nothing is watched or switched while the network runs: the weights themselves are changed, so it runs as fast
as before and every analysis of it holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

SIGMOID, TANH = (0.0, 1.0), (-1.0, 1.0)
"""Ranges of squashed units."""
_FAR = 1000.0
"""Before a sigmoid this gives 0 or 1 exactly."""


def before_squashing(value: float, span: tuple[float, float]) -> float:
    """What a sigmoid or tanh unit with this range must be given to stand at ``value``."""
    low, high = span
    share = (value - low) / (high - low)
    if not 0 <= share <= 1:
        raise ValueError(f"value is {value}; give one from {low:g} to {high:g}")
    if share in (0, 1):
        return math.copysign(_FAR, share - 0.5)
    return math.log(share / (1 - share)) / (high - low)


@torch.no_grad()
def deafen(
    rows: Sequence[int], matrices: Sequence[Tensor], biases: Sequence[Tensor], constant: float
) -> None:
    """Give the units in ``rows`` the same input at every timestep: ``constant``.

    Args:
        rows: of all matrices and biases, those that make these units.
        matrices: (rows, ...) what they listen to.
        biases: (rows,) each; their sum becomes the constant.
        constant: what the units get.
    """
    places = list(rows)
    for matrix in matrices:
        matrix[places] = 0
    for position, bias in enumerate(biases):
        bias[places] = constant if position == 0 else 0.0


@torch.no_grad()
def speak_for(units: Sequence[int], matrix: Tensor, bias: Tensor, value: float) -> None:
    """Let a reader of (…, H) units hear ``value`` from some of them, whatever they say.

    Args:
        units: columns of ``matrix``.
        matrix: (N, H) the weights by which they are read.
        bias: (N,) added to the product.
        value: what is heard instead.
    """
    places = list(units)
    bias += matrix[:, places].sum(1) * value
    matrix[:, places] = 0
