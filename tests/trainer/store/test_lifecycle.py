"""A run's life: the queue, stops, ends, resumes, and what a resumed attempt finds."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from tests.trainer.store.making import checkpoint, column, end, post, queued, report, started, vector
from trainer.schema import End, RunState, Sample, Summary, TextSample
from trainer.store import Conflict, CorruptCheckpoint, Store
from trainer.store.tables import checkpoints


def test_the_queue_is_first_come_first_served_and_a_resumed_run_goes_to_its_end(store: Store) -> None:
    first, second = queued(store, "first"), queued(store, "second")
    attempt = store.start_attempt(first.id)
    third = queued(store, "third")
    end(store, attempt)
    store.requeue(first.id)
    order = []
    while (run := store.next_queued()) is not None:
        order.append(run.id)
        store.start_attempt(run.id)
    assert order == [second.id, third.id, first.id]


def test_starting_makes_the_run_running_and_only_once(store: Store) -> None:
    run = queued(store)
    attempt = store.start_attempt(run.id)
    assert (attempt.number, attempt.resume, attempt.config) == (1, False, run.config)
    read = store.run(run.id)
    assert (read.state, read.attempt) == (RunState.RUNNING, 1)
    with pytest.raises(Conflict):
        store.start_attempt(run.id)


def test_a_stop_of_a_queued_run_is_immediate_and_it_leaves_the_queue(store: Store) -> None:
    run = queued(store)
    assert store.request_stop(run.id).state is RunState.STOPPED
    assert store.next_queued() is None
    assert store.run(run.id).ended_at is not None


def test_a_stop_of_a_running_run_is_told_to_its_worker_and_kept_for_the_scheduler(store: Store) -> None:
    attempt = started(store)
    assert post(store, attempt, report(0)) is False
    assert store.request_stop(attempt.run_id).state is RunState.RUNNING
    asked = store.running()[0].stop_requested_at
    assert asked is not None
    assert post(store, attempt, report(1)) is True
    store.request_stop(attempt.run_id)
    assert store.running()[0].stop_requested_at == asked  # the first request counts


def test_a_stop_of_a_run_that_is_over_changes_nothing(store: Store) -> None:
    attempt = started(store)
    end(store, attempt, RunState.FAILED)
    before = store.run(attempt.run_id)
    assert store.request_stop(attempt.run_id) == before


@pytest.mark.parametrize("state", [RunState.STOPPED, RunState.FAILED, RunState.INTERRUPTED])
def test_what_ended_early_can_be_resumed_and_forgets_its_stop(store: Store, state: RunState) -> None:
    attempt = started(store)
    store.request_stop(attempt.run_id)
    end(store, attempt, state)
    assert store.run(attempt.run_id).reason == "for the test"
    resumed = store.requeue(attempt.run_id)
    assert (resumed.state, resumed.reason, resumed.ended_at) == (RunState.QUEUED, None, None)
    again = store.start_attempt(attempt.run_id)
    assert again.number == 2
    assert again.token != attempt.token
    assert post(store, again, report(0)) is False


def test_a_finished_a_queued_and_a_running_run_cannot_be_resumed(store: Store) -> None:
    attempt = started(store)
    with pytest.raises(Conflict):
        store.requeue(attempt.run_id)
    end(store, attempt, RunState.FINISHED)
    with pytest.raises(Conflict):
        store.requeue(attempt.run_id)
    with pytest.raises(Conflict):
        store.requeue(queued(store).id)


def test_only_the_current_running_attempt_can_be_ended_and_only_once(store: Store) -> None:
    attempt = started(store)
    assert not store.end_attempt(attempt.run_id, 2, RunState.FAILED, "no")
    assert store.end_attempt(attempt.run_id, 1, RunState.INTERRUPTED, "killed\x00by signal 9")
    assert not store.end_attempt(attempt.run_id, 1, RunState.FAILED, "later")
    run = store.run(attempt.run_id)
    assert (run.state, run.reason) == (RunState.INTERRUPTED, "killed\ufffdby signal 9")
    assert store.running() == []
    with pytest.raises(ValueError, match="running"):
        store.end_attempt(attempt.run_id, 1, RunState.RUNNING)


def test_a_workers_last_word_ends_the_run(store: Store) -> None:
    attempt = started(store)
    post(store, attempt, report(0, step=9, end=End(state=RunState.FAILED, reason="the loss is nan")))
    run = store.run(attempt.run_id)
    assert (run.state, run.reason, run.step) == (RunState.FAILED, "the loss is nan", 9)
    assert run.ended_at is not None
    assert store.running() == []


def test_the_process_of_an_attempt_is_known_from_its_first_report(store: Store) -> None:
    attempt = started(store)
    assert (store.running()[0].pid, store.running()[0].last_report_at) == (None, None)
    post(store, attempt, report(0))
    assert store.running()[0].pid == report(0).pid
    assert store.running()[0].last_report_at is not None


def recorded(store: Store) -> tuple[object, list[bytes]]:
    """A run of 40 steps with checkpoints at 10, 20 and 30, interrupted."""
    attempt = started(store)
    blobs = []
    for index, upto in enumerate((10, 20, 30)):
        steps = range(upto - 9, upto + 1)
        data = f"state at {upto}".encode()
        blobs.append(data)
        sent = report(
            index,
            step=upto,
            metrics={
                "loss": column(steps),
                "validation/loss": column([upto], [100.0 - upto]),
                "validation/error": column([upto], [upto / 100]),
            },
            vectors=[vector("h/0", upto, [float(upto)])],
            samples=[Sample(step=upto, index=0, content=TextSample(prompt="", text="x", temperature=1.0))],
            summary=Summary(parameters=5, best_validation_loss=100.0 - upto, best_step=upto, solved=False),
            checkpoint=checkpoint(upto, data, 100.0 - upto),
        )
        post(store, attempt, sent, data)
    after = report(
        3,
        step=40,
        metrics={"loss": column(range(31, 41)), "validation/loss": column([40], [1.0])},
        vectors=[vector("h/0", 40, [40.0])],
        samples=[Sample(step=40, index=0, content=TextSample(prompt="", text="x", temperature=1.0))],
        summary=Summary(best_validation_loss=1.0, best_step=40, solved=True, solved_at=40, test_wrong=0),
    )
    post(store, attempt, after)
    end(store, attempt)
    store.requeue(attempt.run_id)
    return attempt.run_id, blobs


def test_a_resumed_attempt_finds_nothing_that_came_after_its_checkpoint(store: Store) -> None:
    run_id, blobs = recorded(store)
    attempt = store.start_attempt(run_id)  # type: ignore[arg-type]
    assert attempt.resume
    found = store.checkpoint(attempt.run_id)
    assert found is not None
    assert (found.step, found.data) == (30, blobs[2])
    curves = store.metrics([attempt.run_id])[attempt.run_id]
    assert curves["loss"].step == list(range(1, 31))
    assert curves["validation/loss"].step == [10, 20, 30]
    assert store.vectors(attempt.run_id)["h/0"].steps == [10, 20, 30]
    assert [sample.step for sample in store.samples(attempt.run_id)] == [10, 20, 30]
    run = store.run(attempt.run_id)
    assert run.step == 30
    summary = run.summary
    assert (summary.parameters, summary.loss, summary.seconds) == (5, 30.0, 15.0)
    assert (summary.best_step, summary.best_validation_loss, summary.best_validation_error) == (30, 70.0, 0.1)
    assert (summary.solved, summary.solved_at, summary.test_wrong) == (None, None, None)


def test_a_damaged_checkpoint_is_refused_and_a_resume_takes_the_one_before(store: Store) -> None:
    run_id, blobs = recorded(store)
    with store._database.writing() as connection:  # as a failing disk would
        connection.execute(update(checkpoints).where(checkpoints.c.step == 30).values(data=b"state at 3\x00"))
    with pytest.raises(CorruptCheckpoint, match="30"):
        store.checkpoint(run_id)  # type: ignore[arg-type]
    attempt = store.start_attempt(run_id)  # type: ignore[arg-type]
    found = store.checkpoint(attempt.run_id)
    assert found is not None
    assert (found.step, found.data) == (20, blobs[1])
    assert store.metrics([attempt.run_id])[attempt.run_id]["loss"].step[-1] == 20
    assert "step 30 is damaged" in store.log(attempt.run_id)[-1].text


def test_without_a_checkpoint_a_resumed_run_starts_from_nothing(store: Store) -> None:
    attempt = started(store)
    post(
        store,
        attempt,
        report(0, step=5, metrics={"loss": column([1, 2])}, summary=Summary(parameters=5, loss=2)),
    )
    end(store, attempt)
    store.requeue(attempt.run_id)
    again = store.start_attempt(attempt.run_id)
    assert not again.resume
    assert store.metrics([attempt.run_id])[attempt.run_id] == {}
    run = store.run(attempt.run_id)
    assert (run.step, run.summary) == (0, Summary(parameters=5))
