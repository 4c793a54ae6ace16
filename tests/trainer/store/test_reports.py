"""Reports: all of one or nothing, once, and only from the attempt whose turn it is."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trainer.store.making import (
    checkpoint,
    column,
    end,
    post,
    queued,
    report,
    started,
    vector,
)
from trainer.schema import Chance, End, LogLine, Report, RunState, Sample, SequenceSample, Summary, TextSample
from trainer.store import BadReport, BadToken, StaleAttempt, Store, reports
from trainer.store.records import to_datetime


def steps_of(store: Store, run_id: Any, key: str = "loss") -> list[int]:
    curves = store.metrics([run_id])[run_id]
    return curves[key].step if key in curves else []


def test_a_report_with_a_wrong_checkpoint_hash_leaves_nothing(store: Store) -> None:
    attempt = started(store)
    sent = report(step=3, metrics={"loss": column([1, 2])}, checkpoint=checkpoint(3, b"right"))
    with pytest.raises(BadReport, match="SHA-256"):
        post(store, attempt, sent, b"wrong")
    assert steps_of(store, attempt.run_id) == []
    assert store.run(attempt.run_id).step == 0
    post(store, attempt, sent, b"right")  # the same sequence is still free
    assert steps_of(store, attempt.run_id) == [1, 2]


def test_a_failure_halfway_through_undoes_what_was_written_before_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics are written before the checkpoint; when that fails they are not there."""
    attempt = started(store)

    def fail(*_: object) -> None:
        raise RuntimeError("disk full")

    sent = report(step=3, metrics={"new key": column([1, 2])}, checkpoint=checkpoint(3, b"x"))
    with monkeypatch.context() as patched:
        patched.setattr(reports.checkpoints, "write", fail)
        with pytest.raises(RuntimeError, match="disk full"):
            post(store, attempt, sent, b"x")
    assert store.metrics([attempt.run_id])[attempt.run_id] == {}
    post(store, attempt, sent, b"x")  # also the key's own row was undone, and is made again
    assert steps_of(store, attempt.run_id, "new key") == [1, 2]


def test_the_same_sequence_again_changes_nothing_even_after_the_end(store: Store) -> None:
    attempt = started(store)
    log = [LogLine(at=to_datetime(0), level="info", text="once")]
    post(store, attempt, report(0, step=2, metrics={"loss": column([1, 2])}, log=log))
    post(store, attempt, report(0, step=9, metrics={"loss": column([1, 2, 3], [7.0, 7.0, 7.0])}, log=log))
    last = report(1, step=2, end=End(state=RunState.FINISHED))
    post(store, attempt, last)
    post(store, attempt, last)  # its first answer may have been lost
    run = store.run(attempt.run_id)
    assert (run.step, run.state) == (2, RunState.FINISHED)
    curve = store.metrics([attempt.run_id])[attempt.run_id]["loss"]
    assert curve.value == [1.0, 2.0]
    assert len(store.log(attempt.run_id)) == 1


def test_an_older_attempt_and_one_that_ended_are_stale(store: Store) -> None:
    old = started(store)
    end(store, old)
    with pytest.raises(StaleAttempt, match="ended"):
        post(store, old, report(0))
    store.requeue(old.run_id)
    new = store.start_attempt(old.run_id)
    with pytest.raises(StaleAttempt, match="attempt 2"):
        post(store, old, report(1, metrics={"loss": column([1])}))
    with pytest.raises(StaleAttempt):
        store.attempt_checkpoint(old.run_id, old.number, old.token)
    post(store, new, report(0))
    assert steps_of(store, old.run_id) == []


def test_a_token_opens_its_own_attempt_and_nothing_else(store: Store) -> None:
    mine, other = started(store), started(store)
    for number, token in (
        (1, other.token),
        (1, ""),
        (1, "\udcff"),
        (2, mine.token),
        (0, mine.token),
        (2**60, "x"),
    ):
        with pytest.raises(BadToken):
            store.accept(mine.run_id, number, token, report(0))
    assert store.is_current_token(mine.token)
    assert not store.is_current_token("x")
    end(store, mine)
    assert not store.is_current_token(mine.token)


