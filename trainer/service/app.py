"""The FastAPI application, put together."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI

from trainer.inspection.inspector import Inspector
from trainer.service import VERSION, catalog, corpora, errors, inspection, readings, runs, worker
from trainer.service.auth import Bearer
from trainer.service.parts import Given, Parts, Waker
from trainer.service.plain_text import PlainText
from trainer.store import Store, StoreAway

HEALTH_SECONDS = 2.0
"""After which the database counts as away."""


def create_app(store: Store, scheduler: Waker, token: str, inspector: Inspector | None = None) -> FastAPI:
    """The service over a migrated store.

    Args:
        store: the one truth.
        scheduler: woken when a run is queued or to be stopped.
        token: what every request must carry, ``GET /health`` excepted.
        inspector: looks inside runs; None makes one with the usual limits.
    """
    app = FastAPI(
        title="Unfold",
        version=VERSION,
        docs_url=None,  # those pages load their scripts from a CDN
        redoc_url=None,
        responses=errors.schema_of_errors(),
    )
    app.state.parts = Parts(store=store, scheduler=scheduler, inspector=inspector or Inspector())
    app.add_middleware(PlainText)
    app.add_middleware(Bearer, token=token)  # added last, so it comes first
    errors.install(app)

    # A thread of its own: requests that wait for the database may hold all the others.
    asking = ThreadPoolExecutor(1, thread_name_prefix="health")

    @app.get("/health", tags=["health"])
    async def health(parts: Given) -> dict[str, str]:
        """Whether service and database answer. Needs no token."""
        asked = asyncio.get_running_loop().run_in_executor(asking, parts.store.check)
        try:
            await asyncio.wait_for(asked, HEALTH_SECONDS)
        except TimeoutError:
            raise StoreAway(
                f"the service answers; its database is away: no answer within {HEALTH_SECONDS:.0f} s",
                "see that it runs; runs hold what they have to say meanwhile",
            ) from None
        return {"status": "ok", "version": VERSION}

    for part in (catalog, runs, readings, inspection, corpora, worker):
        app.include_router(part.router)
    return app
