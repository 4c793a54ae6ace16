"""Processes that belong to one proof, found by what stands in their environment."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil


def marked(folder: Path) -> list[psutil.Process]:
    """Every living process whose UNFOLD_DATA lies in this folder, whoever its parent is by now."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            data = process.environ().get("UNFOLD_DATA")
            if data and Path(data).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def sweep(folder: Path) -> list[str]:
    """Kill them all; gives their command lines."""
    words = []
    for process in marked(folder):
        with contextlib.suppress(psutil.Error):
            words.append(told(process))
            process.kill()
    return words


def told(process: psutil.Process) -> str:
    """A process in one short line."""
    with contextlib.suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline())[:90]}"
    return str(process.pid)


def kill(pid: int) -> None:
    """SIGKILL; nothing where it has ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def until(ready: Callable[[], object], seconds: float, pause: float = 0.05) -> bool:
    """Whether ``ready`` came true in time."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
