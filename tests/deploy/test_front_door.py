"""``streamlit run``, started from elsewhere: its own settings count, and strangers do not get in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.deploy.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
STREAMLIT = str(Path(sys.executable).with_name("streamlit"))


def command(port: int, *more: str) -> list[str]:
    app = str(ROOT / "dashboard" / "app.py")
    return [STREAMLIT, "run", app, "--server.headless=true", f"--server.port={port}", *more]


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("UNFOLD_", "STREAMLIT_", "PYTHON"))}
    return kept | {"UNFOLD_DATA": str(folder), **more}


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, psutil.Process]]:
    """Its port and process; started in an empty folder."""
    folder, port = tmp_path_factory.mktemp("elsewhere"), free_port()
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command(port), cwd=folder, env=environment(folder), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        end = time.monotonic() + 90
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/_stcore/health", timeout=2, trust_env=False)
                break
            except httpx.HTTPError:
                assert time.monotonic() < end, (folder / "output.txt").read_text()
                time.sleep(0.1)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def test_from_another_folder_it_listens_on_loopback_all_the_same(
    dashboard: tuple[int, psutil.Process],
) -> None:
    port, process = dashboard
    listening = [c.laddr for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert [(address.ip, address.port) for address in listening] == [("127.0.0.1", port)]


def test_a_stranger_gets_nothing_from_the_real_one(dashboard: tuple[int, psutil.Process]) -> None:
    port, _ = dashboard
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert page.headers["x-frame-options"] == "DENY"
        assert client.get("/", headers={"Host": "evil.example"}).status_code == 421
        sent = client.put("/_stcore/upload_file/1/2", headers={"Origin": "http://127.0.0.1:1"})
        assert sent.status_code == 403

    def enters(host: str, origin: str) -> bool:
        line = socket.create_connection(("127.0.0.1", port))
        try:
            with connect(f"ws://{host}/_stcore/stream", sock=line, origin=origin, subprotocols=["streamlit"]):
                return True
        except InvalidStatus:
            return False

    here = f"127.0.0.1:{port}"
    assert enters(here, f"http://{here}")
    assert not enters(f"evil.example:{port}", f"http://evil.example:{port}")
    assert not enters(here, "http://localhost:1")
    assert not enters(here, "http://evil.example")


def test_told_to_listen_everywhere_it_does_not_start(tmp_path: Path) -> None:
    port = free_port()
    ended = subprocess.run(
        command(port),
        cwd=tmp_path,
        env=environment(tmp_path, STREAMLIT_SERVER_ADDRESS="0.0.0.0"),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode != 0
    assert "nothing asks who they are" in ended.stderr
    assert "Traceback" not in ended.stderr
