"""The service itself, on a real port, over a real SQLite file; only the scheduler is of paper."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from trainer.service.app import create_app
from trainer.store import Store

TOKEN = "the-service's-token"


class PaperScheduler:
    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path / 'unfold.db'}")
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def scheduler() -> PaperScheduler:
    return PaperScheduler()


@pytest.fixture
def app(store: Store, scheduler: PaperScheduler) -> FastAPI:
    return create_app(store, scheduler, TOKEN)


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The app on a free port of this machine; its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


def authorized(url: str) -> httpx.Client:
    """A client with the service's token."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60.0)


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    with serving(app) as address:
        yield address


@pytest.fixture
def stranger(url: str) -> Iterator[httpx.Client]:
    """Knows the address and no token."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60.0) as client:
        yield client


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with authorized(url) as client:
        yield client


Launcher = Callable[..., dict[str, Any]]


@pytest.fixture
def launch(client: httpx.Client) -> Launcher:
    def launch(name: str = "a run", model: str = "lstm", **more: Any) -> dict[str, Any]:
        config = {"model": {"name": model}, "task": {"name": "adding"}}
        response = client.post("/runs", json={"config": config, "name": name, **more})
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made

    return launch
