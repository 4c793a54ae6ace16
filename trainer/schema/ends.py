"""How a run ends whose numbers grow beyond all bounds: its reason, and what a reader is told of it."""

from __future__ import annotations

import re
from typing import Literal

from trainer.schema.config import TrainingConfig

Quantity = Literal["the loss", "the gradient's norm"]
_BLOW_UP = re.compile(r"(the loss|the gradient's norm) became (nan|inf|-inf) at update (\d+)")
_NUMBERS = {"nan": "not a number (NaN)", "inf": "infinite", "-inf": "minus infinite"}


def blow_up(what: Quantity, value: float, step: int) -> str:
    """The reason of such an end."""
    return f"{what} became {value} at update {step}"


def is_blow_up(reason: str | None) -> bool:
    """Whether a reason is one that ``blow_up`` made."""
    return bool(_BLOW_UP.fullmatch(reason or ""))


def blow_up_words(reason: str, training: TrainingConfig) -> tuple[str, str]:
    """What happened, and what to do now: a sentence or two each.

    Every run that is resumed computes what it would have computed without a pause. Of this one that is the
    same end, so that only other settings help.
    """
    clipping = (
        "clipping, which is off"
        if training.clip is None
        else f"a clipping threshold below {training.clip_at:g}"
    )
    found = _BLOW_UP.fullmatch(reason)
    what = f"{found[1]} became {_NUMBERS[found[2]]} at update {int(found[3]):,}" if found else reason
    return (
        f"Training blew up: {what}.",
        "Resuming would repeat that, to the last bit. Only other settings help: launch it again with a "
        f"learning rate below {training.learning_rate:g}, or with {clipping}.",
    )
