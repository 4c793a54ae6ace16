"""Asks a browser for the dashboard's token, once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import html
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from string import Template
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope

PATH = "/login"
MAX_FORM = 4096
"""Bytes of the form that carries a token."""
AGAIN = 1.0
"""Seconds until a wrong token is answered: nobody tries many."""
REMEMBERED = 30 * 24 * 3600
"""Seconds for which a browser is known."""
PAGE = Template((Path(__file__).parent / "login.html").read_text(encoding="utf-8"))


class Login:
    """Knows the browsers that have shown the token, by a cookie, and asks all others."""

    def __init__(self, token: str, base: str = "") -> None:
        """``base`` is the path below which the dashboard lies, if it does not lie at the root."""
        self._token, self._base = token.encode(), base
        # Shows that the token was known, and stops to be good when the token changes.
        self._pass = hmac.new(self._token, b"unfold dashboard 1", hashlib.sha256).hexdigest()

    async def answer(self, scope: Scope, headers: Headers, receive: Receive) -> Response | None:
        """What a browser gets that has not shown the token yet; None for one that has."""
        is_http, path = scope["type"] == "http", scope["path"].removeprefix(self._base)
        if path == "/_stcore/health":  # says "ok" and no more
            return None
        if is_http and scope["method"] == "POST" and path == PATH:
            return await self._judge(scope, headers, receive)
        if hmac.compare_digest(_cookies(headers).get(_name(headers), "").encode(), self._pass.encode()):
            return None
        if is_http and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            query = scope["query_string"].decode("latin-1")
            return self._page(scope["path"] + (f"?{query}" if query else ""))
        return PlainTextResponse(
            "The dashboard's token is needed: open its page and log in.", status_code=401
        )

    async def _judge(self, scope: Scope, headers: Headers, receive: Receive) -> Response:
        form = parse_qs((await _body(receive)).decode("utf-8", "replace"), keep_blank_values=True)
        given, to = form.get("token", [""])[0].strip(), _within(form.get("to", ["/"])[0])
        if not hmac.compare_digest(given.encode(), self._token):
            await asyncio.sleep(AGAIN)
            return self._page(to, "This is not the token.")
        response = RedirectResponse(to, status_code=303)
        secure = scope.get("scheme") == "https"
        response.set_cookie(
            _name(headers), self._pass, max_age=REMEMBERED, httponly=True, samesite="lax", secure=secure
        )
        return response

    def _page(self, to: str, problem: str = "") -> Response:
        action = html.escape(self._base + PATH)
        text = PAGE.substitute(action=action, to=html.escape(to), problem=html.escape(problem))
        return HTMLResponse(text, status_code=401, headers={"Cache-Control": "no-store"})


def _name(headers: Headers) -> str:
    """A cookie for each port: browsers send those of one port to all others of a host."""
    port = headers.get("host", "").rpartition(":")[2]
    return f"unfold_{port}" if port.isdigit() else "unfold"


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _within(to: str) -> str:
    """A path on this dashboard: never another site's address."""
    try:
        parts = urlsplit(to)
    except ValueError:  # half an IPv6 address
        return "/"
    ours = to.startswith("/") and not to.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return quote(to, safe="/?&=%+,.:;@!$'()*~-_[]") if ours else "/"


async def _body(receive: Receive) -> bytes:
    content, more = b"", True
    while more and len(content) <= MAX_FORM:
        message = await receive()
        content += message.get("body", b"")
        more = message["type"] == "http.request" and message.get("more_body", False)
    return content[:MAX_FORM]
