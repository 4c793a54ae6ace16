"""Does credit reach the marker? The gradient where inputs decide the target, beside that elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.base import Network, State
from models.bptt.precise import norms

INPUT = "x"
"""The key of the gradient by the inputs, beside the states' ``"h/0"``, …."""


class Credit(NamedTuple):
    """Mean gradient norms of each sequence, in units of the loss per unit of state or of input."""

    informative: Tensor
    """(B,) float64: at the informative timesteps."""
    distractors: Tensor
    """(B,) float64: at the others; NaN for a sequence that has no others, and where the gradient is NaN."""
    has_both: Tensor
    """(B,) bool: whether the sequence has timesteps of either kind."""

    @property
    def means(self) -> tuple[Tensor, Tensor]:
        """Informative and distractors, scalars over all sequences that have both."""
        return self.informative[self.has_both].mean(), self.distractors[self.has_both].mean()

    @property
    def ratio(self) -> float:
        """Informative ÷ distractors, over all sequences that have both: above 1, the markers are heard best.

        NaN where there is no gradient at all or one is NaN, infinite where the distractors alone get none.
        """
        informative, distractors = self.means
        return float(informative / distractors)


def credit_gradients(
    network: Network[Any], x: Tensor, state: State | None, loss: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """The loss's gradient by the inputs and by every state: (T, B, ...), what ``credit`` is measured on.

    A state's gradient at t says how much of the loss can still be changed there; the input's says how much
    of it hangs on what was read. A network that can tell its marker from noise shows it in the input's.

    Args:
        network: any network of the contract. Parameters' ``.grad`` is left alone.
        x: (B, T, D) inputs.
        state: the state before the first timestep, taken as a constant; ``None`` is the initial one.
        loss: gives a scalar from the (B, T, O) outputs.

    Returns:
        By ``"x"`` (the inputs) and by field and layer of the state, ``"h/0"``, …. A network without memory
        has ``"x"`` alone.
    """
    return {INPUT: input_gradient(network, x, state, loss), **network.state_gradients(x, state, loss)}


def credit(
    gradients: Mapping[str, Tensor], informative: Tensor, lengths: Tensor | None = None
) -> dict[str, Credit]:
    """How much of a gradient arrives at informative timesteps, and how much at distractors.

    Args:
        gradients: (T, B, ...) each, as ``credit_gradients`` gives them.
        informative: (B, n) int64: each sequence's informative timesteps; one named twice counts once.
        lengths: (B,) int64: timesteps of each sequence; those after them are padding, and count for nothing.
            ``None``: all are T long.

    Returns:
        Under the names of the gradients.
    """
    if not gradients:
        return {}
    length, batch_size = next(iter(gradients.values())).shape[:2]
    is_informative = torch.zeros(batch_size, length, dtype=torch.bool, device=informative.device)
    is_informative.scatter_(1, informative, True)
    is_distractor = ~is_informative
    if lengths is not None:
        is_distractor &= torch.arange(length, device=lengths.device) < lengths[:, None]
    has_both = is_informative.any(1) & is_distractor.any(1)
    found = {}
    for name, gradient in gradients.items():
        size = norms(gradient.flatten(0, 1)).view(length, batch_size).t().to(informative.device)
        found[name] = Credit(_mean_where(size, is_informative), _mean_where(size, is_distractor), has_both)
    return found


def input_gradient(
    network: Network[Any], x: Tensor, state: State | None, loss: Callable[[Tensor], Tensor]
) -> Tensor:
    """The loss's gradient by its inputs, (T, B, D); arguments are those of ``credit_gradients``."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        outputs, _ = network(x, state)
        (gradient,) = torch.autograd.grad(loss(outputs), [x], allow_unused=True, materialize_grads=True)
    return gradient.transpose(0, 1)


def _mean_where(size: Tensor, chosen: Tensor) -> Tensor:
    """(B, T) gives (B,), NaN where none is chosen."""
    return torch.where(chosen, size, 0).sum(1) / chosen.sum(1)
