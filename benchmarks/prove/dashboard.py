"""The dashboard as its own command starts it, and a browser's first words to it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from benchmarks.prove.processes import until
from benchmarks.service import ROOT, Service


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Dashboard:
    """``streamlit run dashboard/app.py`` beside a service; a context manager.

    Args:
        service: the one that it uses.
        output: a file for what it prints.
    """

    def __init__(self, service: Service, output: Path) -> None:
        self.service, self.output = service, output
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("streamlit")),
                    *(
                        "run",
                        "dashboard/app.py",
                        "--server.headless",
                        "true",
                        "--server.port",
                        str(self.port),
                    ),
                ],
                cwd=ROOT,
                env=self.service.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if not until(lambda: is_up(self.port) or self.process.poll() is not None, 120):
            raise RuntimeError("the dashboard does not answer")
        if self.process.poll() is not None:
            raise RuntimeError(f"the dashboard did not start: {self.output.read_text()[-1000:]}")
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def is_up(port: int) -> bool:
    """Whether a dashboard answers there."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/_stcore/health", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def visit(port: int, seconds: float) -> None:
    """Open the first page, as a browser's script would, and stay for so long; silent where nobody answers."""
    ask = BackMsg()
    ask.rerun_script.query_string = ""
    end = time.monotonic() + seconds
    try:
        with connect(f"ws://127.0.0.1:{port}/_stcore/stream", open_timeout=5, max_size=None) as page:
            page.send(ask.SerializeToString())
            while (left := end - time.monotonic()) > 0:
                page.recv(timeout=left)
    except (OSError, TimeoutError, WebSocketException):
        return


def handshake(port: int, path: str, host: str, origin: str | None = None) -> int:
    """The status of a websocket's opening with these headers; 101 opens it."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *([f"Origin: {origin}"] if origin else []),
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        first = connection.recv(4096).split(b"\r\n")[0].split()
    return int(first[1]) if len(first) > 1 else 0  # 0: closed without a word
