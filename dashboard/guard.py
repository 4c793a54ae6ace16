"""Looks at every request before Streamlit does: only pages of the dashboard itself may drive it.

No other site, no page on another port of this machine, no frame, and nobody under a name that is not ours
(DNS rebinding). Streamlit's own checks let in any port of localhost, and look at the name for websockets
only.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.access import Access
from dashboard.login import Login

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Lets requests through to ``app``, or answers them itself."""

    def __init__(self, app: ASGIApp, access: Access, base: str = "") -> None:
        """``base`` is the path below which the dashboard lies, if it does not lie at the root."""
        self._app, self._access = app, access
        path = base.strip("/")
        self._login = Login(access.token, f"/{path}" if path else "") if access.token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is None and self._login is not None:
            refusal = await self._login.answer(scope, headers, receive)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Why this request cannot come from a page of the dashboard; None where it can."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._access.hosts.accept(host):
            return PlainTextResponse(
                f"This dashboard is not known as {host!r}. Open it by its address, such as "
                "http://127.0.0.1:8501. A further name is allowed with STREAMLIT_SERVER_ALLOWED_HOSTS.",
                status_code=421,
            )
        origin = headers.get("origin")
        if origin is None or (scope["type"] == "http" and scope["method"] in SAFE):
            return None
        if _authority(origin) != host.lower() and origin.lower() not in self._access.origins:
            return PlainTextResponse(
                f"A page of {origin!r} may not use this dashboard. Open the dashboard itself.",
                status_code=403,
            )
        return None


def _authority(origin: str) -> str | None:
    """Host and port of an Origin header; None where it is no address, as ``null`` is none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:  # half an IPv6 address
        return None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
