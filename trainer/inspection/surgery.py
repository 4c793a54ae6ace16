"""Gate surgery: hold a gate or a unit still, and see what the network does without it."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from models.base import Network
from trainer.inspection.base import Meaningless, Subject, ViewError, ViewSettings, ViewSpec, number
from trainer.schema import SurgerySide, SurgeryView, standing
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
    untouched = _measured(subject, subject.network, settings.seed)
    held = _measured(subject, changed, settings.seed)
    change, change_spread = ratio(held.losses - untouched.losses, held.scored)
    return SurgeryView(
        target=target,
        clamped=f"{target}, {which}, held at {value:g} (possible: {span.words()})",
        choices=list(can),
        sequences=len(held.losses),
        chance=subject.task.chance,
        untouched=_side(subject, subject.network, untouched, settings.seed),
        changed=_side(subject, changed, held, settings.seed),
        loss_change=number(change),
        loss_change_spread=number(change_spread),
    )


def require(subject: Subject) -> None:
    """Raises Meaningless for a network of which nothing can be held."""
    if not subject.network.clampable():
        raise Meaningless(
            f"This network, {subject.title}, has no gates or units that can be held by changing its weights."
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


class Measured(NamedTuple):
    """What a network does on each of the sequences, (B,) float64."""

    losses: Tensor
    """Summed over a sequence's scored outputs."""
    scored: Tensor
    """How many those are."""
    wrong: Tensor
    judged: Tensor


def _measured(subject: Subject, network: Network[Any], seed: int) -> Measured:
    task, probe = subject.task, subject.drawn(JUDGED, seed)
    with torch.no_grad():
        outputs, _ = network(probe.inputs, None, probe.first)
    rows = [probe.rows(i, i + 1) for i in range(len(probe.inputs))]
    scores = [task.score(outputs[i : i + 1], row) for i, row in enumerate(rows)]
    columns = (
        task.scored_losses(outputs, probe).flatten(1).sum(1).tolist(),
        [row.scored_count() for row in rows],
        [score.wrong for score in scores],
        [score.total for score in scores],
    )
    return Measured(*(torch.tensor(column, dtype=torch.float64) for column in columns))


def ratio(of: Tensor, to: Tensor) -> tuple[float, float]:
    """(B,) by (B,): their sums' ratio and its standard error, for sequences drawn one by one.

    The error is that of a ratio estimator: sequences may differ in how many of their outputs are scored.
    NaN for a single sequence.
    """
    mean, count = of.sum() / to.sum(), len(of)
    spread = ((of - mean * to) ** 2).sum() * count / (count - 1) if count > 1 else torch.tensor(torch.nan)
    return float(mean), float(spread.sqrt() / to.sum())


def _side(subject: Subject, network: Network[Any], found: Measured, seed: int) -> SurgerySide:
    task = subject.task
    loss, loss_spread = ratio(found.losses, found.scored)
    error, error_spread = ratio(found.wrong, found.judged)
    return SurgerySide(
        loss=number(loss),
        loss_spread=number(loss_spread),
        error=error,
        error_spread=number(error_spread),
        wrong=int(found.wrong.sum()),
        total=int(found.judged.sum()),
        standing=standing(number(loss), task.chance.loss, number(loss_spread)),
        samples=list(task.samples(network, subject.drawn(JUDGED, seed), generator(seed, "surgery"))),
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
    require=require,
)
