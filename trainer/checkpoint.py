"""A run's exact state as bytes, and back.

Loading runs no code: ``weights_only`` refuses all but plain data.
"""

from __future__ import annotations

import io
import pickle
import random
import struct
from typing import Any

import numpy as np
import torch

FORMAT = 1


class CheckpointError(Exception):
    """The bytes are not a checkpoint of this program."""


def random_state() -> dict[str, Any]:
    """The global generators of Python, NumPy and PyTorch (each device), as tensors and plain values."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],  # type: ignore[no-untyped-call]
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def set_random_state(stored: dict[str, Any]) -> None:
    """Put the global generators where ``random_state`` found them."""
    version, words, gauss = stored["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = stored["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(stored["torch"].cpu())
    if stored["cuda"]:
        torch.cuda.set_rng_state_all([state.cpu() for state in stored["cuda"]])
    if stored["mps"] is not None:
        torch.mps.set_rng_state(stored["mps"].cpu())


def seed_everything(seed: int) -> None:
    """Start the global generators from ``seed``."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def pack(content: dict[str, Any]) -> bytes:
    """``content`` (tensors, numbers, strings, lists, dicts) with the global generators, as bytes."""
    stream = io.BytesIO()
    torch.save({"format": FORMAT, "random": random_state(), **content}, stream)
    return stream.getvalue()


def unpack(data: bytes, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What ``pack`` was given, tensors on ``device``, with key ``random`` for ``set_random_state``.

    Raises:
        CheckpointError: the bytes are damaged, of another format, or hold more than plain data.
    """
    try:
        content = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, struct.error) as error:
        raise CheckpointError(f"the checkpoint cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError("the checkpoint has another format; start the run again")
    return content
