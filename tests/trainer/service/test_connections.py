"""Connections that only take up room: closed, so that those with a request are served."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn

from tests.trainer.engine.test_local import until
from trainer.service import connections

MOST = 4


class Holding:
    """An app that answers when the test says so, with as many bytes as the path asks for."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.under_way = 0

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        self.under_way += 1
        while scope["path"] == "/held" and not self.go_on.is_set():
            await asyncio.sleep(0.01)
        size = int(scope["path"][1:]) if scope["path"][1:].isdigit() else 2
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"connection", b"keep-alive")]}
        )
        for _ in range(max(1, size // 2**16)):
            await send({"type": "http.response.body", "body": b"." * min(size, 2**16), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        self.under_way -= 1


Serve = Callable[..., int]


@pytest.fixture
def held() -> Holding:
    return Holding()


@pytest.fixture
def serve(held: Holding) -> Iterator[Serve]:
    """Serves with the limits given; the port."""
    stack = contextlib.ExitStack()

    def serve(**limits: float) -> int:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        config = uvicorn.Config(
            held,
            http=connections.guarded(MOST, **limits),
            backlog=connections.BATCH,
            log_config=None,
            access_log=False,
            lifespan="off",
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until(lambda: server.started)

        def end() -> None:
            held.go_on.set()
            server.should_exit = server.force_exit = True
            thread.join()

        stack.callback(end)
        return int(listener.getsockname()[1])

    with stack:
        yield serve


def opened(port: int, sent: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(sent)
    return client


def is_closed(client: socket.socket) -> bool:
    client.settimeout(0.01)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def ask(port: int, path: str = "/") -> int:
    return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=60).status_code


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nhost: here\r\n"])
def test_a_connection_without_a_whole_request_is_closed_in_time(serve: Serve, sent: bytes) -> None:
    port = serve(header_seconds=0.2)
    with opened(port, sent) as client:
        until(lambda: is_closed(client))


def test_a_byte_now_and_then_gains_no_time(serve: Serve) -> None:
    port = serve(header_seconds=0.5)
    with opened(port, b"GET / HTTP/1.1\r\n") as client:

        def dripped() -> bool:
            with contextlib.suppress(OSError):
                client.sendall(b"x")
            time.sleep(0.05)
            return is_closed(client)

        until(dripped)


def test_nor_does_a_second_request_that_never_comes_whole(serve: Serve) -> None:
    port = serve(header_seconds=0.3)
    with opened(port) as client:
        for _ in range(2):  # between the two it is idle for longer, and may be
            client.sendall(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
            answer = b""
            while not answer.endswith(b"0\r\n\r\n"):
                answer += client.recv(4096)
            assert b"200" in answer
            time.sleep(0.5)
        client.sendall(b"GET / HT")
        until(lambda: is_closed(client))


def test_a_request_that_is_answered_late_is_not_closed(serve: Serve, held: Holding) -> None:
    port = serve(header_seconds=0.1, stall_seconds=0.1)
    with opened(port, b"GET /held HTTP/1.1\r\nhost: here\r\n\r\n") as client:
        until(lambda: held.under_way == 1)
        time.sleep(0.4)
        held.go_on.set()
        client.settimeout(60)
        assert b"200" in client.recv(4096)


def test_an_answer_that_nobody_reads_is_broken_off(serve: Serve, held: Holding) -> None:
    port = serve(stall_seconds=0.2)
    with opened(port, b"GET /200000000 HTTP/1.1\r\nhost: here\r\n\r\n"):
        until(lambda: held.under_way == 1)
        until(lambda: held.under_way == 0)


def test_half_open_connections_make_room_for_a_request_and_one_that_was_served_stays(serve: Serve) -> None:
    port = serve()
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(opened(port, b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"))
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            answer += served.recv(4096)
        strangers = [stack.enter_context(opened(port)) for _ in range(5 * MOST)]
        for _ in range(3):
            assert ask(port) == 200
        until(lambda: sum(not is_closed(stranger) for stranger in strangers) <= MOST)
        assert not is_closed(served)


def test_where_all_have_a_request_one_more_is_told_so(serve: Serve, held: Holding) -> None:
    port = serve()
    request = b"GET /held HTTP/1.1\r\nhost: here\r\n\r\n"
    with contextlib.ExitStack() as stack:
        busy = [stack.enter_context(opened(port, request)) for _ in range(MOST)]
        until(lambda: held.under_way == MOST)
        with opened(port) as late:
            told = late.recv(4096)
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"as many connections as it can serve" in told
        held.go_on.set()
        for client in busy:
            client.settimeout(60)
            assert b"200" in client.recv(4096)
    until(lambda: ask(port) == 200)


def test_connections_leave_most_descriptors_to_runs_and_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """45 readers of SQLite hold three each; 256 is what macOS grants a shell."""
    monkeypatch.setattr("trainer.descriptors.limit", lambda: 256)
    assert connections.most() + 2 * connections.BATCH + 45 * 3 < 256
    monkeypatch.setattr("trainer.descriptors.limit", lambda: 65_536)
    assert connections.most() == connections.MOST
