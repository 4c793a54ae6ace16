"""No answer without the token: every route and method, with none and with many a wrong one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx

from benchmarks.prove.dashboard import handshake
from benchmarks.prove.ground import Ground
from benchmarks.prove.promise import Promise, hold
from benchmarks.prove.stand_in import ENDLESS, StandIn, picture
from benchmarks.service import Service

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
UNKNOWN = (
    "/",
    "/docs",
    "/redoc",
    "/metrics/",
    "//runs",
    "/runs/",
    "/health/",
    "/HEALTH",
    "/health/../runs",
    "/static/x",
)
WORKERS = re.compile(r"/runs/[^/]+/attempts/[^/]+/(reports|checkpoint)|/corpora/[^/]+/text")
"""Paths that look at any token themselves; they may say that the run is not there."""


def routes() -> set[str]:
    """The path of every route of the application, those that OpenAPI does not list as well."""
    from trainer.service.app import create_app  # imports torch: not for the proofs that do without

    app = create_app(None, None, "token", inspector=object())  # type: ignore[arg-type]
    listed = set(app.openapi()["paths"])
    found = set(_paths(app.routes, ""))
    hold(found >= listed, f"OpenAPI lists what the application does not route: {listed - found}")
    return found | listed


def _paths(routes: Any, prefix: str) -> Iterator[str]:
    for route in routes:
        path = prefix + (getattr(route, "path", None) or "")
        inner = getattr(route, "original_router", route)  # FastAPI keeps an included router whole
        if getattr(inner, "routes", None):
            yield from _paths(inner.routes, path)
        elif path:
            yield path


def wrong_tokens(token: str, chosen: Any) -> dict[str, dict[str, str]]:
    """Headers that must open nothing, by what is wrong with them."""
    at = chosen.randrange(len(token))
    other = chosen.choice([letter for letter in "ABCxyz019" if letter != token[at]])
    bearers = {
        "another": secrets.token_urlsafe(32),
        "one letter changed": token[:at] + other + token[at + 1 :],
        "cut off": token[:-1],
        "too long": token + "A",
        "in other case": token.swapcase(),
        "twice": f"{token} {token}",
        "quoted": f'"{token}"',
        "empty": "",
        "null": "null",
    }
    return {
        "none": {},
        **{name: {"Authorization": f"Bearer {value}".strip()} for name, value in bearers.items()},
        "no scheme": {"Authorization": token},
        "another scheme": {"Authorization": f"Basic {token}"},
        "as a cookie": {"Cookie": f"token={token}; Authorization=Bearer {token}"},
        "in another header": {"X-Authorization": f"Bearer {token}", "X-API-Key": token},
    }


def closed(ground: Ground) -> str:
    """Every route × every method × every wrong token, over the wire."""
    templates = routes()
    with ground.service() as service:
        played = StandIn(ground, service, service.launch(ENDLESS))
        try:
            before = (
                picture(service, played.run),
                service.call("GET", "/runs"),
                service.call("GET", "/corpora"),
            )
            filled = sorted(
                {_filled(path, str(run_id)) for path in templates for run_id in (played.run.id, uuid4())}
            )
            token = service.address.token
            wrong = wrong_tokens(token, ground.chosen)
            count = _knock(service, [*filled, *UNKNOWN], wrong)
            count += _knock(
                service,
                [f"{path}?token={token}&access_token={token}" for path in filled],
                {"in the address": {}},
            )
            strange = [path for path in filled if not WORKERS.fullmatch(path)]
            count += _knock(service, strange, {"a worker's": {"Authorization": f"Bearer {played.token}"}})
            status = handshake(service.port, "/runs", f"127.0.0.1:{service.port}")
            hold(status != 101, "a websocket was opened without a token")
            after = (
                picture(service, played.run),
                service.call("GET", "/runs"),
                service.call("GET", "/corpora"),
            )
            hold(after == before, "a request without the right token has changed something")
        finally:
            played.close()
    kinds = f"{len(wrong) + 2} kinds of wrong token"
    return f"{len(templates)} routes, {len(METHODS)} methods, {kinds}: {count:,} requests refused"


def _filled(template: str, run_id: str) -> str:
    return re.sub(r"\{[^}]*\}", "1", template.replace("{run_id}", run_id))


def _knock(service: Service, paths: list[str], headers: dict[str, dict[str, str]]) -> int:
    """Requests that were refused."""
    count = 0
    with httpx.Client(base_url=service.address.url, timeout=30, trust_env=False) as stranger:
        for path in paths:
            for method in METHODS:
                for name, sent in headers.items():
                    reply = stranger.request(method, path, headers=sent)
                    where = path.partition("?")[0]
                    if (method, where) == ("GET", "/health"):
                        hold(set(reply.json()) == {"status", "version"}, f"/health tells {reply.text[:200]}")
                        continue
                    allowed = (
                        {401, 404}
                        if WORKERS.fullmatch(where) and "Bearer" in sent.get("Authorization", "")
                        else {401}
                    )
                    hold(
                        reply.status_code in allowed,
                        f"{method} {path} with the token {name}: {reply.status_code} {reply.text[:200]}",
                    )
                    count += 1
    return count


PROMISES = [
    Promise(
        name="tokens",
        says="No answer without the token",
        tried="every route with every method, and no, wrong, cut, misplaced and workers' tokens",
        proof=closed,
    ),
]
