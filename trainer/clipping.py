"""Gradient clipping, between backward and the optimiser's step."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from trainer.norms import cosine, largest_entry, total_norm


class Clipped(NamedTuple):
    """Zero-dimensional tensors on the gradients' device, so that a GPU need not be waited for."""

    before: Tensor
    """The gradient's norm over all parameters at once, float64 where the device has that."""
    after: Tensor
    acted: Tensor
    """Bool: whether any gradient was changed."""
    cosine: Tensor | None = None
    """Between the gradient before and after, where the rule can bend it; None where it cannot."""


@torch.no_grad()
def clip_gradients(
    gradients: list[Tensor], rule: Literal["norm", "value"] | None, threshold: float
) -> Clipped:
    """Clip in place and measure both sides.

    ``norm``: Pascanu, Mikolov & Bengio 2013, algorithm 1: where the norm g of all gradients taken together
    exceeds the threshold, every gradient is multiplied by threshold / g. (PyTorch's ``clip_grad_norm_`` adds
    1e-6 to g, and so ends slightly below the threshold; this does not.) ``value``: every entry is cut to
    [-threshold, threshold], which can bend the gradient's direction. None: nothing is changed.
    """
    before = total_norm(gradients)
    if rule == "norm":
        acted = before > threshold
        if before.device.type == "cpu" and not bool(acted):
            return Clipped(before, before, acted)
        # 0 / 0 cannot arise: a zero norm divides to infinity and is clamped to 1.
        factor = (threshold / before).clamp(max=1.0)
        _multiply(gradients, factor)
        return Clipped(before, before * factor, acted)
    if rule == "value":
        acted = largest_entry(gradients) > threshold
        uncut = [gradient.clone() for gradient in gradients]
        for gradient in gradients:
            gradient.clamp_(-threshold, threshold)
        after = total_norm(gradients)
        return Clipped(before, after, acted, cosine(uncut, gradients, (before, after)))
    return Clipped(before, before, torch.zeros_like(before, dtype=torch.bool))


def _multiply(gradients: list[Tensor], factor: Tensor) -> None:
    """In place, by a factor that may be smaller than any number of the gradients' own type: in two parts."""
    smallest = torch.finfo(gradients[0].dtype).tiny ** 0.5
    if factor.device.type == "cpu" and float(factor) > smallest:
        torch._foreach_mul_(gradients, factor)
        return
    part = factor.clamp(min=smallest)
    torch._foreach_mul_(gradients, part)
    torch._foreach_mul_(gradients, factor / part)
