"""The side of the local engine that runs in a worker's process."""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from trainer.schema import Assignment

Work = Callable[[Assignment], None]


def train(assignment: Assignment) -> None:
    """Do one attempt at a run."""
    # Imported here, so that the service can hand out work without importing torch and Lightning first.
    from trainer.worker import run_attempt

    run_attempt(assignment)


def enter(work: Work, assignment: Assignment, log: Path) -> None:
    """Leave the service's process group, send all output to ``log``, and work."""
    if hasattr(os, "setsid"):
        os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    # What the forkserver has loaded stays: a full collection would visit all of torch's objects, and so copy
    # the memory that they share with it. Measured: one pause of 200 ms in a run's first second.
    gc.freeze()
    faulthandler.enable()  # a crash in native code leaves its stack in the log
    work(assignment)


def report_modules(names: tuple[str, ...], reply: Connection) -> None:
    """Say which of these modules were not loaded before this process began."""
    reply.send([name for name in names if name not in sys.modules])
