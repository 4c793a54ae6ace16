"""File descriptors: as many as the system grants, and some kept back for those who must not fail.

A worker's end is seen, and a run is started, by opening files. Whoever fills the process with connections
must not be able to prevent that: connections are limited to a part (see ``service.connections``), and if all
the same nothing can be opened, the spare ones are let go for a moment.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable
from typing import TypeVar

MOST = 65_536
"""Asked for at most: some systems grant more than any program could look after."""
SPARE = 16
"""Kept open for nothing, to be let go when no other can be had."""

Result = TypeVar("Result")

_spare: list[int] = []
_wanted = 0
"""How many spare ones there should be: none before ``provide``."""
_lock = threading.Lock()


def limit() -> int:
    """How many this process may have open."""
    try:
        import resource
    except ImportError:  # Windows
        return 8192
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def provide() -> None:
    """Raise the limit to what the system grants, and put the spare ones aside."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    global _wanted
    _wanted = SPARE
    _fill()


def patient(action: Callable[[], Result]) -> Result:
    """Do it; where it lacks file descriptors, once more with the spare ones let go."""
    try:
        return action()
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        with _lock:
            while _spare:
                os.close(_spare.pop())
        return action()
    finally:
        _fill()


def _fill() -> None:
    """Put aside what is missing, as far as others have left any."""
    with _lock, contextlib.suppress(OSError):
        while len(_spare) < _wanted:
            _spare.append(os.open(os.devnull, os.O_RDONLY))
