"""Which process a pid names, so that a stranger who got the same pid later is not taken for it.

By the boot of the machine and the clock tick at which the process began, which no change of the wall clock
moves. Elsewhere than on Linux, by the time that the system gives for its beginning.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

import psutil

from trainer import descriptors


class Life(StrEnum):
    """What can be said of a process."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"
    """The system did not say, as when no file could be opened to look: no reason to call anyone dead."""


def _boot() -> str | None:
    """The machine's boot, where the system is Linux and shows its processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return boot if Path("/proc/self/stat").exists() else None
    except OSError:
        return None


BOOT = _boot()


def began(pid: int) -> str | None:
    """What tells this process from every other that has or had its pid; None where there is none now.

    Raises:
        OSError: the system does not say.
    """
    found = _look(pid)
    return None if found is None else found[0]


def life(pid: int, since: str | None = None) -> Life:
    """Whether the process lives that began at ``since``; where that is None, whether any has this pid.

    A zombie counts as gone: it computes nothing and can be told nothing.
    """
    if os.name == "posix":
        try:  # takes no file descriptor
            os.kill(pid, 0)
        except ProcessLookupError:
            return Life.GONE
        except OSError:
            pass
    try:
        found = descriptors.patient(lambda: _look(pid))
    except OSError:
        return Life.UNKNOWN
    if found is None or found[1] or (since is not None and found[0] != since):
        return Life.GONE
    return Life.ALIVE


def _look(pid: int) -> tuple[str, bool] | None:
    """When it began, and whether it is a zombie."""
    if BOOT is not None:
        try:
            line = Path(f"/proc/{pid}/stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The second field is the program's name in brackets, which may hold brackets and blanks itself.
        fields = line.rpartition(b")")[2].split()
        return f"{BOOT} {int(fields[19])}", fields[0] in (b"Z", b"X")
    try:
        process = psutil.Process(pid)
        return repr(process.create_time()), process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    except psutil.Error as error:
        raise OSError(str(error)) from error
