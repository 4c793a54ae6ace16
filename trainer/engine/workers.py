"""One worker's process: whether it lives, and signals to it."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

from trainer.engine import identity
from trainer.engine.identity import Life


@dataclass
class Worker:
    """A process, from the moment when it is asked for."""

    url: str
    """Where it reports to."""
    pid: int | None = None
    """None while it is being started."""
    began: str | None = None
    """With the pid, this names a process for good, see ``identity``."""
    process: BaseProcess | None = None
    """None for one that an earlier service started, or whose forkserver died."""
    recorded: bool = False
    """Whether the next service will find it."""
    kill_at: float | None = None
    """On the monotonic clock, once it was asked to stop."""
    forced: bool = False
    """Whether it was killed."""
    gone_since: float | None = None
    """When it was found gone by its pid, though its exit pipe does not say so yet."""

    @property
    def life(self) -> Life:
        """Whether it is there."""
        return Life.ALIVE if self.pid is None else identity.life(self.pid, self.began)

    def signal(self, number: int) -> None:
        """Send a signal to it alone."""
        if self.pid is not None and (self.process is not None or self.life is Life.ALIVE):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)

    def kill(self) -> bool:
        """Kill it and everything in its process group; False where its pid may be a stranger's by now.

        No pid is given out again while a process group has its number: if a stranger has it, nothing is left
        of the group.
        """
        if self.pid is None or (self.process is None and self.life is Life.UNKNOWN):
            return False
        if self.life is Life.GONE and identity.life(self.pid) is Life.ALIVE:
            return True
        if not hasattr(os, "killpg"):
            self.signal(signal.SIGTERM)  # on Windows this is TerminateProcess
            return True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
            return True
        if self.life is Life.ALIVE:  # so young that it has no group of its own yet
            self.signal(signal.SIGKILL)
        return True
