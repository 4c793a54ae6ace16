"""Ends the dashboard with the `make app` that started it, even where that one was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Mapping


def follow(environment: Mapping[str, str]) -> None:
    """Send this process SIGTERM once the other end of ``UNFOLD_LIFELINE`` is closed, if there is one."""
    number = environment.get("UNFOLD_LIFELINE", "")
    if not number.isdecimal():
        return
    with contextlib.suppress(OSError):
        line = socket.socket(fileno=os.dup(int(number)))
        threading.Thread(target=_wait, args=(line,), name="lifeline", daemon=True).start()


def _wait(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.recv(1, socket.MSG_PEEK)  # nothing is ever sent this way: it returns at the end
    os.kill(os.getpid(), signal.SIGTERM)
