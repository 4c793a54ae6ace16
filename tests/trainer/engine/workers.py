"""What stands in for training in the tests of the engine: picklable top-level functions.

Where a function writes is told by the assignment's ``task["folder"]``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from trainer.schema import Assignment


def folder(assignment: Assignment) -> Path:
    return Path(assignment.config.task["folder"])


def tell(assignment: Assignment, **what: Any) -> None:
    """Write a file at once as a whole, so that a test that finds it can read it."""
    part = folder(assignment) / f"{assignment.run_id}.part"
    part.write_text(json.dumps({"pid": os.getpid(), **what}))
    part.rename(folder(assignment) / f"{assignment.run_id}.json")


def look_around(assignment: Assignment) -> None:
    threads = Path(f"/proc/{os.getppid()}/task")
    tell(
        assignment,
        at=time.time(),
        torch="torch" in sys.modules,
        worker="trainer.worker" in sys.modules,
        typer="typer" in sys.modules,
        group=os.getpgrp(),
        session=os.getsid(0),
        threads_of_parent=len(list(threads.iterdir())) if threads.exists() else None,
        environment=os.environ.get("OMP_NUM_THREADS"),
    )


def succeed(assignment: Assignment) -> None:
    tell(assignment)


def leave_with_3(_: Assignment) -> None:
    sys.exit(3)


def fail(_: Assignment) -> None:
    print("so far so good", flush=True)  # noqa: T201
    raise ValueError("no such thing")


def sleep(assignment: Assignment) -> None:
    tell(assignment)
    time.sleep(120)


def end_on_sigterm(assignment: Assignment) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    tell(assignment)
    time.sleep(120)


def ignore_sigterm_with_a_child(assignment: Assignment) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    tell(assignment, child=child.pid)
    time.sleep(120)


def leave_a_child(assignment: Assignment) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    tell(assignment, child=child.pid)
    time.sleep(120)
