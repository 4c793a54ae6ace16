"""The list of runs: filters, orders, pages."""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.trainer.store.making import end, post, queued, report
from trainer.schema import Run, RunState, Summary
from trainer.store import BadCursor, Store
from trainer.store.listing import Direction, Order

DIRECTIONS: list[Direction] = ["ascending", "descending"]


@pytest.fixture
def mixed(store: Store) -> list[Run]:
    """Thirty runs with many ties, some of them without a validation loss."""
    drawn = random.Random(0)
    for index in range(30):
        run = queued(
            store,
            name=drawn.choice(["alpha", "Beta", "50%_off"]),
            tags=drawn.sample(["red", "green", "Blau"], k=index % 3),
            model=drawn.choice(["lstm", "gru"]),
            task=drawn.choice(["adding", "characters"]),
        )
        if index % 3:
            attempt = store.start_attempt(run.id)
            loss = drawn.choice([0.5, 1.0, 2.0]) if index % 2 else None
            post(
                store,
                attempt,
                report(step=drawn.choice([10, 20]), summary=Summary(best_validation_loss=loss)),
            )
            if index % 4 == 0:
                end(store, attempt)
    return store.runs(limit=500).runs


def walk(store: Store, limit: int, **options: object) -> list[UUID]:
    found: list[UUID] = []
    cursor = None
    while True:
        page = store.runs(cursor=cursor, limit=limit, **options)  # type: ignore[arg-type]
        found += [run.id for run in page.runs]
        cursor = page.next
        if cursor is None:
            return found
        assert len(page.runs) == limit
        assert len(set(found)) == len(found), "a page repeats a run"


def test_pages_hold_every_run_once_in_order(store: Store, mixed: list[Run]) -> None:
    """Against Python's own sort, for every order and page size: no validation loss last, ties by number."""
    values: dict[Order, Callable[[Run], Any]] = {
        "created": lambda run: run.number,
        "name": lambda run: run.name.encode(),
        "state": lambda run: run.state.value,
        "validation": lambda run: run.summary.best_validation_loss,
        "step": lambda run: run.step,
    }
    for (order, value), direction, limit in itertools.product(values.items(), DIRECTIONS, (1, 7, 500)):
        down = direction == "descending"
        present = [run for run in mixed if value(run) is not None]
        absent = [run for run in mixed if value(run) is None]
        expected = sorted(present, key=lambda run, of=value: (of(run), run.number), reverse=down)  # type: ignore[misc]
        expected += sorted(absent, key=lambda run: run.number, reverse=down)
        walked = walk(store, limit, order=order, direction=direction)
        if order == "name" and not store._database.is_sqlite:  # PostgreSQL sorts text by its own collation
            assert sorted(walked) == sorted(run.id for run in expected)
        else:
            assert walked == [run.id for run in expected], (order, direction, limit)


def test_runs_added_between_two_pages_neither_repeat_nor_hide_one(store: Store) -> None:
    old = [queued(store).id for _ in range(6)][::-1]
    first = store.runs(limit=3)
    added = queued(store).id
    second = store.runs(limit=3, cursor=first.next)
    assert [run.id for run in (*first.runs, *second.runs)] == old
    assert second.next is None
    assert store.runs(limit=1).runs[0].id == added


FILTERS: list[tuple[dict[str, Any], Callable[[Run], bool]]] = [
    ({"states": [RunState.QUEUED]}, lambda run: run.state is RunState.QUEUED),
    (
        {"states": [RunState.RUNNING, RunState.INTERRUPTED]},
        lambda run: run.state in (RunState.RUNNING, RunState.INTERRUPTED),
    ),
    ({"model": "gru"}, lambda run: run.config.model["name"] == "gru"),
    ({"task": "adding"}, lambda run: run.config.task["name"] == "adding"),
    ({"tag": "red"}, lambda run: "red" in run.tags),
    ({"search": "BET"}, lambda run: "beta" in run.name.lower()),
    ({"search": "blau"}, lambda run: "Blau" in run.tags),
    ({"search": "%_"}, lambda run: "%_" in run.name),
    ({"model": "gru", "tag": "red"}, lambda run: run.config.model["name"] == "gru" and "red" in run.tags),
    ({"search": "nothing is called so"}, lambda _: False),
]


def test_a_filter_keeps_what_matches_and_counts_it(store: Store, mixed: list[Run]) -> None:
    for options, keep in FILTERS:
        expected = [run.id for run in mixed if keep(run)]
        assert walk(store, 4, **options) == expected, options
        assert store.runs(limit=1, **options).total == len(expected)
        assert len(expected) < len(mixed)


def forged(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!!!",
        "Zm9v",
        "é",
        forged("name", "descending", "a", 1),
        forged("created", "descending", "a", 1),
        forged("created", "descending", 1, 2**70),
        forged("created", "descending", 2**70, 1),
        forged("created", "descending", {}, []),
        forged("created", "descending"),
    ],
)
def test_a_cursor_that_was_not_given_out_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(BadCursor):
        store.runs(cursor=cursor)


@pytest.mark.parametrize("name", ["a\x00b", "a\ud800", "\udfff", "\udc80b"])
def test_neither_is_one_with_a_text_that_no_database_takes(store: Store, name: str) -> None:
    queued(store)
    with pytest.raises(BadCursor):
        store.runs(cursor=forged("name", "descending", name, 1), order="name")
