"""The FastAPI application, put together."""

from __future__ import annotations

from fastapi import FastAPI

from trainer.inspection.inspector import Inspector
from trainer.schema.hosts import Hosts
from trainer.service import VERSION, catalog, corpora, errors, inspection, readings, runs, worker
from trainer.service.auth import Bearer, KnownHosts
from trainer.service.parts import Given, Parts, Waker
from trainer.store import Store


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
    app.add_middleware(Bearer, token=token)
    app.add_middleware(KnownHosts, hosts=hosts)  # the one added last is asked first
    errors.install(app)

    @app.get("/health", tags=["health"])
    def health(parts: Given) -> dict[str, str]:
        """Whether service and database answer. Needs no token."""
        parts.store.check()
        return {"status": "ok", "version": VERSION}

    for part in (catalog, runs, readings, inspection, corpora, worker):
        app.include_router(part.router)
    return app
