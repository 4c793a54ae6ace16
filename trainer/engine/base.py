"""What runs the attempts: the contract that every engine meets."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from trainer import memory
from trainer.schema import Assignment

CRASHES = frozenset(
    getattr(signal, name)
    for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL")
    if hasattr(signal, name)
)
"""Signals that a process brings upon itself; any other one came from outside."""


class EngineError(Exception):
    """An attempt could not be started; the text says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NotBegun:
    """Why an attempt has no process, and never had one."""

    reason: str
    lasting: bool = False
    """Whether trying again cannot help."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """The process of an attempt has ended."""

    run_id: UUID
    attempt: int
    exit_code: int | None
    """0 to 255, or minus the signal that killed it; None where the engine cannot know."""
    forced: bool = False
    """Whether the engine killed it, because it did not end within its grace after a stop."""
    output: str = ""
    """The last lines that it printed."""
    not_begun: NotBegun | None = None
    """Said of an attempt whose process could not be started."""
    short_of_memory: bool = False
    """Whether the system ended processes for want of memory at about the time when it was killed."""

    @property
    def crashed(self) -> bool:
        """Whether it ended by its own fault: an exception, an exit code, or a signal such as SIGSEGV."""
        return self.exit_code is not None and (self.exit_code > 0 or -self.exit_code in CRASHES)

    @property
    def words(self) -> str:
        """How it ended, for a reader."""
        words = self._end
        if self.short_of_memory or (self.crashed and memory.is_lack(self.output)):
            words += f", most likely {memory.LACK}"
        return words

    @property
    def _end(self) -> str:
        if self.exit_code is None:
            return "its process is gone"
        if self.exit_code == 0:
            return "its process ended without a last word"
        if self.exit_code > 0:
            return f"its process ended with exit code {self.exit_code}"
        number = -self.exit_code
        try:
            name = f" ({signal.Signals(number).name})"
        except ValueError:
            name = ""
        return f"its process was killed by signal {number}{name}"


class Engine(Protocol):
    """Runs attempts somewhere. Methods are called from one thread; none of them waits for anything."""

    @property
    def capacity(self) -> int:
        """Attempts that may run at once."""

    @property
    def active(self) -> int:
        """Attempts that take up room: not those that were killed and do not go all the same."""

    def attempts(self) -> list[tuple[UUID, int]]:
        """Every attempt whose end ``poll`` has yet to tell."""

    def start(self, notify: Callable[[], None]) -> None:
        """Get ready. ``notify`` is called, from any thread, whenever ``poll`` has something new."""

    def submit(self, assignment: Assignment) -> None:
        """Start an attempt as soon as can be. Where it cannot be, ``poll`` says so.

        Raises:
            EngineError: it is known at once that it cannot be started now.
        """

    def adopt(self, run_id: UUID, attempt: int, url: str) -> bool:
        """Whether this attempt runs under this engine, taking it over from an earlier service if need be.

        Also true for an attempt whose end ``poll`` has yet to tell. False when its process is gone, or when
        it reports to another address than ``url``, in which case it is killed.

        Raises:
            OSError: it cannot be known now.
        """

    def stop(self, run_id: UUID, attempt: int, grace: float) -> None:
        """Ask an attempt to end; kill it with all its processes after ``grace`` seconds.

        Asking again changes nothing, except that a shorter grace counts.
        """

    def poll(self) -> list[Ended]:
        """The attempts that ended since the last call."""

    def close(self) -> None:
        """Kill what still runs and let go of everything."""
