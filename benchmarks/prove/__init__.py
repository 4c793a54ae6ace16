"""Every promise by name. Those that take longest stand first: what is left for the end is short."""

from __future__ import annotations

from benchmarks.prove import (
    attempts,
    checkpoints,
    clients,
    disk,
    fuzz,
    hosts,
    kills,
    names,
    outages,
    owners,
    space,
    start,
    tables,
    together,
    tokens,
)
from benchmarks.prove.promise import Promise

_TOPICS = (
    start,
    tables,
    kills,
    names,
    owners,
    fuzz,
    attempts,
    together,
    checkpoints,
    disk,
    outages,
    clients,
    space,
    hosts,
    tokens,
)

PROMISES: dict[str, Promise] = {promise.name: promise for topic in _TOPICS for promise in topic.PROMISES}
