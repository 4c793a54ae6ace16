"""The guard before Streamlit: strangers' pages, frames and names; and the token that a browser shows once."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import httpx
import pytest
from fake_service import served
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dashboard import login
from dashboard.access import Access, access
from dashboard.guard import Guard

TOKEN = "a token of some length"


def everything(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} {request.url.path}")


async def stream(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("in")
    await websocket.close()


class Visitor(httpx.Client):
    """A client of a dashboard that is up; its redirects are looked at, not followed."""

    def enters(self, **headers: str) -> bool:
        """Whether a websocket is let in."""
        host = headers.pop("Host", f"127.0.0.1:{self.base_url.port}")
        line = socket.create_connection(("127.0.0.1", self.base_url.port or 0))
        address = f"ws://{host}/_stcore/stream"
        try:
            with connect(address, sock=line, additional_headers=headers) as websocket:
                return websocket.recv(timeout=10) == "in"
        except InvalidStatus:
            return False

    @property
    def here(self) -> str:
        return str(self.base_url).rstrip("/")


@contextlib.contextmanager
def client(allowed: Access, base: str = "") -> Iterator[Visitor]:
    methods = ["GET", "POST", "PUT", "DELETE"]
    inner = Starlette(
        routes=[WebSocketRoute("/_stcore/stream", stream), Route("/{path:path}", everything, methods=methods)]
    )
    with served(Guard(inner, allowed, base)) as url, Visitor(base_url=url, trust_env=False) as made:
        yield made


@pytest.fixture
def open_door() -> Iterator[Visitor]:
    with client(access("127.0.0.1", {})) as made:
        yield made


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    monkeypatch.setattr(login, "AGAIN", 0.0)
    with client(access("127.0.0.1", {"UNFOLD_DASHBOARD_TOKEN": TOKEN})) as made:
        yield made


def test_pages_of_its_own_come_in(open_door: Visitor) -> None:
    assert open_door.get("/runs").text == "GET /runs"
    assert open_door.put("/_stcore/upload_file/1/2", headers={"Origin": open_door.here}).status_code == 200
    assert open_door.post("/x").status_code == 200  # a program: browsers always name the page
    assert open_door.enters(Origin=open_door.here)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8501", "127.0.0.1.evil.example", "localhost.evil.example:80"]
)
def test_a_name_of_a_stranger_reaches_nothing(open_door: Visitor, host: str) -> None:
    """DNS rebinding: for the browser the page and the dashboard are then one site."""
    for path in ("/", "/_stcore/health", "/media/x.csv"):
        assert open_door.get(path, headers={"Host": host}).status_code == 421
    assert not open_door.enters(Host=host, Origin=f"http://{host}")


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://127.0.0.1:9999",
        "http://localhost:8501",
        "null",
        "http://127.0.0.1",
        "http://[::1",
        "http://[x]",
    ],
)
def test_a_page_from_elsewhere_drives_nothing(open_door: Visitor, origin: str) -> None:
    """Neither another site nor another port of this machine, nor the same under another name."""
    assert not open_door.enters(Origin=origin)
    for method in ("POST", "PUT", "DELETE"):
        assert (
            open_door.request(method, "/_stcore/upload_file/1/2", headers={"Origin": origin}).status_code
            == 403
        )


def test_a_site_that_was_named_may_drive_it() -> None:
    allowed = access("127.0.0.1", {}, origins=["https://lab.example/"])
    with client(allowed) as made:
        assert made.enters(Origin="https://lab.example")
        assert not made.enters(Origin="https://lab.example.evil.example")


def test_no_answer_can_be_put_into_a_frame(open_door: Visitor, locked: Visitor) -> None:
    for answer in (
        open_door.get("/"),
        open_door.get("/", headers={"Host": "evil.example"}),
        locked.get("/", headers={"Accept": "text/html"}),
    ):
        assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
        assert answer.headers["x-frame-options"] == "DENY"


def test_without_the_token_only_the_login_and_a_sign_of_life_are_answered(locked: Visitor) -> None:
    asked = locked.get("/runs?page=2", headers={"Accept": "text/html"})
    assert asked.status_code == 401
    assert 'name="to" value="/runs?page=2"' in asked.text
    assert TOKEN not in asked.text
    for method, path in (("GET", "/static/x.js"), ("PUT", "/_stcore/upload_file/1/2"), ("GET", "/media/x")):
        assert locked.request(method, path).status_code == 401
    assert not locked.enters(Origin=locked.here)
    assert locked.get("/_stcore/health").status_code == 200


@pytest.mark.parametrize("to", ["//evil.example", "/\\evil.example", "https://evil.example", "//[", "x", ""])
def test_the_login_leads_nowhere_else(locked: Visitor, to: str) -> None:
    assert locked.post("/login", data={"token": TOKEN, "to": to}).headers["location"] == "/"


def test_the_token_is_asked_for_once(locked: Visitor) -> None:
    wrong = locked.post("/login", data={"token": "a token of some lengt", "to": "/runs?page=2"})
    assert wrong.status_code == 401
    assert "This is not the token." in wrong.text
    assert "set-cookie" not in wrong.headers
    right = locked.post("/login", data={"token": f" {TOKEN}\n", "to": "/runs?page=2"})
    assert (right.status_code, right.headers["location"]) == (303, "/runs?page=2")
    cookie = right.headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()
    assert TOKEN not in cookie
    assert locked.get("/runs").text == "GET /runs"
    assert locked.enters(Origin=locked.here, Cookie=cookie.partition(";")[0])


def test_a_changed_token_locks_out_who_knew_the_old_one(locked: Visitor) -> None:
    kept = locked.post("/login", data={"token": TOKEN}).headers["set-cookie"].partition(";")[0]
    with client(access("127.0.0.1", {"UNFOLD_DASHBOARD_TOKEN": "another token"})) as after:
        assert after.get("/x", headers={"Cookie": kept}).status_code == 401


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x", ""]
)
def test_the_login_leads_to_this_dashboard_only(locked: Visitor, to: str) -> None:
    assert locked.post("/login", data={"token": TOKEN, "to": to}).headers["location"] == "/"


def test_what_a_stranger_puts_into_the_address_is_no_part_of_the_page(locked: Visitor) -> None:
    page = locked.get('/"><script>alert(1)</script>', headers={"Accept": "text/html"}).text
    assert "<script>" not in page


def test_the_login_of_another_page_is_refused(locked: Visitor) -> None:
    sent = locked.post("/login", data={"token": TOKEN}, headers={"Origin": "http://evil.example"})
    assert sent.status_code == 403


def test_below_a_path_the_login_is_below_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "AGAIN", 0.0)
    with client(access("127.0.0.1", {"UNFOLD_DASHBOARD_TOKEN": TOKEN}), base="/lab/") as made:
        assert 'action="/lab/login"' in made.get("/lab/runs", headers={"Accept": "text/html"}).text
        assert made.get("/lab/_stcore/health").status_code == 200
        assert made.post("/lab/login", data={"token": TOKEN}).status_code == 303
