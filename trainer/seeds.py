"""Independent random generators, all from a run's one seed."""

from __future__ import annotations

import hashlib

import torch


def derived_seed(seed: int, *purpose: object) -> int:
    """A seed for one purpose: the same for the same run seed and purpose, unrelated for others."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A CPU generator of its own for one purpose: ``generator(seed, "validation", step)``."""
    return torch.Generator().manual_seed(derived_seed(seed, *purpose))
