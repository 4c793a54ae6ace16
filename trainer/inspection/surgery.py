"""Gate surgery: hold a gate or a unit still, and see what the network does without it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from pydantic import Field

from models.base import Network, named_tensors
from trainer.inspection.base import Meaningless, Subject, ViewError, ViewSettings, ViewSpec, number
from trainer.schema import SurgerySide, SurgeryView
from trainer.seeds import generator

JUDGED = 64
"""Sequences on which loss and error are measured."""
NAMED = 6
"""Units that are named one by one in words."""


class SurgerySettings(ViewSettings):
    """Settings of this view."""

    target: str | None = Field(default=None, title="Hold", pattern=r"^\w{1,8}/\d{1,2}$")
    """Which gate, or h: its letter, a slash and its layer, from 0, such as f/0; empty takes the first."""
    units: str | None = Field(default=None, max_length=2000, pattern=r"^[\d\s,-]*$")
    """Which units, from 0, such as 0, 3, 8-11; empty is all of them."""
    value: float = 0.0
    """Where they are held: a gate from 0, shut, to 1, open."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Where random numbers start: both networks get the same."""


def compute(subject: Subject, settings: SurgerySettings) -> SurgeryView:
    """The same sequences and prompts for the network and for a copy with clamped weights."""
    can = subject.network.clampable()
    if not can:
        raise Meaningless(
            f"This network ({subject.title}) has no gates or recurrent units that can be held by changing "
            "its weights."
        )
    target = settings.target or next(iter(can))
    if target not in can:
        raise ViewError(
            "target", target, "cannot be held in this network", f"choose one of: {', '.join(can)}"
        )
    layer = target.split("/")[1]
    states = named_tensors(subject.network.initial_state(1))
    size = next(tensor.shape[1] for name, tensor in states if name.split("/")[1] == layer)
    units = _units(settings.units or "", size)
    low, high = can[target]
    if not low <= settings.value <= high:
        raise ViewError("value", settings.value, f"{target} does not go there", f"choose {low:g} to {high:g}")
    changed = copy.deepcopy(subject.network)
    changed.clamp(target, units, settings.value)
    few = ", ".join(map(str, units[:NAMED])) + (", …" if len(units) > NAMED else "")
    which = f"all {size} units" if len(units) == size else f"unit{'s' * (len(units) > 1)} {few}"
    return SurgeryView(
        clamped=f"{target}, {which}, held at {settings.value:g}",
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
        begin, end = int(first[:9]), int((last or first)[:9])
        if not begin <= end < size:
            raise ViewError("units", part, "there are no such units", f"choose from 0 to {size - 1}")
        found |= dict.fromkeys(range(begin, end + 1))
    return list(found) or list(range(size))


def _side(subject: Subject, network: Network[Any], seed: int) -> SurgerySide:
    task = subject.task
    probe = subject.drawn(JUDGED, seed)
    with torch.no_grad():
        outputs, _ = network(probe.inputs, None, probe.first)
    losses = task.elementwise_loss(outputs, probe.targets)
    score = task.score(outputs, probe)
    return SurgerySide(
        loss=number(float((losses if probe.mask is None else losses[probe.mask]).mean())),
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
