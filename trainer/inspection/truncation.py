"""The truncation truth meter: how far a truncated gradient points away from the true one."""

from __future__ import annotations

import bisect
import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from models.bptt import truncation
from models.bptt.lags import by_lag
from trainer.inspection.base import Probe, ProbeSettings, Subject, ViewSpec, needs_state, number
from trainer.schema import Match, Matches, TruncationView
from trainer.tasks.base import Batch
from trainer.tbptt import Window, windows

MOST_WORK = 3.5e9
"""Weights × timesteps that each part of the view may meet: at most about a second on one thread."""
OTHER_WORK = 40_000
"""What else a timestep of a sequence costs, in weights: even a small network has gates to open."""
MOST_LAGS = 500
"""Lags that are told apart unless more are asked for; each takes about a millisecond, however small it is."""


class TruncationSettings(ProbeSettings):
    """Settings of the truncation truth meter."""

    length: int | None = Field(default=None, title="Lags taken apart over (timesteps)", ge=2, le=1000)
    """How many timesteps to take apart lag by lag, the last ones of each sequence; empty is automatic: as
    many as take about a second. The run's own k1 and k2, and the sweep, are measured on whole sequences."""
    k1: int | None = Field(default=None, title="Backward every, k1", ge=1)
    """Timesteps between two backward passes in the sweep of k2; empty is the run's own k1. Backward after
    every timestep, k1 = 1, is always shown."""


def compute(subject: Subject, settings: TruncationSettings) -> TruncationView:
    """The run's own windows and the sweep of k2 on whole sequences; and the last timesteps, by lag."""
    batch, training = subject.learnt(settings.sequences), subject.config.training
    length, most = batch.length, int(MOST_WORK / (subject.parameters + OTHER_WORK))  # timesteps
    sequences = max(1, min(settings.sequences, most // (2 * length)))  # a window may read as much twice
    affordable = most // sequences  # timesteps that all sequences read at once
    batch = batch.rows(0, sequences)
    heard = _heard(batch)

    own_cut = windows(length, training.k1, training.k2) if training.k1 is not None else []
    losses_from = _affordable_losses(own_cut, heard, affordable)
    heard = [heard[t] and t >= losses_from for t in range(length)]
    whole = Probe(subject.task, batch, subject.network)

    lags_of = settings.length or _affordable_lags(_heard_back(batch), affordable)
    stretch = Probe(subject.task, batch, subject.network, lags_of)
    lags = by_lag(subject.network, stretch.batch.inputs, stretch.state, stretch.losses)

    k1 = settings.k1 or training.k1
    k1 = None if k1 is None else min(k1, length)
    if k1 == 1 and not stretch.stretch.is_cut and losses_from == 0:
        k1 = None  # the lags say it at every k2
    swept = [] if k1 is None else _affordable_reaches(length, k1, heard, affordable // 2)
    cuts = [*([own_cut] if own_cut else []), *(windows(length, k1, k2) for k2 in swept)]
    measured = _at(subject, whole, losses_from, cuts)
    own, sweep = (measured[0], measured[1:]) if own_cut else ({}, measured)
    roles = [*lags[0].norm, truncation.ALL]
    return TruncationView(
        sequences=int((batch.lengths() > losses_from).sum()),
        length=length,
        shortest=int(batch.lengths().min()),
        losses_from=losses_from,
        own_k1=training.k1,
        own_k2=training.k2,
        own={
            role: Match(cosine=number(match.cosine), norm_ratio=number(match.norm_ratio))
            for role, match in own.items()
        },
        k1=k1,
        k2=swept,
        sweep={role: _matches([match[role] for match in sweep]) for role in roles} if swept else {},
        begin=stretch.begin,
        stretch=stretch.stretch,
        lags=list(range(len(lags))),
        lag_norms={role: [number(lag.norm[role]) for lag in lags] for role in lags[0].norm},
        each_step={role: _matches([lag.so_far[role] for lag in lags]) for role in roles},
    )


def _heard(batch: Batch) -> list[bool]:
    """(T,) whether any sequence is scored at a timestep."""
    scored = [True] * (batch.length - batch.first) if batch.mask is None else batch.mask.any(0).tolist()
    return [False] * batch.first + scored


def _heard_back(batch: Batch) -> list[bool]:
    """(T,) whether any sequence is scored so many timesteps before its own last one."""
    back = batch.lengths()[:, None] - 1 - torch.arange(batch.length)  # (B, T)
    asked = back - batch.first
    scored = (asked >= 0) if batch.mask is None else (asked >= 0) & batch.mask.gather(1, asked.clamp(min=0))
    return scored.any(0).tolist()


def _work(cut: Sequence[Window], heard: Sequence[bool]) -> int:
    """Timesteps that a measurement of these windows reads."""
    return sum(end - start for start, _, end in truncation.joined(cut, heard))


def _affordable_losses(cut: Sequence[Window], heard: Sequence[bool], most: int) -> int:
    """The first timestep whose loss can be measured with all later ones: 0 unless windows overlap a lot."""
    if not any(heard):
        return 0
    last = max(place for place, (_, begin, end) in enumerate(cut) if any(heard[begin:end])) if cut else 0
    place = bisect.bisect_left(range(last), -most, key=lambda first: -_work(cut[first:], heard))
    return cut[place].begin if cut else 0


def _affordable_reaches(length: int, k1: int, heard: Sequence[bool], most: int) -> list[int]:
    """k1, 2 k1, 4 k1, … and the whole length; of those that overlap most, fewer."""
    reaches = [k1 * 2**n for n in range(max(0, math.ceil(math.log2(length / k1))))] + [length]
    work = {k2: _work(windows(length, k1, k2), heard) for k2 in reaches}
    chosen = []
    for k2 in sorted(reaches, key=lambda k2: work[k2]):
        most -= work[k2]
        if most >= 0 or k2 == length:
            chosen.append(k2)
    return sorted(chosen)


def _affordable_lags(heard: Sequence[bool], most: int) -> int:
    """How many of the last timesteps can be taken apart: every loss meets every step before it there.

    Args:
        heard: whether there is a loss, from the last timestep backwards.
        most: pairs of a loss and a step.
    """
    losses = pairs = 0
    for length, is_heard in enumerate(heard):
        losses += is_heard
        pairs += losses
        if pairs > most or length == MOST_LAGS:
            return max(2, length)
    return len(heard)


def _at(
    subject: Subject, whole: Probe, losses_from: int, cuts: Sequence[Sequence[Window]]
) -> list[dict[str, truncation.Match]]:
    """Each cut's gradient beside the full one, of the losses from a timestep on."""
    if not cuts:
        return []

    def loss(outputs: Tensor) -> Any:
        return whole.losses(outputs)[losses_from:].sum()

    network = copy.deepcopy(subject.network).double()
    return truncation.truncation_meter(network, whole.batch.inputs.double(), None, loss, cuts)


def _matches(found: list[truncation.Match]) -> Matches:
    return Matches(
        cosine=[number(match.cosine) for match in found],
        norm_ratio=[number(match.norm_ratio) for match in found],
    )


SPEC = ViewSpec(
    title="Truncation",
    summary=(
        "The gradient that truncated backpropagation would follow, beside the full one, for every reach k2: "
        "the cosine between the two, and how long the one is beside the other."
    ),
    look_for=(
        "A cosine near 1 at your k2 means that truncation loses nothing here. One far below 1 means that "
        "training walks in another direction: set k2 to where the curve has risen."
    ),
    settings=TruncationSettings,
    compute=compute,
    require=needs_state("its gradient does not travel through time, so there is nothing to truncate."),
)
