"""A worker that says nothing: shown, and its run resumed without it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainer.store.making import end, post, queued, report, started
from trainer.schema import End, RunState
from trainer.store import Attempt, Claim, Conflict, StaleAttempt, Store, StoreAway, StoreFull, reports
from trainer.store.leases import FIRST_WORD_SECONDS, SILENCE_SECONDS, Leases
from trainer.store.owner import Ownership


class Clock:
    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(store._leases, "_clock", clock)
    monkeypatch.setattr(store._leases, "_began", clock.now)
    return clock  # type: ignore[return-value]


def silent_for(store: Store, attempt: Attempt) -> int | None:
    run = store.run(attempt.run_id)
    (listed,) = store.runs().runs
    assert listed == run == store.patch_run(run.id, tags=[])
    assert run.can_resume is (run.silent_for is not None)
    return run.silent_for


def test_an_attempt_answers_as_long_as_it_reports(store: Store, clock: Clock) -> None:
    attempt = started(store)
    for sequence in range(4):
        post(store, attempt, report(sequence))
        clock.now += SILENCE_SECONDS - 1
        assert silent_for(store, attempt) is None
    clock.now += 1
    assert silent_for(store, attempt) == SILENCE_SECONDS
    clock.now += 100
    assert silent_for(store, attempt) == SILENCE_SECONDS + 100
    post(store, attempt, report(4))
    assert silent_for(store, attempt) is None


def test_a_report_that_is_repeated_is_heard_as_well(store: Store, clock: Clock) -> None:
    attempt = started(store)
    post(store, attempt, report(0))
    clock.now += SILENCE_SECONDS
    post(store, attempt, report(0))
    assert silent_for(store, attempt) is None


def test_the_first_word_may_take_longer(store: Store, clock: Clock) -> None:
    attempt = started(store)
    clock.now += FIRST_WORD_SECONDS + SILENCE_SECONDS - 1
    assert silent_for(store, attempt) is None
    clock.now += 1
    assert silent_for(store, attempt) == SILENCE_SECONDS


@pytest.mark.parametrize("error", [StoreAway("away"), StoreFull("full")])
def test_a_worker_that_the_database_cannot_hear_answers_all_the_same(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Else all runs would be said not to answer, and resumed without them, once a disk is full."""
    attempt, silent = started(store), started(store)
    post(store, attempt, report(0))
    post(store, silent, report(0))

    def away(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(reports, "authorize", away)
        for _ in range(3):
            clock.now += SILENCE_SECONDS - 1
            with pytest.raises(StoreAway):
                store.authorize(attempt.run_id, attempt.number, attempt.token)
            clock.now += SILENCE_SECONDS - 1
            with pytest.raises(StoreAway):
                post(store, attempt, report(1))
            with pytest.raises(StoreAway):
                store.authorize(attempt.run_id, 0, "of an earlier attempt")
    assert store.run(attempt.run_id).silent_for is None
    assert store.run(silent.run_id).silent_for == 6 * (SILENCE_SECONDS - 1)


def test_a_service_that_waited_for_its_database_gives_workers_their_time(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = started(store)
    store._leases.forget(attempt.run_id)  # as in the process of another service
    monkeypatch.setattr(Ownership, "take", lambda _self: setattr(clock, "now", clock.now + 600))
    store.claim(Claim.of_this_process(Path("/some/folder")))
    assert silent_for(store, attempt) is None


@pytest.mark.parametrize("hours", [-9, 9])
def test_no_step_of_the_wall_clock_silences_a_worker_or_hides_that_one_is(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    attempt = started(store)
    post(store, attempt, report(0))
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + hours * 3600 * 10**9)
    assert silent_for(store, attempt) is None
    clock.now += SILENCE_SECONDS
    assert silent_for(store, attempt) == SILENCE_SECONDS


@pytest.mark.parametrize("hours", [-9, 9])
def test_nor_does_it_by_the_clock_that_a_store_really_has(
    store: Store, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    attempt = started(store)
    post(store, attempt, report(0))
    leases, real = Leases(), time.time
    leases.heard(attempt.run_id, 1)
    monkeypatch.setattr(time, "time", lambda: real() + hours * 3600)
    assert leases._clock is time.monotonic
    assert leases.silence(store.run(attempt.run_id)) is None


def test_after_a_restart_of_the_service_a_worker_has_time_to_be_heard_of(store: Store, clock: Clock) -> None:
    attempt = started(store)
    post(store, attempt, report(0))
    store._leases._heard.clear()
    assert silent_for(store, attempt) is None
    clock.now += SILENCE_SECONDS
    assert silent_for(store, attempt) == SILENCE_SECONDS


def test_none_is_at_work_on_a_run_that_is_queued_or_over(store: Store, clock: Clock) -> None:
    waiting = queued(store)
    clock.now += 1000
    assert store.run(waiting.id).silent_for is None
    attempt = store.start_attempt(waiting.id)
    post(store, attempt, report(0, end=End(state=RunState.FINISHED)))
    clock.now += 1000
    assert silent_for(store, attempt) is None


def test_a_run_that_does_not_answer_can_be_resumed_and_nothing_of_its_old_attempt_is_taken(
    store: Store, clock: Clock
) -> None:
    attempt = started(store)
    post(store, attempt, report(0))
    clock.now += SILENCE_SECONDS - 1
    with pytest.raises(Conflict, match="running"):
        store.requeue(attempt.run_id)
    clock.now += 1
    resumed = store.requeue(attempt.run_id)
    assert (resumed.state, resumed.silent_for) == (RunState.QUEUED, None)
    assert store.running() == []
    assert "did not answer for 30 s" in store.log(attempt.run_id)[-1].text
    with pytest.raises(StaleAttempt):
        post(store, attempt, report(1))
    again = store.start_attempt(attempt.run_id)
    assert again.number == 2
    with pytest.raises(StaleAttempt):
        post(store, attempt, report(1, end=End(state=RunState.FINISHED)))
    assert store.run(attempt.run_id).state is RunState.RUNNING
    assert post(store, again, report(0)) is False
    assert silent_for(store, again) is None


def test_a_late_report_of_an_old_attempt_does_not_speak_for_the_new_one(store: Store, clock: Clock) -> None:
    attempt = started(store)
    end(store, attempt)
    store.requeue(attempt.run_id)
    again = store.start_attempt(attempt.run_id)
    post(store, again, report(0))
    clock.now += SILENCE_SECONDS
    with pytest.raises(StaleAttempt):
        post(store, attempt, report(0))
    assert silent_for(store, again) == SILENCE_SECONDS


# --- Attempts that never began -----------------------------------------------------------------------------


def test_what_never_began_is_put_back_before_all_others_until_it_is_enough(store: Store) -> None:
    first, second = queued(store, "first"), queued(store, "second")
    for number in (1, 2):
        attempt = store.start_attempt(first.id)
        assert attempt.number == number
        assert store.put_back(first.id, number, "no memory", 3) == number
        run = store.run(first.id)
        assert (run.state, run.reason, run.ended_at) == (RunState.QUEUED, None, None)
        assert store.next_queued() == run
    store.start_attempt(first.id)
    assert store.put_back(first.id, 3, "no memory", 3) == 3
    assert store.run(first.id).state is RunState.RUNNING, "what to call it is the scheduler's to say"
    following = store.next_queued()
    assert following is not None
    assert following.id == second.id


def test_one_attempt_that_began_makes_the_count_begin_anew(store: Store) -> None:
    run = queued(store)
    store.start_attempt(run.id)
    assert store.put_back(run.id, 1, "no memory", 5) == 1
    attempt = store.start_attempt(run.id)
    post(store, attempt, report(0))
    end(store, attempt)
    store.requeue(run.id)
    store.start_attempt(run.id)
    assert store.put_back(run.id, 3, "no memory", 5) == 1


def test_only_the_current_running_attempt_is_put_back(store: Store) -> None:
    attempt = started(store)
    assert store.put_back(attempt.run_id, 2, "no memory", 5) == 0
    end(store, attempt)
    assert store.put_back(attempt.run_id, 1, "no memory", 5) == 0
    assert store.run(attempt.run_id).state is RunState.INTERRUPTED