def test_the_token_itself_is_not_in_the_database(store: Store) -> None:
    attempt = started(store)
    with store._database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM attempts").all()
    assert attempt.token not in str(rows)


def test_values_that_are_not_finite_come_back_as_none_with_their_flag(store: Store) -> None:
    attempt = started(store)
    post(store, attempt, report(metrics={"loss": column([1, 2, 3, 4], [math.nan, 2.0, math.inf, -math.inf])}))
    curve = store.metrics([attempt.run_id])[attempt.run_id]["loss"]
    assert curve.value == [None, 2.0, None, None]
    assert curve.flag == {1: "nan", 3: "inf", 4: "-inf"}
    assert curve.seconds == [0.5, 1.0, 1.5, 2.0]
    assert curve.sequences == [32.0, 64.0, 96.0, 128.0]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    points=st.dictionaries(
        st.integers(0, 2**53 - 1), st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20
    )
)
def test_every_finite_double_comes_back_equal(store: Store, points: dict[int, float]) -> None:
    """Exactly equal; SQLite keeps everything but the sign of a zero."""
    attempt = started(store)
    steps = sorted(points)
    post(store, attempt, report(metrics={"loss": column(steps, [points[step] for step in steps])}))
    curve = store.metrics([attempt.run_id])[attempt.run_id]["loss"]
    assert curve.step == steps
    assert curve.value == [points[step] for step in steps]


def test_a_point_that_is_sent_again_replaces_the_old_one(store: Store) -> None:
    attempt = started(store)
    post(store, attempt, report(0, metrics={"loss": column([1, 2])}))
    post(store, attempt, report(1, metrics={"loss": column([2, 3], [math.nan, 9.0])}))
    curve = store.metrics([attempt.run_id])[attempt.run_id]["loss"]
    assert (curve.step, curve.value, curve.flag) == ([1, 2, 3], [1.0, None, 9.0], {2: "nan"})


def test_a_summary_is_merged_and_none_leaves_what_is_stored(store: Store) -> None:
    attempt = started(store)
    post(store, attempt, report(0, summary=Summary(parameters=7, loss=1.0, chance=Chance(loss=2.0))))
    post(store, attempt, report(1, summary=Summary(loss=0.5)))
    post(store, attempt, report(2))
    assert store.run(attempt.run_id).summary == Summary(parameters=7, loss=0.5, chance=Chance(loss=2.0))


def test_samples_and_log_keep_text_that_databases_cannot_hold(store: Store) -> None:
    attempt = started(store)
    text = TextSample(prompt="a\x00b", text="\x00<script>", temperature=0.5)
    shown = SequenceSample(channels=[], informative=[1], target="1", prediction="2", correct=False)
    post(
        store,
        attempt,
        report(
            samples=[Sample(step=2, index=1, content=shown), Sample(step=2, index=0, content=text)],
            log=[LogLine(at=to_datetime(1_000_001), level="error", text="nul \x00 here")],
        ),
    )
    assert [sample.content for sample in store.samples(attempt.run_id)] == [text, shown]
    line = store.log(attempt.run_id)[0]
    assert (line.at, line.level, line.text) == (to_datetime(1_000_001), "error", "nul \ufffd here")


@pytest.mark.parametrize(
    "sent",
    [
        report(metrics={"loss": column([1, 2]).model_copy(update={"value": [1.0]})}),
        report(metrics={"loss": column([-1])}),
        report(metrics={"loss": column([2**60])}),
        report(metrics={"": column([1])}),
        report(metrics={"a\x00b": column([1])}),
        report(metrics={"loss": column([1]).model_copy(update={"seconds": [math.nan]})}),
        report(vectors=[vector("h/0", -1, [1.0])]),
        report(vectors=[vector("h/0", 1, [1.0]).model_copy(update={"numbers": b"abc"})]),
        report(step=-1),
        report(step=2**70),
        report(sequence=-1),
        report(end=End(state=RunState.RUNNING)),
        report(checkpoint=checkpoint(1, b"x")),
        report(summary=Summary(chance=Chance(loss=math.nan))),
    ],
)
def test_a_report_that_contradicts_itself_is_refused_whole(store: Store, sent: Report) -> None:
    attempt = started(store)
    with pytest.raises(BadReport):
        post(store, attempt, sent)
    assert store.metrics([attempt.run_id])[attempt.run_id] == {}
    post(store, attempt, report(0))


