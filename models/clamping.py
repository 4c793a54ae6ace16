"""Surgery on weights: units that stand still at a value, for all that reads them.

Nothing is watched or switched while the network runs: the weights themselves are changed, so it runs as fast
as before and every analysis of it holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_FAR = 1000.0
"""Before a sigmoid or an exponential this, or its negative, gives the end of its range exactly."""
LEAST = 1e-30
"""Stands for 0 where 0 itself would be divided by 0; single precision has it too."""


class Span(NamedTuple):
    """Where units can be held, and how many there are of them."""

    low: float
    high: float
    """Infinite where every number above ``low`` will do."""
    units: int

    def has(self, value: float) -> bool:
        """Whether a unit can stand at ``value``: what is not finite is nowhere."""
        return math.isfinite(value) and self.low <= value <= self.high

    def words(self) -> str:
        """``0 to 1``, ``0 or more``, ``any number``, ``0 only``: fits after "choose" and "held at"."""
        if self.low == self.high:
            return f"{self.low:g} only"
        if math.isinf(self.high):
            return "any number" if math.isinf(self.low) else f"{self.low:g} or more"
        return f"{self.low:g} to {self.high:g}"


class Squashing(NamedTuple):
    """A function that makes a unit of a sum, known by its range and by the way back."""

    low: float
    high: float
    argument: Callable[[float], float]
    """The sum of which it makes a value of its range."""

    def span(self, units: int) -> Span:
        """The range, of so many units."""
        return Span(self.low, self.high, units)


def before_sigmoid(value: float) -> float:
    """What a sigmoid makes ``value`` of, 0 to 1 with both ends."""
    if value in (0, 1):
        return math.copysign(_FAR, value - 0.5)
    return math.log(value) - math.log1p(-value)


def _before_tanh(value: float) -> float:
    return before_sigmoid((value + 1) / 2) / 2


def _before_exponential(value: float) -> float:
    return math.log(value) if value else -_FAR


def _as_it_is(value: float) -> float:
    return value


SIGMOID = Squashing(0.0, 1.0, before_sigmoid)
TANH = Squashing(-1.0, 1.0, _before_tanh)
EXPONENTIAL = Squashing(0.0, math.inf, _before_exponential)
LINEAR = Squashing(-math.inf, math.inf, _as_it_is)


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
def speak_for(units: Sequence[int], matrix: Tensor, bias: Tensor | None, value: float) -> None:
    """Let a reader of (…, H) units hear ``value`` from some of them, whatever they say.

    Args:
        units: columns of ``matrix``.
        matrix: (N, H) the weights by which they are read.
        bias: (N,) added to the product; a reader without one can hear nothing but 0.
        value: what is heard instead.
    """
    places = list(units)
    if bias is not None:
        bias += matrix[:, places].sum(1) * value
    matrix[:, places] = 0
