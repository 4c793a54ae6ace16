"""How much memory this machine has for a run, and how the lack of it shows."""

from __future__ import annotations

import contextlib
import ctypes
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

LACK = "for want of memory"
ADVICE = "lower the batch size, the length, the hidden size or the layers, or train fewer runs at once"

_LACKING = re.compile(
    r"out of memory|outofmemory|not enough memory|allocate memory|memoryerror"
    r"|bad_alloc|bad allocation"  # C++: the one of GCC and Clang, the one of Microsoft
    r"|could not (create|execute) a primitive|could not create a memory object",  # oneDNN says no more
    re.IGNORECASE,
)

RESERVE_SHARE, RESERVE_MOST = 0.25, 2 * 2**30
"""Left to the service and the system: a share of what there is, at most so many bytes."""


def is_lack(what: BaseException | str) -> bool:
    """Whether an error, or what a process said last, means that memory ran out."""
    if isinstance(what, str):
        return bool(_LACKING.search(what))
    cause = what.__cause__  # told in words of ours, say as a damaged checkpoint
    return is_lack(f"{type(what).__name__}: {what}") or (cause is not None and is_lack(cause))


def limit() -> int:
    """Bytes that one run may need: what the machine or its container has, less a reserve."""
    whole = total()
    return whole - int(min(RESERVE_SHARE * whole, RESERVE_MOST))


def total() -> int:
    """Bytes of memory that the machine has, or less where a control group grants this process less."""
    return min(
        [int(psutil.virtual_memory().total), *_granted(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))]
    )


def _granted(root: Path, membership: Path) -> Iterator[int]:
    """The limits of the control groups that this process is in, and of those around them."""
    for group, name in _groups(root, membership):
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            yield int((group / name).read_text())


def _groups(root: Path, membership: Path) -> Iterator[tuple[Path, str]]:
    """Folders of control groups, each with the name of the file that holds its limit."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not colon:
            continue
        if not controllers:
            base, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = base / path.lstrip("/")
        yield group, name
        # In a container the path is the host's, and what can be seen begins at the container's own group.
        yield from ((parent, name) for parent in group.parents if parent.is_relative_to(base))


def give_back() -> None:
    """Hand the system what this process has freed; glibc keeps it, in each thread's arena, for later."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


class Shortage:
    """Whether the system has lately ended processes for want of memory.

    It counts how many it ended, and does not say which. Whoever finds a process killed compares with the
    count of some seconds ago.
    """

    SECONDS = 10.0

    def __init__(self) -> None:
        self._older = self._newer = kills()
        self._at = time.monotonic()

    def look(self) -> None:
        """Note the count; to be called now and then."""
        if time.monotonic() - self._at >= self.SECONDS:
            self._older, self._newer, self._at = self._newer, kills(), time.monotonic()

    @property
    def is_recent(self) -> bool:
        """Whether it ended one within the last ten to twenty seconds, or since the last two looks."""
        return kills() > self._older


def kills() -> int:
    """Processes that the system has ended for want of memory since it started; 0 where it does not say."""
    count = 0
    paths = [Path("/proc/vmstat")]
    paths += [
        group / "memory.events"
        for group, name in _groups(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
        if name == "memory.max"
    ]
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            for line in path.read_text().splitlines():
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    count += int(number)
    return count
