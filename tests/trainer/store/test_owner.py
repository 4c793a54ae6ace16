"""One service works with a database: a second is refused, a dead one succeeded, a lost one writes nothing."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import update

from tests.trainer.store.making import CONFIG, post, queued, report, started
from trainer.engine import identity
from trainer.store import Claim, Store, StoreLost, StoreOwned, owner
from trainer.store.tables import owner as row

Opened = Callable[..., Store]


@pytest.fixture
def opened(url: str) -> Iterator[Opened]:
    """Stores on one database, each claimed as told."""
    stores: list[Store] = []

    def opened(claim: Claim | None = None) -> Store:
        stores.append(Store(url))
        if claim is not None:
            stores[-1].claim(claim)
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


def claim(**changes: Any) -> Claim:
    """Of this process, but for the changes; each has a key of its own."""
    mine = Claim.of_this_process(Path("/some/folder"))
    return dataclasses.replace(mine, key=Claim.of_this_process(Path()).key, **changes)


ELSEWHERE = {"machine": "another machine", "host": "elsewhere"}


def age(store: Store, seconds: float) -> None:
    """Make the owner's last sign of life older, past every check."""
    with store._database.migrating() as connection:
        connection.execute(update(row).values(seen_at=row.c.seen_at - int(seconds * 1e6)))


def dead_process() -> tuple[int, str]:
    """The pid and start of a process that was, and is killed."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    began = identity.began(process.pid)
    assert began
    process.kill()
    process.wait()
    return process.pid, began


def test_a_second_service_is_told_who_works_with_the_database(opened: Opened) -> None:
    first = opened(claim())
    with pytest.raises(StoreOwned) as refusal:
        opened(claim(data="/another/folder"))
    text = refusal.value.message
    for part in (f"process {os.getpid()}", "/some/folder", claim().host, "since 20", "last sign of life 20"):
        assert part in text
    assert "UNFOLD_STORE" in refusal.value.remedy
    queued(first)


def test_a_database_that_was_given_back_is_taken_at_once(opened: Opened) -> None:
    first = opened(claim(**ELSEWHERE))
    first.close()
    queued(opened(claim()))


def test_the_owner_that_was_killed_on_this_machine_is_succeeded_at_once(opened: Opened) -> None:
    pid, began = dead_process()
    killed = opened(claim(pid=pid, started=began))
    second = opened(claim())
    queued(second)
    with pytest.raises(StoreLost):
        queued(killed)


def test_another_process_with_the_owners_pid_is_not_taken_for_it(opened: Opened) -> None:
    opened(claim(started="an earlier one"))
    queued(opened(claim()))


@pytest.mark.parametrize("hours", [-9, 9])
def test_a_step_of_the_wall_clock_takes_nothing_from_the_owner(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Linux tells a process's start in ticks; the boot's time, added to them, moves with the clock."""
    first = opened(claim())
    real = psutil._pslinux.boot_time
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: real() + hours * 3600)
    with pytest.raises(StoreOwned):
        opened(claim())
    queued(first)


def test_an_owner_elsewhere_keeps_the_database_while_it_gives_signs_of_life(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(claim(**ELSEWHERE))
    waited = threading.Event()

    def sleep(_seconds: float) -> None:
        waited.set()
        first.beat()

    monkeypatch.setattr(owner.time, "sleep", sleep)
    with pytest.raises(StoreOwned, match="elsewhere"):
        opened(claim())
    assert waited.is_set(), "it could not know whether that service lives"
    queued(first)


def test_an_owner_elsewhere_is_succeeded_once_its_sign_of_life_is_old(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(claim(**ELSEWHERE))
    age(first, owner.EXPIRES_SECONDS - 5)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        age(first, 6)

    monkeypatch.setattr(owner.time, "sleep", sleep)
    queued(opened(claim()))
    assert len(waits) == 1
    with pytest.raises(StoreLost):
        queued(first)


def test_what_counts_is_the_databases_clock_and_not_that_of_the_service(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(claim(**ELSEWHERE))
    monkeypatch.setattr(time, "time", lambda: 4e9)
    monkeypatch.setattr(time, "time_ns", lambda: int(4e18))
    monkeypatch.setattr(owner.time, "sleep", lambda _seconds: first.beat())
    with pytest.raises(StoreOwned):
        opened(claim())


def test_an_owner_whose_clock_ran_ahead_is_succeeded_after_a_silence(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after its clock was set back: the sign of life lies in the future and does not grow old."""
    first = opened(claim(**ELSEWHERE))
    age(first, -3600)
    at = [0.0]

    def sleep(seconds: float) -> None:
        at[0] += seconds

    monkeypatch.setattr(owner.time, "monotonic", lambda: at[0])
    monkeypatch.setattr(owner.time, "sleep", sleep)
    queued(opened(claim()))
    assert at[0] > owner.EXPIRES_SECONDS


def test_an_owner_that_was_paused_too_long_writes_nothing_more(opened: Opened) -> None:
    paused = opened(claim())
    attempt = started(paused)
    run = queued(paused)
    age(paused, owner.EXPIRES_SECONDS + 1)
    second = opened(claim(data="/another/folder"))
    before = second.runs()
    for write in (
        lambda: post(paused, attempt, report(step=5)),
        lambda: paused.create_run(CONFIG, "x", []),
        lambda: paused.patch_run(run.id, name="y"),
        lambda: paused.delete_run(run.id),
        lambda: paused.start_attempt(run.id),
        lambda: paused.deleted(),
        lambda: paused.beat(),
    ):
        with pytest.raises(StoreLost, match="another/folder"):
            write()
    assert second.runs() == before
    assert paused.runs() == before, "reading is no harm"
    paused.close()
    queued(second)  # closing gave nothing away that was not its own


def test_a_takeover_in_the_middle_of_a_write_waits_for_it_or_undoes_it(opened: Opened) -> None:
    """Whatever the order: a write that was confirmed came before the takeover."""
    first = opened(claim())
    second = opened()
    age(first, owner.EXPIRES_SECONDS + 1)
    order: list[str] = []

    def take() -> None:
        second.claim(claim())
        order.append("taken")

    taking = threading.Thread(target=take)
    with first._database.writing() as connection:
        taking.start()
        time.sleep(0.3)
        connection.execute(row.update().values(data="written"))
        order.append("written")
    taking.join()
    assert order == ["written", "taken"]
    with pytest.raises(StoreLost):
        queued(first)


def test_a_reader_claims_the_database_only_when_it_writes(opened: Opened) -> None:
    first = opened(claim())
    run = queued(first)
    reader = opened()
    reader.claim_when_writing(claim(data="/a/command"))
    assert reader.run(run.id) == run
    assert not reader.is_claimed
    with pytest.raises(StoreOwned, match="some/folder"):
        reader.delete_run(run.id)
    first.close()
    reader.delete_run(run.id)
    assert reader.is_claimed
    with pytest.raises(StoreOwned, match="a/command"):
        opened(claim())


def test_a_reader_of_a_database_without_tables_makes_them(opened: Opened) -> None:
    reader = opened()
    reader.claim_when_writing(claim())
    assert reader.runs().total == 0


def test_two_that_start_in_the_same_moment_do_not_both_get_it(opened: Opened) -> None:
    stores = [opened() for _ in range(4)]
    go = threading.Barrier(len(stores))
    got: list[Store] = []
    refused: list[StoreOwned] = []

    def take(store: Store) -> None:
        go.wait()
        try:
            store.claim(claim())
            got.append(store)
        except StoreOwned as error:
            refused.append(error)

    threads = [threading.Thread(target=take, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 3)
    queued(got[0])
