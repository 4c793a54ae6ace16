"""Nobody gets an answer without a token, except to ``GET /health``, nor under a name that is not ours.

Middlewares and not dependencies: a route that is added tomorrow is closed until someone opens it, and no
body is read for a stranger.
"""

from __future__ import annotations

import hmac
import re
from http import HTTPStatus

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from trainer.schema.hosts import Hosts
from trainer.service.errors import answer

OPEN = frozenset({("GET", "/health")})
WORKER_PATHS = re.compile(
    r"/runs/[^/]+/attempts/[^/]+/(reports|checkpoint)|/corpora/[^/]+/(text|table|table/column)"
)
"""Where an attempt's token may be good as well; these routes check it themselves."""


class KnownHosts:
    """Passes requests that call the service by a name of its own: the defence against DNS rebinding."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = [bytes(value).decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if len(given) != 1 or not self._hosts.accept(given[0]):
                refusal = answer(
                    HTTPStatus.MISDIRECTED_REQUEST,
                    f"This service is not known as {', '.join(given) or 'nothing'}.",
                    "Call it by its address. A further name is allowed with UNFOLD_ALLOWED_HOSTS.",
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Bearer:
    """Passes requests that carry the service's token, and on ``WORKER_PATHS`` any that carry some token.

    Args:
        app: what is behind.
        token: the service's.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        if not token:
            raise ValueError("the service's token is empty; everyone could use it")
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # there are none; one added without thought stays closed
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http" and (scope["method"], scope["path"]) not in OPEN:
            token = _bearer(scope)
            is_service = token is not None and hmac.compare_digest(token, self._token)
            if not is_service and (token is None or not WORKER_PATHS.fullmatch(scope["path"])):
                refusal = answer(
                    HTTPStatus.UNAUTHORIZED,
                    "No token came with this request." if token is None else "This token is not valid.",
                    "Send the service's token: Authorization: Bearer TOKEN. A local service keeps it in "
                    "service.json in its data folder.",
                )
                await refusal(scope, receive, send)
                return
            scope.setdefault("state", {}).update(
                token=(token or b"").decode("latin-1"), is_service=is_service
            )
        await self._app(scope, receive, send)


def _bearer(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = bytes(value).partition(b" ")
            return token.strip() or None if scheme.lower() == b"bearer" else None
    return None


def token_of(request: Request) -> str:
    """The token that came with a request which passed."""
    return str(request.state.token)


def is_service(request: Request) -> bool:
    """Whether it was the service's own."""
    return bool(request.state.is_service)
