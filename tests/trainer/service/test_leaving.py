"""A client that leaves before it has sent all is no failure of the service."""

from __future__ import annotations

import logging
import socket
import time
from uuid import uuid4

import httpx
import pytest

from tests.trainer.service.conftest import TOKEN, Launcher

PARTS = {
    "POST /runs": b'{"config": {"model"',
    "POST /estimate": b'{"config": {"model"',
    "PATCH /runs/{run}": b'{"name": "a',
    "POST /runs/{run}/inspect": b'{"view": "tri',
    "POST /runs/{run}/generate": b'{"prompt": "a',
    "POST /corpora": b"The quick brown fox",
    "POST /corpora form": b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nThe',
}


@pytest.mark.parametrize("chunked", [False, True])
def test_who_leaves_in_the_middle_of_a_request_is_not_told_of_as_a_failure(
    client: httpx.Client, launch: Launcher, caplog: pytest.LogCaptureFixture, chunked: bool
) -> None:
    run = launch()["id"]
    caplog.set_level(logging.INFO)
    for route, part in PARTS.items():
        method, path = route.replace("{run}", run).split()[:2]
        kind = b"multipart/form-data; boundary=b" if "form" in route else b"application/json"
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
        length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 5000"
        body = b"%x\r\n%s\r\n" % (len(part), part) if chunked else part
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as line:
            line.sendall(head + b"Content-Type: " + kind + b"\r\n" + length + b"\r\n\r\n" + body)
            time.sleep(0.05)  # so that the route is at work; leaving earlier is no harder
    assert client.get(f"/runs/{run}").status_code == 200
    time.sleep(0.1)
    failures = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert [record.getMessage() for record in failures] == []


def test_an_address_with_a_line_break_makes_no_line_of_its_own_in_the_log(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from trainer.store import Store

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Store, "corpus_text", broken)
    address = f"/corpora/{uuid4()}%0a2026-01-01 ERROR forged%1b[31m%e2%80%ae/text"
    assert client.get(address).status_code == 500
    (said,) = [r.getMessage() for r in caplog.records if "failed" in r.getMessage()]
    assert "forged" in said
    assert not set(said) & set("\n\x1b\u202e")
