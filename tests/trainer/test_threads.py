"""Every thread of the service, and of a worker, meets an error: what goes on all the same.

Those of the engine are in ``engine/test_local.py``, the scheduler's in ``test_scheduler.py``.
"""

from __future__ import annotations

import errno
import threading
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.trainer.engine.test_local import until
from trainer import host
from trainer.engine import processes
from trainer.engine.starter import Starter
from trainer.host import HostError, Server, hosting
from trainer.inspection.child import Question
from trainer.inspection.inspector import Inspector
from trainer.reporter import Reporter
from trainer.schema import Assignment, RunConfig
from trainer.settings import Settings
from trainer.store import StoreLost


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


# --- The web server, and the thread in which the service leaves --------------------------------------------


class Paper:
    """Stands in for scheduler and inspector: notes what it was told, and fails where it should."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails, self.told = fails, threading.Event()

    def _tell(self, *_: Any) -> None:
        self.told.set()
        if self.fails:
            raise RuntimeError("can't start new thread")

    stop = shutdown = _tell


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def server(folder: Path, scheduler: Any, inspector: Any) -> Iterator[Server]:
    import socket

    from trainer.schema import ServiceAddress

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        address = ServiceAddress(url=url, token="t", pid=1)
        yield Server(app, listener, scheduler, inspector, address, folder / "service.json")


def test_a_websocket_is_asked_for_in_vain(tmp_path: Path) -> None:
    """Its connection would escape the limits: one that is answered as plain HTTP does not."""
    wanted = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    wanted["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    for made in server(tmp_path, Paper(), Paper()):
        with made.serving_aside():
            found = httpx.get(made.address.url, headers=wanted, trust_env=False)
            assert (found.status_code, found.text) == (200, "ok")


def test_a_service_that_lost_its_database_ends_also_where_no_thread_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    for made in server(tmp_path, Paper(), Paper()):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none)
            made.lose(StoreLost("it went to another service", "use that one"))
        with pytest.raises(HostError, match="went to another"):
            made.serve_here()


@pytest.mark.parametrize("broken", ["inspector", "scheduler", "nothing"])
def test_the_service_leaves_whatever_fails_on_the_way_and_runs_are_told(tmp_path: Path, broken: str) -> None:
    scheduler, inspector = Paper(fails=broken == "scheduler"), Paper(fails=broken == "inspector")
    for made in server(tmp_path, scheduler, inspector):
        with made.serving_aside():
            assert httpx.get(made.address.url, trust_env=False).text == "ok"
        assert inspector.told.is_set()
        assert scheduler.told.is_set(), "its workers have a checkpoint to write"
        assert not (tmp_path / "service.json").exists()


def test_where_no_thread_can_be_had_to_leave_in_the_service_ends_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == "leaving":
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    for made in server(tmp_path, Paper(), Paper()):
        with made.serving_aside():
            pass


def test_an_address_that_cannot_be_written_is_told_instead_of_a_server_that_nobody_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "write_address", full)
    for made in server(tmp_path, Paper(), Paper()):
        with pytest.raises(HostError, match="No space left"), made.serving_aside():
            raise AssertionError("it did not start")
    for made in server(tmp_path, Paper(), Paper()):
        with pytest.raises(HostError, match="No space left"):
            made.serve_here()


def test_a_note_that_cannot_be_removed_keeps_the_server_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for made in server(tmp_path, Paper(), Paper()):
        with made.serving_aside():
            monkeypatch.setattr(Path, "unlink", full)
        monkeypatch.undo()


def test_a_web_server_that_ends_by_an_error_as_it_starts_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("uvicorn.Server.startup", fail)
    for made in server(tmp_path, Paper(), Paper()):
        with pytest.raises(HostError, match="did not start"), made.serving_aside():
            raise AssertionError("it did not start")


# --- The starter -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError("no"), EOFError(), RuntimeError("no"), MemoryError()])
def test_the_starter_goes_on_after_a_warm_up_and_an_order_that_fail(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    told: list[Any] = []
    starter = Starter(())
    monkeypatch.setattr(starter, "warm", fail)
    monkeypatch.setattr(processes, "start", lambda _: None)
    starter.start()
    starter.ask((fail, told.append, told.append))
    starter.ask((lambda: "a process", fail, told.append))  # type: ignore[arg-type, return-value]
    starter.ask((lambda: "another", told.append, told.append))  # type: ignore[arg-type, return-value]
    until(lambda: len(told) == 2)
    assert told == [error, "another"]
    starter.close(60)


# --- Inspections -------------------------------------------------------------------------------------------


def question() -> Question:
    config = RunConfig(model={"name": "ffnn"}, task={"name": "adding", "length": 5})
    return Question(view="gates", settings={}, config=config, texts={})  # type: ignore[call-arg]


@pytest.fixture
def inspector() -> Iterator[Inspector]:
    inspector = Inspector(seconds=60.0, at_once=1)
    yield inspector
    inspector.close()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files"), b"could not be started"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), b"not enough memory"),
        (RuntimeError("can't start new thread"), b"could not be started"),
    ],
)
def test_an_inspection_that_cannot_be_started_is_answered_and_the_next_one_too(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch, error: Exception, words: bytes
) -> None:
    def fail(_: Any) -> None:
        raise error

    with monkeypatch.context() as during:
        during.setattr(processes, "start", fail)
        reply = inspector.submit(question).reply.result(60)
        assert reply.status == HTTPStatus.SERVICE_UNAVAILABLE
        assert words in reply.body
    assert inspector.submit(question).reply.result(300).status != HTTPStatus.SERVICE_UNAVAILABLE
    assert not inspector._jobs


def test_an_inspection_whose_forkserver_died_is_started_by_the_next(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tried = processes.start, []

    def dies_once(process: Any) -> None:
        tried.append(process)
        if len(tried) == 1:
            raise EOFError("unexpected EOF")
        real(process)

    monkeypatch.setattr(processes, "start", dies_once)
    assert inspector.submit(question).reply.result(300).status != HTTPStatus.SERVICE_UNAVAILABLE
    assert len(tried) == 2


def test_where_no_thread_can_watch_an_inspections_time_its_process_is_not_left(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, made = processes.start, []

    def start(process: Any) -> None:
        real(process)
        made.append(process)

        def refuse(*_: Any) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr("trainer.inspection.inspector.threading.Timer.start", refuse)

    monkeypatch.setattr(processes, "start", start)
    with pytest.raises(RuntimeError):
        inspector.submit(question).reply.result(300)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="closed"):
        made[0].is_alive()


# --- The reporter, in the worker ---------------------------------------------------------------------------


def reporter(handle: Any, **more: Any) -> Reporter:
    assignment = Assignment(
        run_id=uuid.uuid4(),
        attempt=1,
        token="t",
        url="http://service",
        config=RunConfig(model={"name": "gru"}, task={"name": "adding"}),
        resume=False,
    )
    return Reporter(assignment, interval=0.01, transport=httpx.MockTransport(handle), **more)


@pytest.mark.parametrize("where", ["_report", "_frame", "_post"])
def test_whoever_waits_for_a_report_is_told_when_reports_have_ended(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A worker that waited for ever would keep its place, and its result to itself."""

    def fail(*_: Any) -> Any:
        raise SystemError("no")

    said: list[int] = []
    monkeypatch.setattr(Reporter, where, fail)
    made = reporter(lambda _: httpx.Response(200, json={"stop": False}), patience=0.1)
    made.on_stop = lambda: said.append(1)
    made.start()
    assert made.flush() is False
    assert made.abandoned
    until(lambda: said)  # the other thread says it a moment after it has woken this one
    assert made.close(None) is False


def test_a_worker_with_nothing_to_say_says_that_it_lives() -> None:
    """During one long update the training thread adds nothing."""
    posts: list[int] = []

    def handle(request: httpx.Request) -> httpx.Response:
        posts.append(len(request.content))
        return httpx.Response(200, json={"stop": False})

    made = reporter(handle)
    made.start()
    until(lambda: len(posts) >= 5)
    made.close(None)


# --- All together ------------------------------------------------------------------------------------------


def test_a_service_says_nothing_over_and_over(tmp_path: Path) -> None:
    import logging

    from trainer.log_throttle import LOUD, Throttle

    with hosting(Settings.read({"data": tmp_path, "port": 0}, environ={}), training=False):
        for name in LOUD:
            assert any(isinstance(one, Throttle) for one in logging.getLogger(name).filters)
