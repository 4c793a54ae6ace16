"""The FastAPI application, put together."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from trainer.inspection.inspector import Inspector
from trainer.schema.hosts import Hosts
from trainer.service import VERSION, catalog, corpora, errors, inspection, readings, runs, worker
from trainer.service.auth import Bearer, KnownHosts
from trainer.service.parts import Parts, Waker
from trainer.service.plain_text import PlainText
from trainer.store import Store, StoreAway, StoreError

HEALTH_SECONDS = 2.0
"""After which the database counts as away."""


def create_app(
    store: Store,
    scheduler: Waker,
    token: str,
    inspector: Inspector | None = None,
    hosts: Hosts = Hosts(),  # noqa: B008 - a tuple
) -> FastAPI:
    """The service over a migrated store.

    Args:
        store: the one truth.
        scheduler: woken when a run is queued or to be stopped.
        token: what every request must carry, ``GET /health`` excepted.
        inspector: looks inside runs; None makes one with the usual limits.
        hosts: the names by which the service may be called; those of loopback unless told otherwise.
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
    app.add_middleware(Bearer, token=token)
    app.add_middleware(KnownHosts, hosts=hosts)  # the one added last is asked first
    errors.install(app)

    # A thread of its own: requests that wait for the database may hold all the others.
    asking = ThreadPoolExecutor(1, thread_name_prefix="health")

    @app.get("/health", tags=["health"], response_model=dict[str, str])
    async def health(request: Request) -> Response:
        """Whether service and database answer. Needs no token."""
        # Nothing here may need a thread of the pool: neither a dependency nor a handler of exceptions.
        asked = asyncio.get_running_loop().run_in_executor(asking, store.check)
        try:
            await asyncio.wait_for(asked, HEALTH_SECONDS)
        except TimeoutError:
            away = StoreAway(
                f"the service answers; its database is away: no answer within {HEALTH_SECONDS:.0f} s",
                "see that it runs; runs hold what they have to say meanwhile",
            )
            return errors.of_store(request, away)
        except StoreError as error:
            return errors.of_store(request, error)
        return JSONResponse({"status": "ok", "version": VERSION})

    for part in (catalog, runs, readings, inspection, corpora, worker):
        app.include_router(part.router)
    return app
