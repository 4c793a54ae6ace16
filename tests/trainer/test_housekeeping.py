"""What the service does beside its work, with a real store and no other process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.trainer.engine.test_local import until
from tests.trainer.store.making import checkpoint, end, post, queued, report, started
from tests.trainer.store.test_sqlite_file import MEGABYTE, of_an_earlier_version, size
from trainer import housekeeping
from trainer.housekeeping import Housekeeper
from trainer.store import Claim, RunNotFound, Store, StoreAway, StoreDamaged, StoreLost, deletion
from trainer.store.tables import owner, runs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "unfold.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{path}")
    made.claim(Claim.of_this_process(path.parent))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(housekeeping, "PAUSE_SECONDS", 0.001)


@pytest.fixture
def keeper(store: Store, path: Path) -> Iterator[Housekeeper]:
    made = Housekeeper(store, path.parent)
    yield made
    made.stop()


def large(store: Store, megabytes: int) -> Any:
    attempt = started(store)
    data = os.urandom(megabytes * MEGABYTE)
    post(store, attempt, report(step=1, checkpoint=checkpoint(1, data)), data)
    end(store, attempt)
    return attempt.run_id


def test_a_deleted_run_leaves_the_disk_with_its_logs(
    store: Store, keeper: Housekeeper, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "ROWS", 3)
    before = size(path)
    doomed, kept = large(store, 6), queued(store).id
    logs = path.parent / "logs"
    logs.mkdir()
    for run_id in (doomed, kept):
        (logs / f"{run_id}-1.log").write_text("what its process printed")
    keeper.start()
    store.delete_run(doomed)
    until(lambda: size(path) < before + MEGABYTE)
    until(lambda: [log.name for log in logs.iterdir()] == [f"{kept}-1.log"])
    assert store.deleted() == []


def test_what_an_earlier_service_had_begun_to_delete_goes_on(store: Store, keeper: Housekeeper) -> None:
    run = queued(store)
    with store._database.writing() as connection:
        connection.execute(update(runs).where(runs.c.id == run.id).values(deleted_at=1, state="stopped"))
    assert store.deleted() == [run.id]
    keeper.start()
    until(lambda: not store.deleted())


def test_the_bin_is_emptied_of_what_lay_there_for_a_day(store: Store, keeper: Housekeeper) -> None:
    run = queued(store)
    store.patch_run(run.id, binned=True)
    keeper.start()
    with store._database.writing() as connection:
        connection.execute(update(runs).values(binned_at=runs.c.binned_at - 25 * 3600 * 10**6))

    def is_gone() -> bool:
        try:
            store.run(run.id)
        except RunNotFound:
            return True
        return False

    until(is_gone)


def test_an_old_file_is_written_anew_once_nothing_trains(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "REWRITE_SECONDS", 0.05)
    first = Store(f"sqlite:///{path}")
    first.migrate()
    first.close()
    store = Store(f"sqlite:///{of_an_earlier_version(path)}")
    store.claim(Claim.of_this_process(path.parent))
    large_run, training = large(store, 12), started(store)
    store.delete_run(large_run)
    rewritten = threading.Event()
    original = Store.rewrite

    def rewrite(self: Store) -> bool:
        assert not self.running(), "while one trains"
        rewritten.set()
        return original(self)

    monkeypatch.setattr(Store, "rewrite", rewrite)
    keeper = Housekeeper(store, path.parent)
    keeper.start()
    until(lambda: not store.deleted())
    assert not rewritten.is_set()
    end(store, training)
    until(lambda: size(path) < MEGABYTE)
    keeper.stop()
    store.close()


def test_a_reserve_is_kept_while_runs_train(
    store: Store, keeper: Housekeeper, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "RESERVE", 4 * MEGABYTE)
    doomed, training = large(store, 8), started(store)
    store.delete_run(doomed)
    keeper.tidy()
    assert 4 * MEGABYTE < path.stat().st_size < 5 * MEGABYTE
    end(store, training)
    keeper.tidy()
    assert path.stat().st_size < MEGABYTE


def test_it_gives_signs_of_life_and_tells_when_they_came_too_late(store: Store, keeper: Housekeeper) -> None:
    def seen() -> int:
        with store._database.reading() as connection:
            return int(connection.execute(owner.select()).one().seen_at)

    before = seen()
    keeper.start()
    until(lambda: seen() > before)
    told: list[StoreLost] = []
    keeper.when_lost(told.append)
    with store._database.migrating() as connection:
        connection.execute(update(owner).values(key="another", host="elsewhere"))
    until(lambda: bool(told))
    assert "elsewhere" in told[0].message
    late: list[StoreLost] = []
    keeper.when_lost(late.append)
    assert late == told


@pytest.mark.parametrize("error", [StoreDamaged("damaged"), OSError("no such device")])
def test_it_gives_signs_of_life_while_its_work_fails(
    keeper: Housekeeper, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Without them another service would take the database of one that lives."""
    beats: list[int] = []
    tidied: list[int] = []

    def fails(_self: Store) -> list[Any]:
        tidied.append(len(beats))
        raise error

    monkeypatch.setattr(Store, "beat", lambda _self: beats.append(1))
    monkeypatch.setattr(Store, "deleted", fails)
    keeper.start()
    until(lambda: len(beats) >= 5)
    assert tidied == [1], "what fails is not tried again at once"


def test_it_outlives_a_database_that_is_away(
    store: Store, keeper: Housekeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = threading.Event()

    def beat(_self: Store) -> None:
        away.set()
        raise StoreAway("away")

    monkeypatch.setattr(Store, "beat", beat)
    keeper.start()
    away.wait()
    monkeypatch.undo()
    run = queued(store)
    store.delete_run(run.id)
    until(lambda: not store.deleted())
