"""``make app``: what it started ends with it, however and whenever it is ended itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.sync.client import connect

from tests.deploy.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90.0


def living(data: Path) -> list[str]:
    """Every process that was started with this data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("UNFOLD_DATA") == str(data) and process.status() != "zombie":
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except psutil.Error:
            continue
    return found


def until_gone(data: Path) -> list[str]:
    """What is left of them a moment later: the last children of one that has ended go right after it."""
    end = time.monotonic() + 10
    while (left := living(data)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


class Started:
    """A dashboard that was started as `make app` starts it."""

    def __init__(self, data: Path, command: list[str]) -> None:
        self.data, self.port = data, free_port()
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("UNFOLD_", "STREAMLIT_"))}
        with (data / "output.txt").open("wb") as output:
            self.process = subprocess.Popen(
                [*command, str(self.port)],
                cwd=ROOT,
                env={**environment, "UNFOLD_DATA": str(data)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def visit(self) -> None:
        """Open the first page, as a browser does: that is what starts the service."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/_stcore/health", timeout=2, trust_env=False)
                break
            except httpx.HTTPError:
                assert time.monotonic() < end, (self.data / "output.txt").read_text()
                time.sleep(0.1)
        message = BackMsg()
        message.rerun_script.query_string = ""
        here = f"127.0.0.1:{self.port}"
        with connect(
            f"ws://{here}/_stcore/stream", origin=f"http://{here}", subprotocols=["streamlit"], proxy=None
        ) as stream:
            stream.send(message.SerializeToString())
            while not any(" serve " in line for line in living(self.data)):
                assert time.monotonic() < end, (self.data / "output.txt").read_text()
                time.sleep(0.05)

    def is_up(self) -> None:
        end = time.monotonic() + PATIENCE
        while not (self.data / "service.json").exists():
            assert time.monotonic() < end, (self.data / "service.log").read_text()
            time.sleep(0.1)

    def end(self) -> None:
        self.process.wait(PATIENCE)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for line in living(tmp_path):
        os.kill(int(line.split()[0]), signal.SIGKILL)


LAUNCHER = [sys.executable, "-m", "dashboard", "--server.port"]


def test_ctrl_c_while_the_service_starts_leaves_nothing_behind(data: Path) -> None:
    started = Started(data, LAUNCHER)
    started.visit()
    os.killpg(started.process.pid, signal.SIGINT)
    started.end()
    assert until_gone(data) == []
    assert not (data / "service.json").exists()


def test_a_closed_terminal_ends_a_service_that_is_up(data: Path) -> None:
    started = Started(data, LAUNCHER)
    started.visit()
    started.is_up()
    os.killpg(started.process.pid, signal.SIGHUP)
    started.end()
    assert until_gone(data) == []
    assert not (data / "service.json").exists()


def test_a_launcher_that_is_killed_takes_all_along(data: Path) -> None:
    """Nobody is left who could tell them: they notice by themselves."""
    started = Started(data, LAUNCHER)
    started.visit()
    started.is_up()
    started.process.kill()
    started.end()
    assert until_gone(data) == []


def test_sigterm_to_make_itself_reaches_them(data: Path) -> None:
    """By a Makefile's line as ours: make passes the signal on to what it runs."""
    makefile = data / "Makefile"
    recipe = [
        line.split("@exec ")[1].split(" $(if")[0]
        for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
        if "-m dashboard" in line
    ]
    assert recipe == ["$(PYTHON) -m dashboard"]
    makefile.write_text(f"app:\n\t@exec {sys.executable} -m dashboard --server.port $(PORT)\n")
    started = Started(data, ["sh", "-c", f'exec make -f {makefile} app PORT="$0"'])
    started.visit()
    started.process.terminate()
    started.end()
    assert until_gone(data) == []


def test_a_service_that_ran_before_goes_on(data: Path) -> None:
    from dashboard.locate import connect as found
    from trainer.schema import ServiceAddress

    known = {**os.environ, "UNFOLD_DATA": str(data)}
    known.pop("UNFOLD_URL", None)
    before = found(known).address
    started = Started(data, LAUNCHER)
    end = time.monotonic() + PATIENCE
    while not (data / "output.txt").read_bytes().count(b"URL"):
        assert time.monotonic() < end
        time.sleep(0.1)
    os.killpg(started.process.pid, signal.SIGTERM)
    started.end()
    assert ServiceAddress.model_validate_json((data / "service.json").read_bytes()) == before
    assert psutil.pid_exists(before.pid)
    os.kill(before.pid, signal.SIGTERM)
    psutil.wait_procs([psutil.Process(before.pid)], PATIENCE)
