"""Work that takes memory waits for its turn: a few at once, however many ask at once.

Routes run in forty threads. Sixty estimates on a large text at once would hold forty copies of all that is
made of it, and nobody's runs would be listed meanwhile: such work has turns of its own, beside those threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request

from trainer.service.errors import Refused

Answer = TypeVar("Answer")


class Turns:
    """Turns for one kind of work."""

    def __init__(self, at_once: int, waiting: int, what: str) -> None:
        """At most ``at_once`` are had at a time, and ``waiting`` more wait; ``what`` names the work."""
        self._most, self._what = at_once + waiting, what
        self._free = asyncio.Semaphore(at_once)
        self._asked = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and have it for the block.

        Raises:
            Refused: too many wait already.
        """
        if self._asked >= self._most:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._asked} {self._what} are under way or wait already.",
                "Try again in a moment.",
            )
        self._asked += 1
        try:
            async with self._free:
                yield
        finally:
            self._asked -= 1

    async def run(self, request: Request, work: Callable[[], Answer]) -> Answer:
        """Do the work in a thread, at its turn; not for somebody who has gone."""
        async with self.turn():
            if await request.is_disconnected():
                raise Refused(HTTPStatus.REQUEST_TIMEOUT, "Nobody waits for this answer.", "Ask again.")
            # Of its own, so that these threads are not taken from those that answer everyone else.
            return await to_thread.run_sync(work, limiter=CapacityLimiter(1))
