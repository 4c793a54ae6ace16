"""Runs: made once per key, renamed, tagged, deleted with every row."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import create_engine, func, make_url, select

from tests.trainer.store.making import (
    CONFIG,
    checkpoint,
    column,
    config,
    end,
    post,
    queued,
    report,
    started,
    vector,
)
from trainer.schema import LogLine, RunState, Sample, TextSample
from trainer.store import Conflict, IdempotencyConflict, RunNotFound, Store
from trainer.store.records import to_datetime
from trainer.store.tables import metadata


def test_a_new_run_reads_back_as_it_was_made(store: Store) -> None:
    made, is_new = store.create_run(config(seed=7), "Größe · 1", ["a", "b", "a"])
    assert is_new
    read = store.run(made.id)
    assert read == made
    assert (read.name, read.tags, read.state, read.step) == ("Größe · 1", ["a", "b"], RunState.QUEUED, 0)
    assert read.config == config(seed=7)
    assert read.created_at.tzinfo is not None


def test_the_same_key_and_launch_make_one_run(store: Store) -> None:
    first, is_new = store.create_run(CONFIG, "x", ["t"], "key")
    again, is_new_again = store.create_run(CONFIG, "x", ["t"], "key")
    assert (is_new, is_new_again) == (True, False)
    assert again == first
    assert store.runs().total == 1


@pytest.mark.parametrize(
    ("seed", "name", "tags"),
    [(1, "x", ["t"]), (0, "y", ["t"]), (0, "x", ["u"])],
    ids=["config", "name", "tags"],
)
def test_the_same_key_with_another_launch_is_refused(
    store: Store, seed: int, name: str, tags: list[str]
) -> None:
    store.create_run(CONFIG, "x", ["t"], "key")
    with pytest.raises(IdempotencyConflict):
        store.create_run(config(seed=seed), name, tags, "key")
    assert store.runs().total == 1


def test_a_patch_changes_what_is_given_and_nothing_else(store: Store) -> None:
    run = queued(store, "old", ["a"])
    assert store.patch_run(run.id, name="new").tags == ["a"]
    changed = store.patch_run(run.id, tags=["b", "c"])
    assert (changed.name, changed.tags) == ("new", ["b", "c"])
    assert store.patch_run(run.id, tags=[]).tags == []


def test_a_deleted_run_leaves_no_row_and_its_number_is_not_given_again(store: Store, url: str) -> None:
    attempt = started(store)
    sent = report(
        metrics={"loss": column([1])},
        vectors=[vector("h/0", 1, [1.0])],
        samples=[Sample(step=1, index=0, content=TextSample(prompt="a", text="b", temperature=1.0))],
        log=[LogLine(at=to_datetime(0), level="info", text="x")],
        checkpoint=checkpoint(1, b"data"),
    )
    post(store, attempt, sent, b"data")
    store.patch_run(attempt.run_id, tags=["t"])
    number = store.run(attempt.run_id).number
    with pytest.raises(Conflict, match="running"):
        store.delete_run(attempt.run_id)
    end(store, attempt)
    store.delete_run(attempt.run_id)
    assert not store.sweep(attempt.run_id)
    with pytest.raises(RunNotFound):
        store.run(attempt.run_id)
    engine = create_engine(
        make_url(url.replace("postgresql://", "postgresql+psycopg://"))
    )  # looks past the store
    with engine.connect() as connection:
        left = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
            if table.name != "names"
        }
    engine.dispose()
    assert set(left.values()) == {0}, left
    assert queued(store).number == number + 1


def test_an_unknown_run_is_said_to_be_unknown_everywhere(store: Store) -> None:
    nobody = uuid.uuid4()
    for ask in (
        lambda: store.run(nobody),
        lambda: store.patch_run(nobody, "x"),
        lambda: store.delete_run(nobody),
        lambda: store.start_attempt(nobody),
        lambda: store.request_stop(nobody),
        lambda: store.requeue(nobody),
        lambda: store.end_attempt(nobody, 1, RunState.FAILED),
        lambda: store.accept(nobody, 1, "t", report()),
        lambda: store.metrics([nobody]),
        lambda: store.vectors(nobody),
        lambda: store.samples(nobody),
        lambda: store.log(nobody),
        lambda: store.checkpoint(nobody),
    ):
        with pytest.raises(RunNotFound, match=str(nobody)):
            ask()
