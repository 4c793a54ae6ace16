"""Gradient clipping, between backward and the optimiser's step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm


class Clipped(NamedTuple):
    """Zero-dimensional tensors on the gradients' device, so that a GPU need not be waited for."""

    before: Tensor
    """The gradient's norm over all parameters at once."""
    after: Tensor
    acted: Tensor
    """Bool: whether any gradient was changed."""
    cosine: Tensor | None = None
    """Between the gradient before and after, where the rule can bend it; None where it cannot."""


@torch.no_grad()
def clip_gradients(
    gradients: Sequence[Tensor], rule: Literal["norm", "value"] | None, threshold: float
) -> Clipped:
    """Clip in place and measure both sides.

    ``norm``: Pascanu, Mikolov & Bengio 2013, algorithm 1: where the norm g of all gradients taken together
    exceeds the threshold, every gradient is multiplied by threshold / g. (PyTorch's ``clip_grad_norm_`` adds
    1e-6 to g, and so ends slightly below the threshold; this does not.) ``value``: every entry is cut to
    [-threshold, threshold], which can bend the gradient's direction. None: nothing is changed.
    """
    before = get_total_norm(gradients)
    if rule == "norm":
        # 0 / 0 cannot arise: a zero norm divides to infinity and is clamped to 1.
        scale = (threshold / before).clamp(max=1.0)
        torch._foreach_mul_(list(gradients), scale)
        return Clipped(before, before * scale, before > threshold)
    if rule == "value":
        acted = torch.stack([gradient.abs().max() for gradient in gradients]).max() > threshold
        uncut = [gradient.clone() for gradient in gradients]
        for gradient in gradients:
            gradient.clamp_(-threshold, threshold)
        after = get_total_norm(gradients)
        together = torch.stack([torch.sum(u * g) for u, g in zip(uncut, gradients, strict=True)]).sum()
        norms = before * after  # 0 for a gradient of 0, which is not bent
        return Clipped(before, after, acted, torch.where(norms > 0, together / norms, 1.0))
    return Clipped(before, before, torch.zeros_like(before, dtype=torch.bool))
