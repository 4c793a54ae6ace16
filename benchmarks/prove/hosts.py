"""A page of somebody else's cannot speak to us by a name of its own (DNS rebinding): its Host is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx

from benchmarks.prove.dashboard import Dashboard, handshake
from benchmarks.prove.ground import Ground
from benchmarks.prove.promise import SQLITE, Promise, hold
from benchmarks.prove.tokens import routes
from benchmarks.service import Service

REFUSED = (400, 403, 421)
SOCKET = "/_stcore/stream"
PAGES = ("/", "/runs", "/_stcore/health", "/_stcore/host-config", "/static/index.html", "/favicon.png")


def foreign(port: int) -> list[str]:
    """Hosts that are not this machine, however near they come."""
    names = (
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1@evil.example",
    )
    return [written for name in names for written in (name, f"{name}:{port}")]


def own(port: int) -> list[str]:
    """Hosts by which this machine is meant."""
    return [f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}"]


def strangers_refused(ground: Ground) -> str:
    """Every route of the service, with the right token; pages and websocket of the dashboard."""
    with ground.service() as service, Dashboard(service, ground.folder / "dashboard.txt") as dashboard:
        asked = sum(_service_refuses(service, path) for path in sorted(routes()))
        pages = sum(_dashboard_refuses(dashboard, path) for path in PAGES)
        sockets = sum(_socket_refuses(dashboard))
    return f"refused: {asked} requests to the service, {pages} to the dashboard, {sockets} websockets"


def _service_refuses(service: Service, path: str) -> int:
    filled = re.sub(r"\{[^}]*\}", "00000000-0000-4000-8000-000000000000", path)
    for host in own(service.port):
        status = service.http.get(filled, headers={"Host": host}).status_code
        hold(status not in (400, 403, 421), f"the service refuses Host: {host} at {path}: {status}")
    for host in foreign(service.port):
        for method in ("GET", "POST"):
            status = service.http.request(method, filled, headers={"Host": host}).status_code
            hold(status in REFUSED, f"the service answers {method} {path} for Host: {host} with {status}")
    return 2 * len(foreign(service.port))


def _dashboard_refuses(dashboard: Dashboard, path: str) -> int:
    with httpx.Client(base_url=dashboard.url, timeout=30, trust_env=False) as client:
        for host in own(dashboard.port):
            status = client.get(path, headers={"Host": host}).status_code
            hold(status not in REFUSED, f"the dashboard refuses Host: {host} at {path}: {status}")
        for host in foreign(dashboard.port):
            status = client.get(path, headers={"Host": host}).status_code
            hold(status in REFUSED, f"the dashboard answers GET {path} for Host: {host} with {status}")
    return len(foreign(dashboard.port))


def _socket_refuses(dashboard: Dashboard) -> Iterator[int]:
    """A websocket carries the whole page: neither a foreign Host nor a foreign Origin opens it."""
    port = dashboard.port
    for host in own(port)[:2]:
        status = handshake(port, SOCKET, host, f"http://{host}")
        hold(status == 101, f"the dashboard's own websocket is answered {status}")
    for host in foreign(port):
        for name, origin in ((host, f"http://{host}"), (host, None), (f"127.0.0.1:{port}", f"http://{host}")):
            status = handshake(port, SOCKET, name, origin)
            hold(status != 101, f"the dashboard opens its websocket for Host: {name}, Origin: {origin}")
            yield 1
    for origin in ("null", f"http://127.0.0.1:{port + 1}", f"http://localhost:{port + 1}"):
        status = handshake(port, SOCKET, f"127.0.0.1:{port}", origin)
        hold(status != 101, f"the dashboard opens its websocket for Origin: {origin}")
        yield 1


PROMISES = [
    Promise(
        name="hosts",
        says="Another site's page cannot reach service or dashboard under its own name",
        tried="Host and Origin of strangers at every route, page and websocket, with the right token",
        proof=strangers_refused,
        databases=(SQLITE,),
    ),
]
