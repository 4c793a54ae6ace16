"""The bin, deleting for good a few rows at a time, and dropping superseded rows the same way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select

from tests.trainer.store.making import (
    CONFIG,
    checkpoint,
    column,
    end,
    post,
    queued,
    report,
    started,
    vector,
)
from trainer.schema import LogLine, Run, RunState, Sample, TextSample
from trainer.store import Attempt, Conflict, RunNotFound, Store, deletion, lifecycle
from trainer.store.records import now, to_datetime
from trainer.store.tables import metadata, runs

POSTS = 12
LINES = 50


def large(store: Store, name: str = "large") -> Attempt:
    """A running attempt that recorded something of each kind in many reports after its checkpoint."""
    attempt = started(store, name)
    text = TextSample(prompt="a", text="b", temperature=1.0)
    line = LogLine(at=to_datetime(0), level="info", text="x")
    post(store, attempt, report(step=1, checkpoint=checkpoint(1, b"data")), b"data")
    for sequence in range(1, POSTS):
        steps = [10 * sequence + place for place in range(5)]
        post(
            store,
            attempt,
            report(
                sequence,
                step=steps[-1],
                metrics={"loss": column(steps), "error": column(steps)},
                vectors=[vector(f"h/{place}", step, [1.0]) for step in steps for place in range(2)],
                samples=[Sample(step=step, index=0, content=text) for step in steps],
                log=[line] * LINES,
            ),
        )
    return attempt


def rows(store: Store) -> dict[str, int]:
    with store._database.reading() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
            if table.name not in ("names", "owner", "corpora")
        }


@contextmanager
def transactions(store: Store) -> Iterator[list[int]]:
    """How many rows each transaction of the writer deleted."""
    deleted: list[int] = []

    def begun(_connection: Connection) -> None:
        deleted.append(0)

    def executed(_c: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("DELETE"):
            deleted[-1] += cursor.rowcount

    engine = store._database._writer
    event.listen(engine, "begin", begun)
    event.listen(engine, "after_cursor_execute", executed)
    yield deleted
    event.remove(engine, "begin", begun)
    event.remove(engine, "after_cursor_execute", executed)


def test_a_large_run_is_gone_for_everybody_at_once_and_its_rows_go_a_few_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "ROWS", 60)
    attempt = large(store)
    end(store, attempt)
    kept = rows(store)
    other = queued(store, "other")
    with transactions(store) as deleted:
        store.delete_run(attempt.run_id)
        for ask in (
            lambda: store.run(attempt.run_id),
            lambda: store.metrics([attempt.run_id]),
            lambda: store.log(attempt.run_id),
            lambda: store.checkpoints(attempt.run_id),
            lambda: store.patch_run(attempt.run_id, binned=False),
            lambda: store.requeue(attempt.run_id),
            lambda: store.delete_run(attempt.run_id),
            lambda: store.accept(attempt.run_id, 1, attempt.token, report()),
        ):
            with pytest.raises(RunNotFound):
                ask()
        assert [run.id for run in store.runs().runs] == [other.id]
        assert store.runs().total == 1
        assert store.deleted() == [attempt.run_id]
        assert rows(store)["log"] > 0
        while store.sweep(attempt.run_id):
            pass
    assert max(deleted) <= 60 + 1  # the run itself
    assert sum(deleted) == sum(kept.values())
    assert store.deleted() == []
    assert rows(store) == {**dict.fromkeys(kept, 0), "runs": 1}
    assert not store.sweep(attempt.run_id)
    assert not store.sweep(other.id), "it was not deleted"
    assert store.run(other.id) == other


def test_checkpoints_go_some_megabytes_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "BYTES", 1000)
    attempt = started(store)
    for sequence, step in enumerate((1, 2, 3)):
        data = bytes([step]) * 900
        post(store, attempt, report(sequence, step, checkpoint=checkpoint(step, data, 1 / step)), data)
    end(store, attempt)
    assert rows(store)["checkpoints"] == 2
    monkeypatch.setattr(deletion, "BYTES", 500)
    store.delete_run(attempt.run_id)
    assert rows(store)["checkpoints"] == 1
    while store.sweep(attempt.run_id):
        pass
    assert rows(store)["runs"] == 0


def test_what_a_resume_supersedes_goes_a_few_rows_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "ROWS", 7)
    attempt = large(store)
    end(store, attempt)
    store.requeue(attempt.run_id)
    with transactions(store) as deleted:
        again = store.start_attempt(attempt.run_id)
    assert again.resume
    assert sum(deleted) > 100
    assert max(deleted) <= 7
    assert store.metrics([attempt.run_id])[attempt.run_id] == {}
    assert store.vectors(attempt.run_id) == {}
    assert store.samples(attempt.run_id) == []
    assert len(store.log(attempt.run_id)) == LINES * (POSTS - 1)
    assert store.run(attempt.run_id).step == 1


def test_a_run_stopped_while_its_superseded_rows_go_is_left_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "ROWS", 7)
    attempt = large(store)
    end(store, attempt)
    store.requeue(attempt.run_id)
    original, calls = deletion.delete_some, []

    def delete_some(connection: Connection, *arguments: Any) -> int:
        calls.append(arguments)
        if len(calls) == 2:
            lifecycle.request_stop(connection, attempt.run_id)
        return original(connection, *arguments)

    monkeypatch.setattr(deletion, "delete_some", delete_some)
    with pytest.raises(Conflict, match="stopped"):
        store.start_attempt(attempt.run_id)
    assert len(calls) == 2
    assert store.metrics([attempt.run_id])[attempt.run_id]


# --- The bin -----------------------------------------------------------------------------------------


def binned(store: Store, name: str = "binned") -> Run:
    run = queued(store, name, ["tag"])
    store.request_stop(run.id)
    return store.patch_run(run.id, binned=True)


def test_a_run_in_the_bin_is_out_of_the_list_and_can_be_put_back(store: Store) -> None:
    kept, run = queued(store, "kept", ["tag"]), binned(store)
    assert run.binned_at is not None
    for filters in ({}, {"tag": "tag"}, {"search": "tag"}):
        assert [found.id for found in store.runs(**filters).runs] == [kept.id]
        assert store.runs(**filters).total == 1
        assert [found.id for found in store.runs(binned=True, **filters).runs] == [run.id]
    assert store.run(run.id) == run, "a link to it says that it is in the bin"
    back = store.patch_run(run.id, binned=False)
    assert back.binned_at is None
    assert {found.id for found in store.runs().runs} == {kept.id, run.id}
    assert store.runs(binned=True).total == 0


def test_the_time_in_the_bin_counts_from_the_first_time_it_was_put_there(store: Store) -> None:
    run = binned(store)
    assert store.patch_run(run.id, binned=True).binned_at == run.binned_at
    assert store.patch_run(run.id, name="new").binned_at == run.binned_at


def test_a_running_run_is_not_put_into_the_bin_and_a_queued_one_does_not_start_there(store: Store) -> None:
    attempt = started(store)
    with pytest.raises(Conflict, match="running"):
        store.patch_run(attempt.run_id, name="not renamed either", binned=True)
    assert store.run(attempt.run_id).name == "a run"
    waiting = queued(store)
    run = store.patch_run(waiting.id, binned=True)
    assert run.state is RunState.STOPPED
    assert store.next_queued() is None
    assert not run.can_resume
    with pytest.raises(Conflict, match="in the bin"):
        store.requeue(run.id)
    store.patch_run(run.id, binned=False)
    assert store.requeue(run.id).state is RunState.QUEUED


def test_the_key_of_a_run_in_the_bin_still_finds_it_and_that_of_a_deleted_one_makes_a_new_run(
    store: Store,
) -> None:
    run, _ = store.create_run(CONFIG, "x", [], "key")
    store.patch_run(run.id, binned=True)
    again, is_new = store.create_run(CONFIG, "x", [], "key")
    assert not is_new
    assert (again.id, again.binned_at is None) == (run.id, False)
    store.delete_run(run.id)
    new, is_new = store.create_run(CONFIG, "x", [], "key")
    assert is_new
    assert new.id != run.id


def test_after_a_day_what_is_in_the_bin_is_deleted(store: Store) -> None:
    old, new, kept = binned(store, "old"), binned(store, "new"), queued(store)
    with store._database.writing() as connection:
        almost, over = now() - 24 * 3600 * 10**6 + 10**7, now() - 24 * 3600 * 10**6 - 1
        for run, at in ((old, over), (new, almost)):
            connection.execute(runs.update().where(runs.c.id == run.id).values(binned_at=at))
    assert store.deleted() == [old.id]
    with pytest.raises(RunNotFound):
        store.run(old.id)
    assert [run.id for run in store.runs(binned=True).runs] == [new.id]
    assert store.run(kept.id) == kept


def test_a_run_can_be_deleted_out_of_the_bin(store: Store) -> None:
    run = binned(store)
    store.delete_run(run.id)
    assert store.runs(binned=True).total == 0
    assert store.deleted() == [run.id]
    store.sweep(run.id)
    assert rows(store)["runs"] == 0
