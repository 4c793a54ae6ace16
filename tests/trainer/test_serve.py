"""The service as a process of its own: ``python -m trainer serve``."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import pytest

from tests.trainer.engine.test_local import until
from trainer.schema import RunState, ServiceAddress
from trainer.store import Store

ROOT = Path(__file__).resolve().parents[2]
LONG = {
    "model": {"name": "elman", "hidden_size": 8},
    "task": {"name": "adding", "length": 20},
    "training": {"steps": 10_000_000, "batch_size": 8},
}


def environment(data: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UNFOLD_", "PYTHON"))}
    return kept | {"UNFOLD_DATA": str(data), "UNFOLD_PORT": "0", **more}


class Service:
    """A running service, and requests to it."""

    def __init__(self, data: Path, *before_it: str, **more: str) -> None:
        self.note = data / "service.json"
        before = self.note.read_bytes() if self.note.exists() else None
        # Files, not pipes: what a killed service leaves running would keep a pipe open.
        self.out, self.err = data / "service.out", data / "service.err"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [*before_it, sys.executable, "-m", "trainer", "serve"],
                cwd=ROOT,
                env=environment(data, **more),
                stdout=out,
                stderr=err,
            )
        until(
            lambda: (
                self.process.poll() is not None or (self.note.exists() and self.note.read_bytes() != before)
            )
        )
        assert self.process.poll() is None, self.err.read_text()
        self.address = ServiceAddress.model_validate_json(self.note.read_bytes())
        self.http = httpx.Client(
            base_url=self.address.url,
            headers={"Authorization": f"Bearer {self.address.token}"},
            timeout=30,
            trust_env=False,
        )

    def launch(self) -> str:
        answer = self.http.post("/runs", json={"config": LONG})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def reaches(self, run_id: str, **fields: Any) -> dict[str, Any]:
        until(lambda: fields.items() <= self.run(run_id).items())
        return self.run(run_id)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.http.close()
        self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        return code, self.out.read_text(), self.err.read_text()


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Any]:
    """Starts services on one data folder; none is left after the test, nor a worker."""
    services: list[Service] = []

    def start(*before_it: str, **more: str) -> Service:
        services.append(Service(tmp_path, *before_it, **more))
        return services[-1]

    yield start
    for service in services:
        service.http.close()
        if service.process.poll() is None:
            service.process.kill()
            service.process.wait()
    for record in (tmp_path / "workers").glob("*.json"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker_pid(record), signal.SIGKILL)


def worker_pid(record: Path) -> int:
    return int(json.loads(record.read_text())["pid"])


def refused(data: Path, *arguments: str, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "serve", *arguments],
        cwd=ROOT,
        env=environment(data, **more),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_inspection_holds_up_a_service_that_ends_or_outlives_one_that_is_killed(
    starting: Any, number: int
) -> None:
    service = starting()
    large = {"model": {"name": "lstm", "hidden_size": 256}, "task": {"name": "adding", "length": 300}}
    sent = {"config": {**large, "training": {"steps": 1, "batch_size": 8, "validate_every": 1000}}}
    run = service.http.post("/runs", json=sent).json()["id"]
    until(lambda: service.http.get(f"/runs/{run}/checkpoints").json())
    service.http.post(f"/runs/{run}/stop")  # its closing test takes long
    until(lambda: service.run(run)["state"] in ("finished", "stopped"))
    answers: list[httpx.Response] = []

    def look() -> None:
        a_minute = {"view": "rewind", "settings": {"updates": 1000}}
        with contextlib.suppress(httpx.HTTPError):
            answers.append(service.http.post(f"/runs/{run}/inspect", json=a_minute))

    asking = [threading.Thread(target=look) for _ in range(2)]
    for thread in asking:
        thread.start()
    until(lambda: len(inspections_of(service.process.pid)) == 2)
    children = inspections_of(service.process.pid)
    began = time.monotonic()
    service.process.send_signal(number)
    service.process.wait(timeout=60)
    assert time.monotonic() - began < 4  # uvicorn's own patience is 5 s
    for thread in asking:
        thread.join()
    assert [(answer.status_code, answer.json()["message"]) for answer in answers] == (
        [(503, "The service is stopping.")] * 2 if number == signal.SIGTERM else []
    )
    while any(map(computes, children)) and time.monotonic() - began < 8:  # they have work for 20 s
        time.sleep(0.05)
    assert not any(map(computes, children))


def computes(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)  # nobody may be left to take its exit code
    except psutil.NoSuchProcess:
        return False


def inspections_of(service: int) -> list[psutil.Process]:
    """The processes that its forkserver has made, and that compute: no run is under way."""
    found = []
    for process in psutil.Process(service).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.nice() > psutil.Process(service).nice():
                found.append(process)
    return found


def test_a_service_tells_its_address_to_its_user_alone_and_ends_on_sigterm(
    starting: Any, tmp_path: Path
) -> None:
    service = starting()
    assert stat.S_IMODE(service.note.stat().st_mode) == 0o600
    assert service.address.pid == service.process.pid
    assert service.address.url.startswith("http://127.0.0.1:")
    assert httpx.get(f"{service.address.url}/health", trust_env=False).status_code == 200
    assert httpx.get(f"{service.address.url}/runs", trust_env=False).status_code == 401

    said = refused(tmp_path)
    assert f"runs at {service.address.url} (process {service.process.pid})" in said

    code, out, err = service.end(signal.SIGTERM)
    assert code == 0, err
    assert not service.note.exists()
    assert out.count("\n") == 1
    assert service.address.url in out
    assert service.address.token not in out + err
    assert err == ""


def test_other_machines_are_let_in_only_with_a_token(tmp_path: Path) -> None:
    said = refused(tmp_path, "--host", "0.0.0.0")
    assert "UNFOLD_HOST is '0.0.0.0'" in said
    assert "Set UNFOLD_TOKEN" in said


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"UNFOLD_PORT is {port}: cannot listen there" in refused(tmp_path, "--port", port)


def test_a_database_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "unfold.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    assert "Correct UNFOLD_STORE" in refused(tmp_path)


def test_two_services_on_one_database_from_two_folders_are_one_too_many(
    starting: Any, tmp_path: Path
) -> None:
    """Each would end the other's runs as left behind by a service that is gone."""
    first, other = starting(), tmp_path / "other"
    other.mkdir()
    run = first.launch()
    until(lambda: first.run(run)["step"] > 0)
    database = f"sqlite:///{tmp_path / 'unfold.db'}"
    said = refused(other, UNFOLD_STORE=database)
    for part in (f"process {first.process.pid} on {socket.gethostname()}", f"(data folder {tmp_path})"):
        assert part in said.replace("/ ", "/")
    assert "last sign of life" in said
    shown = subprocess.run(
        [sys.executable, "-m", "trainer", "show", run[:8], "--json"],
        cwd=ROOT,
        env=environment(other, UNFOLD_STORE=database),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(shown.stdout)["id"] == run, "reading needs no claim"
    assert first.run(run)["state"] == "running"
    assert first.run(run)["attempt"] == 1


def test_a_service_whose_database_went_to_another_ends_with_its_workers(
    starting: Any, tmp_path: Path
) -> None:
    service = starting()
    run = service.launch()
    until(lambda: service.run(run)["step"] > 0)
    (record,) = (tmp_path / "workers").glob("*.json")
    worker = psutil.Process(worker_pid(record))
    # As after a pause that was too long: another one has written its name there.
    connection = sqlite3.connect(tmp_path / "unfold.db", timeout=10)
    connection.execute("UPDATE owner SET key = 'another', host = 'elsewhere', pid = 4711")
    connection.commit()
    (before,) = connection.execute("SELECT sum(next_sequence) FROM attempts").fetchone()
    code = service.process.wait(timeout=60)
    assert code == 2
    assert "process 4711 on elsewhere" in " ".join(service.err.read_text().split())
    assert "Traceback" not in service.err.read_text()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    after = connection.execute("SELECT sum(next_sequence) FROM attempts").fetchone()
    (state,) = connection.execute("SELECT state FROM runs").fetchone()
    connection.close()
    assert after == (before,), "no report was stored any more"
    assert state == "running", "the other one says what became of it"


def test_training_outlives_a_killed_service_and_the_queue_does_too(starting: Any, tmp_path: Path) -> None:
    first = starting(UNFOLD_SLOTS="1", UNFOLD_TOKEN="same secret")
    running, queued = first.launch(), first.launch()
    until(lambda: first.run(running)["step"] > 0)
    assert first.run(queued)["state"] == "queued"
    first.end(signal.SIGKILL)
    (record,) = (tmp_path / "workers").glob("*.json")
    pid = worker_pid(record)
    assert psutil.pid_exists(pid)

    second = starting(UNFOLD_SLOTS="1", UNFOLD_TOKEN="same secret")
    assert second.address.url == first.address.url, "the worker knows this address alone"
    step = second.run(running)["step"]
    until(lambda: second.run(running)["step"] > step)
    assert (second.run(running)["state"], second.run(running)["attempt"]) == ("running", 1)
    assert second.run(queued)["state"] == "queued"

    os.kill(pid, signal.SIGKILL)
    assert second.reaches(running, state="interrupted")["reason"] == "its process is gone"
    until(lambda: second.run(queued)["step"] > 0)

    code, _, err = second.end(signal.SIGINT)
    assert code == 0, err
    store = Store(f"sqlite:///{tmp_path / 'unfold.db'}")
    ended, checkpoint = store.run(UUID(queued)), store.checkpoint(UUID(queued), "latest")
    store.close()
    assert ended.state is RunState.INTERRUPTED
    assert checkpoint is not None
    assert checkpoint.step == ended.step > 0, "the worker had the time for a last checkpoint"


def test_strangers_who_only_connect_keep_no_run_from_ending_and_none_from_starting(
    starting: Any, tmp_path: Path
) -> None:
    """Under a limit on file descriptors that they could use up by themselves."""
    service = starting("sh", "-c", 'ulimit -n 256; exec "$@"', "sh", UNFOLD_SLOTS="1")
    first, second = service.launch(), service.launch()
    until(lambda: service.run(first)["step"] > 0)
    (record,) = (tmp_path / "workers").glob("*.json")
    with contextlib.ExitStack() as stack:
        for number in range(300):
            stranger = stack.enter_context(socket.create_connection(("127.0.0.1", port_of(service)), 30))
            with contextlib.suppress(OSError):
                stranger.sendall(b"GET /runs HTTP/1.1\r\n" if number % 2 else b"")
        assert psutil.Process(service.process.pid).num_fds() < 200
        assert httpx.get(f"{service.address.url}/health", trust_env=False, timeout=30).status_code == 200
        os.kill(worker_pid(record), signal.SIGKILL)
        assert "SIGKILL" in service.reaches(first, state="interrupted")["reason"]
        until(lambda: service.run(second)["step"] > 0)
    code, _, err = service.end()
    assert code == 0, err
    assert len(err) < 10_000


def port_of(service: Service) -> int:
    port = httpx.URL(service.address.url).port
    assert port is not None
    return port


def test_a_run_whose_service_was_killed_before_it_could_start_the_process_is_queued_again(
    starting: Any, tmp_path: Path
) -> None:
    """Between the store's word that it runs, and the process: the service ends itself there."""
    script = """
import os, signal, sys
from pathlib import Path
from trainer.engine.local import LocalEngine
from trainer.scheduler import Scheduler
from trainer.schema import RunConfig
from trainer.store import Store
LocalEngine.submit = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
data = Path(sys.argv[1])
store = Store(f"sqlite:///{data / 'unfold.db'}")
store.migrate()
store.create_run(RunConfig.model_validate_json(sys.argv[2]), "never began", [])
Scheduler(store, LocalEngine(data, 1, preload=()), "http://127.0.0.1:1").start()
signal.pause()
"""
    command = [sys.executable, "-c", script, str(tmp_path), json.dumps(LONG)]
    killed = subprocess.run(command, cwd=ROOT, env=environment(tmp_path), timeout=120)
    assert killed.returncode == -signal.SIGKILL
    store = Store(f"sqlite:///{tmp_path / 'unfold.db'}")
    assert [attempt.number for attempt in store.running()] == [1]
    store.close()
    service = starting(UNFOLD_SLOTS="1")
    (run,) = service.http.get("/runs").json()["runs"]
    until(lambda: service.run(run["id"])["step"] > 0)
    assert service.run(run["id"])["attempt"] == 2


def test_a_worker_that_is_halted_is_shown_and_its_run_resumed_without_it(
    starting: Any, tmp_path: Path
) -> None:
    patched = (
        "from trainer.store import leases; leases.SILENCE_SECONDS = 2; import runpy, sys; "
        "sys.argv[0] = 'trainer'; runpy.run_module('trainer', run_name='__main__')"
    )
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nshift 3\nexec {sys.executable} -c "{patched}" "$@"\n')
    wrapper.chmod(0o700)
    service = starting(str(wrapper), UNFOLD_SLOTS="1")
    run = service.launch()
    until(lambda: service.run(run)["step"] > 0)
    assert service.http.post(f"/runs/{run}/resume").status_code == 409
    (record,) = (tmp_path / "workers").glob("*.json")
    pid = worker_pid(record)
    os.kill(pid, signal.SIGSTOP)
    found = until(lambda: (found := service.run(run))["silent_for"] and found)
    assert (found["state"], found["can_resume"]) == ("running", True)
    os.kill(pid, signal.SIGCONT)  # it had only slept
    until(lambda: service.run(run)["silent_for"] is None)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: service.run(run)["silent_for"])
    assert service.http.post(f"/runs/{run}/resume").json()["state"] == "queued"
    service.reaches(run, attempt=2, state="running", silent_for=None)
    until(lambda: not psutil.pid_exists(pid))
    step = service.run(run)["step"]
    until(lambda: service.run(run)["step"] > step)
