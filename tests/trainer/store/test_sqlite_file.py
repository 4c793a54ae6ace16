"""A SQLite file: private to its user, smaller after deletions, told as what it is when it cannot be used."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trainer.store.making import checkpoint, column, end, post, queued, report, started
from trainer.schema import LogLine
from trainer.store import (
    Claim,
    Store,
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreReadOnly,
    sqlite_file,
)
from trainer.store.records import to_datetime

MEGABYTE = 2**20


@pytest.fixture
def path(tmp_path: Path, migrated: Path) -> Path:
    """A file with all tables and nothing in them."""
    return Path(shutil.copy(migrated, tmp_path / "unfold.db"))


def opened(path: Path) -> Store:
    store = Store(f"sqlite:///{path}")
    store.migrate()
    return store


def filled(store: Store, megabytes: int) -> None:
    """Delete a run that held so much."""
    attempt = started(store)
    data = os.urandom(megabytes * MEGABYTE)
    post(store, attempt, report(step=1, checkpoint=checkpoint(1, data)), data)
    end(store, attempt)
    store.delete_run(attempt.run_id)
    while store.sweep(attempt.run_id):
        pass


def size(path: Path) -> int:
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))


def of_an_earlier_version(path: Path) -> Path:
    """The same file without the setting by which it gives back empty pages."""
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA auto_vacuum = NONE; VACUUM;")
    connection.close()
    return path


def test_a_new_file_gives_the_room_of_deletions_back_a_few_pages_at_a_time(path: Path) -> None:
    store = opened(path)
    before = size(path)
    filled(store, 8)
    assert store.truncate_log()
    assert size(path) > 8 * MEGABYTE
    given = []
    while pages := store.give_back():
        given.append(pages)
    assert len(given) > 2
    assert max(given) == sqlite_file.PAGES
    assert store.truncate_log()
    assert size(path) < before + MEGABYTE // 2
    store.close()


def test_a_reserve_stays_in_the_file(path: Path) -> None:
    store = opened(path)
    filled(store, 8)
    while store.give_back(4 * MEGABYTE):
        pass
    assert store.truncate_log()
    assert 4 * MEGABYTE < size(path) < 5 * MEGABYTE
    store.close()


def test_a_file_of_an_earlier_version_is_written_anew_once_and_keeps_what_it_holds(path: Path) -> None:
    store = opened(of_an_earlier_version(path))
    run = queued(store, "kept")
    before = size(path)
    assert not store.rewrite(), "nothing is empty in it"
    filled(store, 12)
    assert store.give_back() == 0, "it cannot a few pages at a time"
    assert store.rewrite()
    assert store.truncate_log()
    assert size(path) < before + MEGABYTE // 2
    assert store.run(run.id) == run
    assert not store.rewrite()
    filled(store, 2)
    assert store.give_back() > 0
    store.close()


def test_a_file_is_not_written_anew_where_the_disk_has_no_room_for_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(of_an_earlier_version(path))
    filled(store, 12)
    usage = shutil.disk_usage(path.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    assert not store.rewrite()
    assert "needs" in caplog.text
    store.close()


def test_whoever_writes_interrupts_the_writing_anew_which_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(of_an_earlier_version(path))
    lines = [LogLine(at=to_datetime(0), level="info", text="x")] * 2000
    post(store, started(store), report(log=lines))  # so that there is something to write
    filled(store, 12)
    began = threading.Event()
    original = sqlite_file.rewrite

    def rewrite(connection: sqlite3.Connection, is_wanted: Callable[[], bool]) -> bool:
        began.set()
        while not is_wanted():
            time.sleep(0.001)
        return original(connection, is_wanted)

    monkeypatch.setattr(sqlite_file, "rewrite", rewrite)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(store.rewrite()))
    thread.start()
    began.wait()
    queued(store)
    thread.join()
    assert results == [False]
    assert store.runs().total == 2
    assert size(path) > 12 * MEGABYTE
    monkeypatch.setattr(sqlite_file, "rewrite", original)
    assert store.rewrite()
    store.close()


# --- Who may read it ---------------------------------------------------------------------------------


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.parametrize("exists", [False, True])
def test_the_database_and_what_lies_beside_it_is_its_users_alone(
    tmp_path: Path, migrated: Path, exists: bool
) -> None:
    path = tmp_path / "folder" / "unfold.db"
    if exists:
        path.parent.mkdir()
        shutil.copy(migrated, path)
        path.chmod(0o664)
        for name in ("unfold.db-wal", "unfold.db-shm"):
            (path.parent / name).touch(0o666)
    before = os.umask(0)
    try:
        store = opened(path)
        queued(store)
        assert modes(path.parent) == dict.fromkeys(("unfold.db", "unfold.db-wal", "unfold.db-shm"), 0o600)
        store.close()
    finally:
        os.umask(before)


# --- What cannot be used -----------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "unfold.db"
    path.write_bytes(b"some notes of mine, that are no database\n" * 100)
    with pytest.raises(StoreDamaged, match="not a SQLite database"):
        opened(path)
    assert path.read_bytes().startswith(b"some notes of mine")


def damaged(path: Path, harm: Callable[[bytearray], bytes]) -> Path:
    store = opened(path)
    for name in "abcdefgh":
        queued(store, name)
    attempt = started(store)
    for sequence in range(40):
        steps = list(range(100 * sequence, 100 * sequence + 100))
        post(store, attempt, report(sequence, steps[-1], metrics={"loss": column(steps)}))
    store.close()
    path.write_bytes(harm(bytearray(path.read_bytes())))
    return path


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_is_cut_off_is_told(path: Path, share: float) -> None:
    damaged(path, lambda content: bytes(content[: int(len(content) * share)]))
    with pytest.raises(StoreDamaged, match="damaged") as refusal:
        opened(path)
    assert "copy" in refusal.value.remedy


def test_damage_inside_is_told_when_it_is_met(path: Path) -> None:
    def harm(content: bytearray) -> bytes:
        for page in range(4096 * 5, len(content), 4096):
            content[page : page + 4096] = b"\xa5" * 4096
        return bytes(content)

    damaged(path, harm)
    with pytest.raises(StoreDamaged, match="damaged"):
        opened(path)


def test_a_database_of_a_newer_version_is_told(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreForeign, match=r"newer Unfold.*9999"):
        opened(path)
    store = Store(f"sqlite:///{path}")
    with pytest.raises(StoreForeign, match="newer Unfold"):
        store.claim_when_writing(Claim.of_this_process(path.parent))
    store.close()


@pytest.mark.parametrize(
    "tables",
    [
        "CREATE TABLE runs (run_uuid TEXT); CREATE TABLE metrics (key TEXT)",
        "CREATE TABLE runs (run_uuid TEXT); CREATE TABLE alembic_version (version_num TEXT);"
        "INSERT INTO alembic_version VALUES ('0a8213491aaa')",
    ],
)
def test_the_database_of_another_program_is_told_and_left_as_it_is(tmp_path: Path, tables: str) -> None:
    path = tmp_path / "mlflow.db"
    connection = sqlite3.connect(path)
    connection.executescript(tables)
    before = connection.execute("SELECT * FROM sqlite_schema").fetchall()
    with pytest.raises(StoreForeign, match="another program"):
        opened(path)
    assert connection.execute("SELECT * FROM sqlite_schema").fetchall() == before
    connection.close()


def limited(store: Store, more: int) -> None:
    """Let the file grow by so many pages and no further, as a full disk does: SQLite says SQLITE_FULL."""
    with store._database._raw_writer() as connection:
        assert connection is not None
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + more}").fetchone()


def test_a_full_disk_is_told_and_what_was_refused_can_be_sent_again(path: Path) -> None:
    store = opened(path)
    attempt = started(store)
    limited(store, 10)
    data = os.urandom(MEGABYTE)
    sent = report(step=1, checkpoint=checkpoint(1, data), metrics={"loss": column([1])})
    for _ in range(2):
        with pytest.raises(StoreFull, match="full"):
            post(store, attempt, sent, data)
    assert store.metrics([attempt.run_id])[attempt.run_id] == {}
    limited(store, 10_000)
    post(store, attempt, sent, data)
    assert store.run(attempt.run_id).step == 1
    store.close()


def test_a_file_that_cannot_be_written_is_told(path: Path) -> None:
    store = opened(path)
    run = queued(store)
    with store._database._raw_writer() as connection:
        assert connection is not None
        connection.execute("PRAGMA query_only = ON")  # root, as tests may be, writes any file
    with pytest.raises(StoreReadOnly, match="not written"):
        queued(store)
    assert store.run(run.id) == run
    store.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises((StoreError, OSError)):
        opened(tmp_path / "file" / "unfold.db")
