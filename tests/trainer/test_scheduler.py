"""The scheduler on a real store: an engine of paper for order and capacity, processes for deaths."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.trainer.engine import workers
from tests.trainer.engine.test_local import told, until
from trainer.engine.base import Ended, EngineError, NotBegun
from trainer.engine.local import LocalEngine
from trainer.scheduler import Scheduler
from trainer.schema import Assignment, End, Report, Run, RunConfig, RunState
from trainer.store import StaleAttempt, Store

URL = "http://127.0.0.1:1"


class PaperEngine:
    """An engine whose attempts end when the test says so. It meets ``trainer.engine.base.Engine``."""

    def __init__(self, capacity: int = 1) -> None:
        self.capacity = capacity
        self.submitted: list[Assignment] = []
        self.alive: set[tuple[UUID, int]] = set()
        self.orphans: set[tuple[UUID, int]] = set()
        self.stops: dict[tuple[UUID, int], float] = {}
        self.closed = False
        self.broken = False
        self.unknowable: set[UUID] = set()
        self.obeys_at_once = False
        self._ended: list[Ended] = []
        self._notify: Callable[[], None] = lambda: None

    @property
    def active(self) -> int:
        return len(self.alive)

    def attempts(self) -> list[tuple[UUID, int]]:
        return [*self.alive, *((ended.run_id, ended.attempt) for ended in self._ended)]

    def start(self, notify: Callable[[], None]) -> None:
        self._notify = notify

    def submit(self, assignment: Assignment) -> None:
        if self.broken:
            raise EngineError("no machine is free")
        self.submitted.append(assignment)
        self.alive.add((assignment.run_id, assignment.attempt))

    def adopt(self, run_id: UUID, attempt: int, url: str) -> bool:
        assert url == URL
        if run_id in self.unknowable:
            raise OSError(24, "Too many open files")
        if (run_id, attempt) in self.orphans:
            self.orphans.remove((run_id, attempt))
            self.alive.add((run_id, attempt))
        known = self.alive | {(ended.run_id, ended.attempt) for ended in self._ended}
        return (run_id, attempt) in known

    def stop(self, run_id: UUID, attempt: int, grace: float) -> None:
        self.stops.setdefault((run_id, attempt), grace)
        if self.obeys_at_once and (run_id, attempt) in self.alive:
            self.alive.remove((run_id, attempt))
            self._ended.append(Ended(run_id=run_id, attempt=attempt, exit_code=-15))

    def poll(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        self.closed = True

    def end(self, run: Run, exit_code: int | None = 0, **how: Any) -> None:
        (key,) = [key for key in self.alive if key[0] == run.id]
        self._ended.append(Ended(run_id=key[0], attempt=key[1], exit_code=exit_code, **how))
        self.alive.remove(key)
        self._notify()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'unfold.db'}")
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def engine() -> PaperEngine:
    return PaperEngine()


@pytest.fixture
def scheduler(store: Store, engine: PaperEngine) -> Iterator[Scheduler]:
    scheduler = Scheduler(store, engine, URL)
    yield scheduler
    engine.alive.clear()
    scheduler.shutdown(grace=0)


def queue(store: Store, folder: Path = Path("nowhere")) -> Run:
    config = RunConfig(model={"name": "lstm"}, task={"name": "adding", "folder": str(folder)})
    return store.create_run(config, "a run", [], None)[0]


def last_word(store: Store, work: Assignment, state: RunState) -> None:
    report = Report(sequence=0, pid=1, step=0, end=End(state=state))
    store.accept(work.run_id, work.attempt, work.token, report, None)


def first_word(store: Store, work: Assignment) -> None:
    store.accept(work.run_id, work.attempt, work.token, Report(sequence=0, pid=1, step=0), None)


def reaches(store: Store, run: Run, state: RunState) -> Run:
    until(lambda: store.run(run.id).state is state)
    return store.run(run.id)


# --- Starting ----------------------------------------------------------------------------------------------


def test_runs_start_in_the_order_of_their_arrival_as_room_comes_free(
    store: Store, engine: PaperEngine, scheduler: Scheduler
) -> None:
    engine.capacity = 2
    runs = [queue(store) for _ in range(4)]
    scheduler.start()
    until(lambda: len(engine.submitted) == 2)
    time.sleep(0.05)
    assert [work.run_id for work in engine.submitted] == [runs[0].id, runs[1].id]
    assert [store.run(run.id).state for run in runs] == ["running", "running", "queued", "queued"]
    engine.end(runs[1], exit_code=-9)
    until(lambda: len(engine.submitted) == 3)
    assert engine.submitted[2].run_id == runs[2].id


def test_an_assignment_says_all_that_a_worker_needs(
    store: Store, engine: PaperEngine, scheduler: Scheduler
) -> None:
    run = queue(store)
    scheduler.start()
    until(lambda: engine.submitted)
    work = engine.submitted[0]
    assert (work.run_id, work.attempt, work.url, work.config) == (run.id, 1, URL, run.config)
    assert not work.resume
    last_word(store, work, RunState.FINISHED)  # the token opens the attempt


def test_wake_starts_a_new_run_at_once(
    store: Store, engine: PaperEngine, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the regular look at the store an hour away, only the wake can have started it."""
    monkeypatch.setattr("trainer.scheduler.TICK_SECONDS", 3600)
    scheduler.start()
    time.sleep(0.1)
    queue(store)
    scheduler.wake()
    until(lambda: engine.submitted)


