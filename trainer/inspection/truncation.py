"""The truncation truth meter: how far a truncated gradient points away from the true one."""

from __future__ import annotations

import copy
import math
from typing import Any

from pydantic import Field
from torch import Tensor

from models.base import Network, map_state
from models.bptt import truncation
from models.bptt.lags import by_lag
from trainer.inspection.base import Probe, ProbeSettings, Subject, ViewSpec, number, quick_length
from trainer.schema import Match, Matches, TruncationView
from trainer.tbptt import windows


class TruncationSettings(ProbeSettings):
    """Settings of the truncation truth meter."""

    k1: int | None = Field(default=None, title="Backward every, k1", ge=1)
    """Timesteps between two backward passes in the sweep of k2; empty is the run's own k1. Backward after
    every timestep, k1 = 1, is always shown."""


def compute(subject: Subject, settings: TruncationSettings) -> TruncationView:
    """The gradient taken apart by lag, which is k1 = 1 at every k2, and the sweep at another k1."""
    subject.require_state("its gradient does not travel through time, so there is nothing to truncate.")
    probe = subject.probe(settings.sequences, settings.length or quick_length(60, 2e5, subject.parameters))
    length = probe.batch.length
    training = subject.config.training
    k1 = settings.k1 or training.k1
    k1 = None if k1 is None or k1 == 1 else min(k1, length)
    lags = by_lag(subject.network, probe.batch.inputs, probe.state, probe.losses)
    network = copy.deepcopy(subject.network).double()
    swept = [] if k1 is None else _doublings(k1, length)
    measured = _at(network, probe, [(k1, k2) for k2 in swept])
    own = _at(network, probe, [(training.k1, training.k2)]) if training.k1 is not None else []
    roles = [*lags[0].norm, truncation.ALL]
    return TruncationView(
        begin=probe.begin,
        length=length,
        lags=list(range(len(lags))),
        lag_norms={role: [number(lag.norm[role]) for lag in lags] for role in lags[0].norm},
        each_step={role: _matches([lag.so_far[role] for lag in lags]) for role in roles},
        k1=k1,
        k2=swept,
        sweep={role: _matches([match[role] for match in measured]) for role in roles} if swept else {},
        own_k1=training.k1,
        own_k2=training.k2,
        own={
            role: Match(cosine=number(match.cosine), norm_ratio=number(match.norm_ratio))
            for at in own
            for role, match in at.items()
        },
    )


def _doublings(k1: int, length: int) -> list[int]:
    """k1, 2 k1, 4 k1, …, and the whole length."""
    return [k1 * 2**n for n in range(max(0, math.ceil(math.log2(length / k1))))] + [length]


def _at(
    network: Network[Any], probe: Probe, truncations: list[tuple[int | None, int | None]]
) -> list[dict[str, truncation.Match]]:
    x = probe.batch.inputs.double()
    cuts = [windows(probe.batch.length, k1, k2) for k1, k2 in truncations]
    state = None if probe.state is None else map_state(Tensor.double, probe.state)
    return truncation.truncation_meter(network, x, state, probe.loss, cuts) if cuts else []


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
)
