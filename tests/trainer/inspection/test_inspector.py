"""Processes of inspections: nothing is left of them, and nothing makes the service wait for ever."""

from __future__ import annotations

import gc
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import Any

import psutil
import pytest

from tests.trainer.inspection.making import ADDING, Trained, lstm, trained
from trainer import evaluation
from trainer.engine import processes
from trainer.inspection import child
from trainer.inspection.child import Question
from trainer.inspection.inspector import ABANDONED, Inspector, Job


@pytest.fixture(scope="module")
def long() -> Callable[[], Question]:
    """Asks for a minute's work."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TEST_SEQUENCES", "VALIDATION_SEQUENCES"):
            patch.setattr(evaluation, name, 8)
        large = trained(lstm(256), {"name": "adding", "length": 300}, {"steps": 1, "precision": "32"})
    return asking(large, "rewind", updates=1000)


@pytest.fixture
def inspector() -> Iterator[Inspector]:
    made = Inspector(seconds=60)
    yield made
    made.close()


def asking(run: Trained, view: str, **settings: Any) -> Callable[[], Question]:
    return lambda: Question(
        view=view, settings=settings, config=run.config, step=run.step, checkpoint=run.data
    )


SMALL = trained(lstm(), ADDING)
QUICK = asking(SMALL, "cliff", updates=1)


def begun(job: Job) -> None:
    """Wait until its process computes."""
    while job._process is None:
        time.sleep(0.01)
    time.sleep(0.2)


def test_files_of_finished_inspections_are_closed_without_the_collectors_help(inspector: Inspector) -> None:
    assert inspector.submit(QUICK).reply.result(60).status == HTTPStatus.OK  # the forkserver's own are open
    gc.collect()
    gc.disable()
    try:
        before = psutil.Process().num_fds()
        for _ in range(50):
            assert inspector.submit(QUICK).reply.result(60).status == HTTPStatus.OK
        assert psutil.Process().num_fds() <= before + 2
    finally:
        gc.enable()


def asleep(line: Connection, *_: Any) -> None:
    """Neither reads nor writes."""
    time.sleep(600)
    line.close()


def half_an_answer(line: Connection, *_: Any) -> None:
    line.recv()
    os.write(line.fileno(), struct.pack("!i", 1000) + b"begun")
    time.sleep(600)


@pytest.mark.parametrize("enter", [asleep, half_an_answer])
def test_a_process_that_stops_reading_or_answering_is_ended_in_time(
    monkeypatch: pytest.MonkeyPatch, enter: Callable[..., None]
) -> None:
    monkeypatch.setattr(child, "enter", enter)
    much = Question(view="cliff", settings={}, config=SMALL.config, checkpoint=bytes(5_000_000))
    short = Inspector(seconds=0.5)
    try:
        reply = short.submit(lambda: much).reply.result(30)
        assert (reply.status, b"took longer than 0.5 seconds" in reply.body) == (504, True)
    finally:
        short.close()


@pytest.mark.parametrize("enter", [asleep, half_an_answer])
def test_a_process_that_stops_reading_or_answering_can_be_abandoned(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch, enter: Callable[..., None]
) -> None:
    monkeypatch.setattr(child, "enter", enter)
    much = Question(view="cliff", settings={}, config=SMALL.config, checkpoint=bytes(5_000_000))
    job = inspector.submit(lambda: much)
    begun(job)
    job.cancel()
    assert job.reply.result(10) == ABANDONED


def test_cancelling_what_is_over_or_has_not_begun_does_no_harm(
    inspector: Inspector, long: Callable[[], Question]
) -> None:
    done = inspector.submit(QUICK)
    reply = done.reply.result(60)
    done.cancel()
    assert (done.reply.result(), reply.status) == (reply, HTTPStatus.OK)
    slow = [inspector.submit(long) for _ in range(2)]
    waiting = inspector.submit(QUICK)
    waiting.cancel()
    for job in slow:
        job.cancel()
    assert waiting.reply.result(10) == ABANDONED
    assert inspector.submit(QUICK).reply.result(60).status == HTTPStatus.OK


def test_an_inspector_that_stops_says_so_to_all_that_wait_and_to_who_comes_later(
    inspector: Inspector, long: Callable[[], Question]
) -> None:
    jobs = [inspector.submit(long) for _ in range(5)]
    begun(jobs[0])
    began = time.monotonic()
    inspector.stop()
    for job in [*jobs, inspector.submit(QUICK)]:
        reply = job.reply.result(10)
        assert reply.status == HTTPStatus.SERVICE_UNAVAILABLE
        assert b"The service is stopping." in reply.body
    assert time.monotonic() - began < 2


def test_an_inspection_ends_with_the_service_that_asked_for_it(long: Callable[[], Question]) -> None:
    """What a killed service does to the line: its end closes."""
    ours, theirs = connection.Pipe()
    process = processes.context().Process(  # type: ignore[attr-defined]
        target=child.enter, args=(theirs, 1500, 60.0), daemon=True
    )
    with processes.LOCK:
        processes.preload()
        process.start()
    theirs.close()
    with ours:
        ours.send(long())
        computing = psutil.Process(process.pid)
        while sum(computing.cpu_times()[:2]) < 0.5:
            time.sleep(0.02)
        assert not ours.poll()
    try:
        with processes.LOCK:
            process.join(5)
        assert process.exitcode is not None
    finally:
        process.kill()


def test_many_that_come_and_go_at_once_leave_an_inspector_that_answers(inspector: Inspector) -> None:
    jobs: list[Job] = []

    def come_and_go() -> None:
        for _ in range(5):
            jobs.append(inspector.submit(QUICK))
            jobs[-1].cancel()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {job.reply.result(60).status for job in jobs} <= {HTTPStatus.OK, ABANDONED.status}
    assert inspector.submit(QUICK).reply.result(60).status == HTTPStatus.OK
