"""When a service is to end: by a signal, or with the process that started it, however that one ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

VARIABLE = "UNFOLD_LIFELINE"
"""Number of an inherited socket. Its other end belongs to ``make app``: once that is closed, the service
ends; and once the service has ended, by whatever cause, ``make app`` reads the end of it."""


class Leaves(Protocol):
    """What can be asked to end."""

    def leave(self) -> None:
        """End in good order; again: at once."""


class Starting:
    """A service on its way up, which takes seconds of imports: to leave, it does not finish them."""

    PATIENCE = 5.0
    """Seconds for what already runs to be ended."""

    def __init__(self, shutdown: Callable[[], None], last: Callable[[], None]) -> None:
        """``shutdown`` ends what runs, and may have to wait; ``last`` is done in any case."""
        self._shutdown, self._last = shutdown, last

    def leave(self) -> None:
        threading.Thread(target=self._leave, name="leaving", daemon=True).start()

    def _leave(self) -> None:
        ending = threading.Thread(target=self._shutdown, name="ending", daemon=True)
        ending.start()
        ending.join(self.PATIENCE)
        self._last()
        os._exit(0)


class Departure:
    """Hears from the first moment on that the service is to end, and tells it once it is there."""

    def __init__(self) -> None:
        self._server: Leaves | None = None
        self._asked = False
        self._line: socket.socket | None = None

    def tell(self, server: Leaves) -> bool:
        """Ask this server to leave from now on; whether it should not even begin."""
        self._server = server
        return self._asked

    def ask(self) -> None:
        """The service is to end. Where there is none yet, nothing needs an end in good order."""
        self._asked = True
        if self._server is None:
            os._exit(0)
        self._server.leave()

    def hold(self, environment: Mapping[str, str]) -> None:
        """Take up the lifeline, where there is one."""
        number = environment.get(VARIABLE, "")
        if not number.isdecimal():
            return
        with contextlib.suppress(OSError):  # not a socket, or not even open: it was meant for another process
            self._line = socket.socket(fileno=int(number))
            self._line.set_inheritable(False)  # workers must not keep it open
            self._line.sendall(f"{os.getpid()}\n".encode())
            threading.Thread(target=self._read, name="lifeline", daemon=True).start()

    def _read(self) -> None:
        assert self._line is not None
        with contextlib.suppress(OSError):
            while self._line.recv(64):
                pass
        self.ask()


@contextlib.contextmanager
def departure(environment: Mapping[str, str] = os.environ) -> Iterator[Departure]:
    """Listens to SIGINT, SIGTERM, SIGHUP and the lifeline during the block, in the main thread."""
    asked = Departure()
    before = {
        number: signal.signal(number, lambda *_: asked.ask())
        for name in ("SIGINT", "SIGTERM", "SIGHUP")
        if (number := getattr(signal, name, None)) is not None
    }
    try:
        asked.hold(environment)
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