def test_a_run_that_cannot_be_started_is_tried_again_and_fails_in_the_end_with_the_reason(
    store: Store, engine: PaperEngine, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.scheduler.PAUSE_SECONDS", 0.01)
    engine.broken = True
    runs = [queue(store), queue(store)]
    scheduler.start()
    for run in runs:
        failed = reaches(store, run, RunState.FAILED)
        assert failed.reason == "it could not start, 5 times in a row: no machine is free"
        assert failed.attempt == 5
        assert [line.text for line in store.log(run.id)] == [
            f"Attempt {number} could not start: no machine is free. Tried again." for number in (1, 2, 3, 4)
        ]
    engine.broken = False
    store.requeue(runs[0].id)  # by the user: from then on it is counted anew
    until(lambda: engine.submitted)
    engine.end(runs[0], exit_code=None, not_begun=NotBegun(reason="its forkserver died"))
    until(lambda: len(engine.submitted) == 2)
    assert engine.submitted[1].attempt == 7


def test_a_start_that_fails_for_a_moment_costs_nothing_but_a_pause(
    store: Store, engine: PaperEngine, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.scheduler.PAUSE_SECONDS", 0.01)
    first, second = queue(store), queue(store)
    scheduler.start()
    until(lambda: engine.submitted)
    engine.end(first, exit_code=None, not_begun=NotBegun(reason="EOFError: the forkserver died"))
    until(lambda: len(engine.submitted) == 2)
    assert engine.submitted[1].run_id == first.id, "it keeps its place before the others"
    report = Report(sequence=0, pid=1, step=0)
    with pytest.raises(StaleAttempt):  # of a process that was made all the same, and nobody knows
        store.accept(first.id, 1, engine.submitted[0].token, report, None)
    last_word(store, engine.submitted[1], RunState.FINISHED)
    engine.end(first)
    until(lambda: len(engine.submitted) == 3)
    assert engine.submitted[2].run_id == second.id


def test_no_run_starts_during_the_pause_after_one_could_not(
    store: Store, engine: PaperEngine, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.scheduler.PAUSE_SECONDS", 3600)
    run = queue(store)
    scheduler.start()
    until(lambda: engine.submitted)
    engine.end(run, exit_code=None, not_begun=NotBegun(reason="fork: Cannot allocate memory"))
    reaches(store, run, RunState.QUEUED)
    for _ in range(5):
        scheduler._step()
    assert len(engine.submitted) == 1


def test_what_can_never_start_fails_at_once(store: Store, engine: PaperEngine, scheduler: Scheduler) -> None:
    run = queue(store)
    scheduler.start()
    until(lambda: engine.submitted)
    never = NotBegun(reason="PicklingError: a lambda", lasting=True)
    engine.end(run, exit_code=None, not_begun=never)
    assert reaches(store, run, RunState.FAILED).reason == "it could not start: PicklingError: a lambda"


def test_a_run_that_was_stopped_while_it_could_not_start_is_stopped(
    store: Store, engine: PaperEngine, scheduler: Scheduler
) -> None:
    run = queue(store)
    scheduler.start()
    until(lambda: engine.submitted)
    store.request_stop(run.id)
    engine.end(run, exit_code=None, not_begun=NotBegun(reason="it was stopped before it began"))
    assert reaches(store, run, RunState.STOPPED).reason == "stopped before it started"


def test_a_stopped_queued_run_never_starts(store: Store, engine: PaperEngine, scheduler: Scheduler) -> None:
    first, second = queue(store), queue(store)
    store.request_stop(first.id)
    scheduler.start()
    until(lambda: engine.submitted)
    assert [work.run_id for work in engine.submitted] == [second.id]


# --- Ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "state", "reason"),
    [
        ({"exit_code": -9}, "interrupted", "its process was killed by signal 9 (SIGKILL)"),
        ({"exit_code": -15}, "interrupted", "its process was killed by signal 15 (SIGTERM)"),
        ({"exit_code": None}, "interrupted", "its process is gone"),
        ({"exit_code": 0}, "interrupted", "its process ended without a last word"),
        ({"exit_code": -11}, "failed", "its process was killed by signal 11 (SIGSEGV)"),
        (
            {"exit_code": 1, "output": "Traceback\nValueError: no"},
            "failed",
            "its process ended with exit code 1; its last output was:\nTraceback\nValueError: no",
        ),
    ],
)
def test_a_process_without_a_last_word_ends_its_run_with_a_reason(
    store: Store, engine: PaperEngine, scheduler: Scheduler, how: dict[str, Any], state: str, reason: str
) -> None:
    run = queue(store)
    scheduler.start()
    until(lambda: engine.submitted)
    first_word(store, engine.submitted[0])
    engine.end(run, **how)
    until(lambda: store.run(run.id).state.is_over)
    ended = store.run(run.id)
    assert (ended.state, ended.reason) == (state, reason)


def test_a_last_word_stands_whatever_the_exit_code(
    store: Store, engine: PaperEngine, scheduler: Scheduler
) -> None:
    run, after = queue(store), queue(store)
    scheduler.start()
    until(lambda: engine.submitted)
    last_word(store, engine.submitted[0], RunState.FINISHED)
    engine.end(run, exit_code=1)
    reaches(store, after, RunState.RUNNING)
    assert store.run(run.id).state is RunState.FINISHED


def test_a_stop_is_handed_to_the_engine_and_a_killed_worker_counts_as_stopped(
    store: Store, engine: PaperEngine, scheduler: Scheduler
) -> None:
    run = queue(store)
    scheduler.start()
    until(lambda: engine.submitted)
    store.request_stop(run.id)
    scheduler.wake()
    until(lambda: engine.stops)
    assert engine.stops == {(run.id, 1): 10.0}
    engine.end(run, exit_code=-9, forced=True)
    stopped = reaches(store, run, RunState.STOPPED)
    assert stopped.reason == "stopped; it did not end by itself within 10 s, so it was killed"
    assert stopped.can_resume


def test_what_the_store_could_not_take_is_written_later(
    store: Store, engine: PaperEngine, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away for a moment must not leave a run that shows as running for ever."""
    run = queue(store)
    scheduler.start()
    until(lambda: engine.submitted)
    refused = threading.Event()
    real = store.end_attempt

    def away_once(*args: Any) -> bool:
        if refused.is_set():
            return real(*args)
        refused.set()
        raise OSError("the database is away")

    monkeypatch.setattr(store, "end_attempt", away_once)
    engine.end(run, exit_code=-9)
    assert reaches(store, run, RunState.INTERRUPTED).reason == "its process was killed by signal 9 (SIGKILL)"
    assert refused.is_set()


# --- Across services ---------------------------------------------------------------------------------------


def test_a_new_service_adopts_the_living_ends_the_dead_and_starts_what_never_began(
    store: Store, engine: PaperEngine, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.scheduler.PAUSE_SECONDS", 0.01)
    engine.capacity = 2
    alive, dead, unbegun, waiting = (queue(store) for _ in range(4))
    attempts = [store.start_attempt(run.id) for run in (alive, dead, unbegun)]  # by the service before
    sent = Report(sequence=0, pid=1, step=0)
    store.accept(dead.id, 1, attempts[1].token, sent, None)
    engine.orphans.add((alive.id, 1))
    scheduler.start()
    assert reaches(store, dead, RunState.INTERRUPTED).reason == "its process is gone"
    until(lambda: engine.submitted)
    assert store.run(alive.id).state is RunState.RUNNING
    assert [(work.run_id, work.attempt) for work in engine.submitted] == [(unbegun.id, 2)], (
        "the adopted run takes one of two slots; before those that wait, that which had its turn"
    )
    assert store.run(waiting.id).state is RunState.QUEUED


def test_trouble_with_one_run_keeps_no_other_from_being_ended_or_started(
    store: Store, engine: PaperEngine, scheduler: Scheduler
) -> None:
    engine.capacity = 2
    puzzling, dying, waiting = (queue(store) for _ in range(3))
    scheduler.start()
    until(lambda: len(engine.submitted) == 2)
    for work in engine.submitted:
        first_word(store, work)
    engine.unknowable.add(puzzling.id)
    engine.end(dying, exit_code=-9)
    reaches(store, dying, RunState.INTERRUPTED)
    reaches(store, waiting, RunState.RUNNING)
    assert store.run(puzzling.id).state is RunState.RUNNING
    engine.unknowable.clear()
    engine.end(puzzling, exit_code=-9)
    reaches(store, puzzling, RunState.INTERRUPTED)


@pytest.mark.parametrize("broken", ["attempts", "poll", "active"])
def test_the_scheduler_outlives_an_engine_that_raises(
    store: Store, engine: PaperEngine, scheduler: Scheduler, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = threading.Event()

    def fail(*_: Any) -> Any:
        raised.set()
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as during:
        during.setattr(PaperEngine, broken, property(fail) if broken == "active" else fail)
        scheduler.start()
        assert raised.wait(60)
    queue(store)
    scheduler.wake()
    until(lambda: engine.submitted)


def test_a_process_that_stays_after_its_last_word_is_ended(
    store: Store, engine: PaperEngine, scheduler: Scheduler
) -> None:
    """It would keep its place from those that wait, for good."""
    queue(store)
    scheduler._grace = 0.1
    scheduler.start()
    until(lambda: engine.submitted)
    last_word(store, engine.submitted[0], RunState.FINISHED)
    until(lambda: engine.stops)
    assert engine.stops == {(engine.submitted[0].run_id, 1): 0.0}


def test_a_run_that_does_not_answer_is_resumed_and_its_old_process_killed_at_once(
    store: Store, engine: PaperEngine, scheduler: Scheduler
) -> None:
    run = queue(store)
    scheduler.start()
    until(lambda: engine.submitted)
    first_word(store, engine.submitted[0])
    now = time.monotonic()
    store._leases._clock = lambda: now + 31
    assert store.requeue(run.id).state is RunState.QUEUED
    scheduler.wake()
    until(lambda: engine.stops)
    assert engine.stops == {(run.id, 1): 0.0}
    engine.end(run, exit_code=-9)
    until(lambda: len(engine.submitted) == 2)
    assert (store.run(run.id).state, store.run(run.id).attempt) == (RunState.RUNNING, 2)


def test_shutdown_stops_workers_waits_for_them_and_leaves_the_queue(
    store: Store, engine: PaperEngine, scheduler: Scheduler
) -> None:
    run, waiting = queue(store), queue(store)
    scheduler.start()
    until(lambda: engine.submitted)
    leaving = threading.Thread(target=scheduler.shutdown, args=(5.0,))
    leaving.start()
    until(lambda: engine.stops)
    assert engine.stops == {(run.id, 1): 5.0}
    assert not engine.closed
    engine.end(run, exit_code=-9, forced=True)
    leaving.join(30)
    assert engine.closed
    interrupted = store.run(run.id)
    assert interrupted.state is RunState.INTERRUPTED
    assert interrupted.reason.startswith("the service was shut down")
    assert store.run(waiting.id).state is RunState.QUEUED
    assert len(engine.submitted) == 1


def test_a_worker_that_ends_while_it_is_being_told_to_is_not_left_running_in_the_store(
    store: Store, engine: PaperEngine, scheduler: Scheduler
) -> None:
    run = queue(store)
    scheduler.start()
    until(lambda: engine.submitted)
    engine.obeys_at_once = True
    scheduler.shutdown(grace=5.0)
    assert store.run(run.id).state is RunState.INTERRUPTED


# --- With real processes -----------------------------------------------------------------------------------


def test_a_worker_killed_by_signal_9_shows_as_interrupted_and_its_next_attempt_starts(
    store: Store, tmp_path: Path
) -> None:
    scheduler = Scheduler(store, LocalEngine(tmp_path, 1, work=workers.sleep), URL)
    scheduler.start()
    try:
        run = queue(store, tmp_path)
        scheduler.wake()
        until(lambda: (tmp_path / f"{run.id}.json").exists())
        work = Assignment(run_id=run.id, attempt=1, token="", url=URL, config=run.config, resume=False)
        pid = told(work)["pid"]
        assert store.run(run.id).state is RunState.RUNNING
        os.kill(pid, signal.SIGKILL)
        interrupted = reaches(store, run, RunState.INTERRUPTED)
        assert interrupted.reason == "its process was killed by signal 9 (SIGKILL)"
        store.requeue(run.id)
        scheduler.wake()
        assert until(lambda: store.run(run.id).attempt == 2 and store.run(run.id).state is RunState.RUNNING)
    finally:
        scheduler.shutdown(grace=0)
    assert store.run(run.id).state is RunState.INTERRUPTED
