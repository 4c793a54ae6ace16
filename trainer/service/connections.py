"""Open connections: how many there may be, and how long one may keep its place without a request.

No token is needed to open a connection. So those without a request make room for others, and those that
never send one, or never read what they are sent, are closed.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from trainer import descriptors
from trainer.schema import ErrorBody

HEADER_SECONDS = 10.0
"""For a request's head to arrive, once a connection is open or its first byte is there."""
STALL_SECONDS = 60.0
"""That a client may leave an answer unread."""
BATCH = 16
"""Connections that are accepted at once, before the limit is looked at again."""
SHARE, MOST = 0.25, 1000
"""The part of all file descriptors that connections may take; how many they may be at most. The others are
for the database, which needs three for each reader, and for runs."""


def most() -> int:
    """How many connections there may be under the limit on file descriptors."""
    return max(BATCH, min(MOST, int(SHARE * descriptors.limit())))


def guarded(most: int, header_seconds: float = HEADER_SECONDS, stall_seconds: float = STALL_SECONDS) -> type:
    """The class of connections, for uvicorn's ``http``.

    Args:
        most: open connections at the same time. One more takes the place of the one that has been without a
            request for longest; where all have one, it is answered with 503.
        header_seconds: see ``HEADER_SECONDS``.
        stall_seconds: see ``STALL_SECONDS``.
    """

    class Connection(H11Protocol):
        """An HTTP connection that is closed when it only takes up room."""

        served = 0
        """Requests so far."""
        since = 0.0
        """When it was opened, or its last answer sent."""
        _head: asyncio.TimerHandle | None = None
        _stall: asyncio.TimerHandle | None = None

        @property
        def is_busy(self) -> bool:
            """Whether a request is being answered."""
            return self.cycle is not None and not self.cycle.response_complete

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.since = self.loop.time()
            self._await_head()
            if len(self.connections) > most:
                self._make_room()

        def _make_room(self) -> None:
            there: list[Any] = [other for other in self.connections if not other.transport.is_closing()]
            if len(there) <= most:
                return
            idle = [other for other in there if other is not self and not other.is_busy]
            if idle:
                # First those that never had a request: whoever had one knows a token, most likely.
                min(idle, key=lambda other: (other.served > 0, other.since)).transport.abort()
            else:
                self.transport.write(_FULL)
                self.transport.close()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.is_busy:
                self._unset_head()
            else:
                self._await_head()

        def on_response_complete(self) -> None:
            self.served += 1
            self.since = self.loop.time()
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unset_head()
            self.resume_writing()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stall = self._stall or self.loop.call_later(stall_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._stall is not None:
                self._stall.cancel()
                self._stall = None

        def _await_head(self) -> None:
            """Close it unless a request arrives in time; more bytes of its head give it no more time."""
            if self._head is None:
                self._head = self.loop.call_later(header_seconds, self.transport.abort)

        def _unset_head(self) -> None:
            if self._head is not None:
                self._head.cancel()
                self._head = None

    return Connection


def _full() -> bytes:
    body = ErrorBody(
        message="The service has as many connections as it can serve.", remedy="Try again in some seconds."
    )
    content = body.model_dump_json().encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
        f"connection: close\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


_FULL = _full()
