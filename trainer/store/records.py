"""What the store hands to the scheduler and the service, and times as it writes them."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime
from uuid import UUID

from trainer.schema import RunConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """A run just set to running: all that an engine needs to start its worker."""

    run_id: UUID
    number: int
    """1, 2, 3, … within the run."""
    token: str
    """Told here once; the store keeps its hash."""
    config: RunConfig
    resume: bool
    """Whether a checkpoint is there to start from."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunningAttempt:
    """An attempt that the store believes to be running."""

    run_id: UUID
    number: int
    pid: int | None
    """Of the worker, as its last report gave it; None before the first."""
    last_report_at: datetime | None
    stop_requested_at: datetime | None

    @property
    def has_reported(self) -> bool:
        """Whether its process was ever heard of."""
        return self.last_report_at is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A stored checkpoint whose bytes match their hash."""

    step: int
    sha256: str
    data: bytes


def now() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def to_datetime(microseconds: int) -> datetime:
    """Microseconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def to_datetime_or_none(microseconds: int | None) -> datetime | None:
    """The same, where there may be none."""
    return None if microseconds is None else to_datetime(microseconds)


def to_microseconds(at: datetime) -> int:
    """A time as microseconds since 1970 UTC."""
    return round(at.timestamp() * 1e6)


def scrub(text: str) -> str:
    """The text without what a database cannot hold: NUL (PostgreSQL) and lone surrogates (UTF-8)."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
