"""Noise added to gradients, strong at first and fading."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from trainer.seeds import derived_seed

GAMMA = 0.55
"""How fast the noise fades; the paper uses no other."""


def noise_deviation(strength: float, step: int) -> float:
    """σ for the update that follows ``step`` earlier ones: σ² = η / (1 + t)^γ."""
    return float((strength / (1 + step) ** GAMMA) ** 0.5)


class GradientNoise:
    """Neelakantan et al. 2015, "Adding gradient noise improves learning for very deep networks".

    Every entry of every gradient gets a normal random number of its own. Each update's numbers come from a
    generator that is seeded with the update's number, so that a resumed run draws the same ones.

    Args:
        strength: η.
        seed: the run's own, for this purpose.
        device: where the gradients are.
    """

    def __init__(self, strength: float, seed: int, device: torch.device) -> None:
        self.strength, self.seed = strength, seed
        self.generator = Generator(device)

    @torch.no_grad()
    def add_to(self, gradients: Sequence[Tensor], step: int) -> None:
        """Add the noise of the update that follows ``step`` earlier ones, in place."""
        self.generator.manual_seed(derived_seed(self.seed, step))
        sizes = [gradient.numel() for gradient in gradients]
        drawn = torch.randn(
            sum(sizes),
            generator=self.generator,
            device=self.generator.device,
            dtype=gradients[0].dtype,
        )
        noise = [part.view_as(like) for part, like in zip(torch.split(drawn, sizes), gradients, strict=True)]
        torch._foreach_add_(list(gradients), noise, alpha=noise_deviation(self.strength, step))
