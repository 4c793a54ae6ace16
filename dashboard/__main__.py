"""``python -m dashboard``: the dashboard and its training service, which end together. `make app` runs this.

``streamlit run dashboard/app.py`` leaves the service that it starts running; this takes it along, in whatever
way it is ended itself, and from the first moment on. Further arguments are Streamlit's.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

APP = Path(__file__).with_name("app.py")
DASHBOARD_SECONDS = 10.0
"""Time that Streamlit is given to end."""
SERVICE_SECONDS = 90.0
"""Time that the service is given: its runs write a checkpoint each."""
LOOK = 0.1
"""Seconds between two looks at what was asked and what has ended."""


def main(arguments: list[str]) -> int:
    """Run until a signal comes or Streamlit ends; then leave nothing behind."""
    asked: list[int] = []
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, _: asked.append(number))
    ours, theirs = socket.socketpair()
    dashboard = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(APP), "--server.headless", "true", *arguments],
        env={**os.environ, "UNFOLD_LIFELINE": str(theirs.fileno())},
        pass_fds=(theirs.fileno(),),
        start_new_session=True,  # Ctrl-C reaches us alone, who end one after the other
    )
    theirs.close()
    while dashboard.poll() is None and not asked:
        time.sleep(LOOK)
    _end(dashboard)
    _end_service(ours, asked)
    return 0 if asked else dashboard.returncode


def _end(dashboard: subprocess.Popen[bytes]) -> None:
    dashboard.terminate()
    try:
        dashboard.wait(DASHBOARD_SECONDS)
    except subprocess.TimeoutExpired:
        dashboard.kill()
        dashboard.wait()


def _end_service(line: socket.socket, asked: list[int]) -> None:
    """End the service that the dashboard started, if it did; one that ran before is no business of ours."""
    pid = _heard(line)
    if pid is None:
        return
    _say("Stopping the training service. Runs keep their checkpoints: Resume goes on from there.")
    line.shutdown(socket.SHUT_WR)  # which the service reads as the end of it
    end, told = time.monotonic() + SERVICE_SECONDS, len(asked)
    while (now := _heard(line, LOOK)) is not None:
        pid = now or pid
        if pid and (len(asked) > told or time.monotonic() > end):
            told, end = len(asked), time.monotonic() + SERVICE_SECONDS
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)  # the second word: it ends at once


def _heard(line: socket.socket, patience: float = 0.0) -> int | None:
    """The service's process id, 0 where it has said nothing new, None where there is no service now."""
    if not select.select([line], [], [], patience)[0]:
        return 0
    words = line.recv(64)
    return int(words) if words.strip().isdigit() else None


def _say(words: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be closed
        print(words, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
