"""Gate surgery: hold a gate or a unit still, and see what the network does without it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from pydantic import Field

from models.base import Network
from trainer.inspection.base import Meaningless, Subject, ViewError, ViewSettings, ViewSpec, number
from trainer.schema import SurgerySide, SurgeryView
from trainer.seeds import generator

JUDGED = 64
"""Sequences on which loss and error are measured."""
NAMED = 6
"""Units that are named one by one in words."""


class SurgerySettings(ViewSettings):
    """Settings of this view."""

    target: str | None = Field(default=None, title="Hold", pattern=r"^\w{1,16}/\d{1,2}$")
    """Which gate or units: their name, a slash and their layer, from 0: f/0, h/0. Empty takes the first."""
    units: str | None = Field(default=None, max_length=2000, pattern=r"^[\d\s,-]*$")
    """Which units, from 0, such as 0, 3, 8-11; empty is all of them."""
    value: float | None = Field(default=None, ge=-1e6, le=1e6)
    """Where they are held: most gates go from 0, shut, to 1, open. Empty takes 0, or the nearest to it."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Where random numbers start: both networks get the same."""


def compute(subject: Subject, settings: SurgerySettings) -> SurgeryView:
    """The same sequences and prompts for the network and for a copy with clamped weights."""
    can = subject.network.clampable()
    if not can:
        raise Meaningless(
            f"This network, {subject.title}, has no gates or units that can be held by changing its weights."
        )
    target = settings.target or next(iter(can))
    if target not in can:
        raise ViewError(
            "target", target, "cannot be held in this network", f"choose one of: {', '.join(can)}"
        )
    span = can[target]
    units = _units(settings.units or "", span.units)
    value = min(max(0.0, span.low), span.high) if settings.value is None else settings.value
    if not span.has(value):
        raise ViewError("value", value, f"{target} does not go there", f"choose {span.words()}")
    changed = copy.deepcopy(subject.network)
    changed.clamp(target, units, value)
    few = ", ".join(map(str, units[:NAMED])) + (", …" if len(units) > NAMED else "")
    plural = "s" * (len(units) > 1)
    which = f"all {span.units} unit{plural}" if len(units) == span.units else f"unit{plural} {few}"
    return SurgeryView(
        target=target,
        clamped=f"{target}, {which}, held at {value:g} (possible: {span.words()})",
        choices=list(can),
        untouched=_side(subject, subject.network, settings.seed),
        changed=_side(subject, changed, settings.seed),
    )


def _units(text: str, size: int) -> list[int]:
    """``"0, 3-5"`` as numbers under ``size``, each once; all of them for an empty text."""
    found: dict[int, None] = {}
    for part in text.replace(",", " ").split():
        first, dash, last = part.partition("-")
        if not first or (dash and not last) or "-" in last:
            raise ViewError("units", part, "is not a number or a span", "write, say, 0, 3, 8-11")
        begin, end = int(first), int(last or first)
        if not begin <= end < size:
            raise ViewError("units", part, "there are no such units", f"choose from 0 to {size - 1}")
        found |= dict.fromkeys(range(begin, end + 1))
    return list(found) or list(range(size))


def _side(subject: Subject, network: Network[Any], seed: int) -> SurgerySide:
    task = subject.task
    probe = subject.drawn(JUDGED, seed)
    with torch.no_grad():
        outputs, _ = network(probe.inputs, None, probe.first)
    score = task.score(outputs, probe)
    return SurgerySide(
        loss=number(float(task.scored_losses(outputs, probe).sum()) / probe.scored_count()),
        error=score.wrong / score.total,
        samples=list(task.samples(network, probe, generator(seed, "surgery"))),
    )


SPEC = ViewSpec(
    title="Surgery",
    summary=(
        "A gate or a unit is held at one value, and the network does its work again, beside the untouched "
        "one: the same sequences, the same prompt, the same random numbers."
    ),
    look_for=(
        "What breaks tells what the part was for: shut the forget gate and long memory goes, spelling stays. "
        "Where nothing changes, the network did not need it."
    ),
    settings=SurgerySettings,
    compute=compute,
)