def test_checkpoint_bytes_that_nobody_announced_are_refused(store: Store) -> None:
    with pytest.raises(BadReport):
        post(store, started(store), report(), b"bytes")


def test_the_last_two_checkpoints_and_the_best_are_kept(store: Store) -> None:
    attempt = started(store)
    losses: list[float | None] = [5.0, 1.0, None, 3.0, math.nan, 1.0]
    kept = []
    for index, loss in enumerate(losses):
        data = bytes([index])
        post(store, attempt, report(index, checkpoint=checkpoint(index, data, loss)), data)
        kept.append(
            [step for step in range(len(losses)) if store.checkpoint(attempt.run_id, step) is not None]
        )
    # The second is the best from its arrival on: an equal one later does not take its place.
    assert kept == [[0], [0, 1], [1, 2], [1, 2, 3], [1, 3, 4], [1, 4, 5]]
    best, latest = store.checkpoint(attempt.run_id, "best"), store.checkpoint(attempt.run_id, "latest")
    assert best is not None
    assert latest is not None
    assert (best.data, latest.data) == (b"\x01", b"\x05")
    assert store.attempt_checkpoint(attempt.run_id, 1, attempt.token) == latest


def test_a_run_without_a_checkpoint_has_none(store: Store) -> None:
    run = queued(store)
    assert store.checkpoint(run.id) is None
    assert store.checkpoint(run.id, "best") is None


def test_readers_see_whole_reports_while_a_writer_writes(store: Store) -> None:
    """Each report carries one point of two metrics and the step; no reader ever finds them apart."""
    attempt = started(store)
    done = threading.Event()
    torn: list[object] = []

    def read() -> None:
        seen = 0
        while not done.is_set():
            curves = store.metrics([attempt.run_id])[attempt.run_id]
            a, b = (curves[key].step if key in curves else [] for key in ("a", "b"))
            if a != b or len(a) < seen:
                torn.append((a, b))
            seen = max(seen, len(a))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for index in range(60):
        post(store, attempt, report(index, metrics={"a": column([index]), "b": column([index])}))
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []
    assert steps_of(store, attempt.run_id, "a") == list(range(60))


def test_writers_in_many_threads_lose_nothing(store: Store) -> None:
    attempts = [started(store) for _ in range(4)]
    failures: list[BaseException] = []

    def write(which: int) -> None:
        try:
            for index in range(15):
                post(store, attempts[which], report(index, metrics={f"key {which} {index}": column([index])}))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [len(store.metrics([a.run_id])[a.run_id]) for a in attempts] == [15] * 4


def test_a_resumed_run_stands_at_its_checkpoint_until_its_worker_has_read_it(store: Store) -> None:
    """A worker reports from its first half second on, when it does not know its step yet."""
    attempt = started(store)
    data = b"weights"
    post(store, attempt, report(0, 30, metrics={"loss": column([30])}, checkpoint=checkpoint(30, data)), data)
    end(store, attempt)
    store.requeue(attempt.run_id)
    again = store.start_attempt(attempt.run_id)
    assert store.run(attempt.run_id).step == 30
    post(store, again, report(0, 0))
    assert store.run(attempt.run_id).step == 30
    post(store, again, report(1, 31))
    assert store.run(attempt.run_id).step == 31


def test_a_worker_that_could_not_learn_who_ended_it_is_stopped_where_the_user_asked_for_it(
    store: Store,
) -> None:
    """Its last checkpoint took so long to post that it got no answer before its last word."""
    for asked, state in ((True, RunState.STOPPED), (False, RunState.INTERRUPTED)):
        attempt = started(store)
        if asked:
            store.request_stop(attempt.run_id)
        post(store, attempt, report(0, 7, end=End(state=RunState.INTERRUPTED, reason="SIGTERM")))
        run = store.run(attempt.run_id)
        assert run.state is state
        assert run.reason == ("stopped at update 7" if asked else "SIGTERM")
