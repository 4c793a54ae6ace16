"""Work that takes memory is done by a few at once, however many ask at once."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import httpx
import pytest
from fastapi import Request

from tests.trainer.engine.test_local import until
from trainer import config
from trainer.corpora import UploadCheck
from trainer.service.errors import Refused
from trainer.service.turns import Turns
from trainer.store import Store

LAUNCH = {"config": {"model": {"name": "elman"}, "task": {"name": "adding", "length": 20}}}


class Counted:
    """Stands before a function and counts the calls under way."""

    def __init__(self, real: Any) -> None:
        self.real, self.lock = real, threading.Lock()
        self.now = self.most = self.calls = 0

    def __call__(self, *given: Any, **named: Any) -> Any:
        with self.lock:
            self.now, self.calls = self.now + 1, self.calls + 1
            self.most = max(self.most, self.now)
        try:
            time.sleep(0.02)
            return self.real(*given, **named)
        finally:
            with self.lock:
                self.now -= 1


@pytest.mark.parametrize(("path", "name"), [("/estimate", "estimate"), ("/runs", "resolve")])
def test_sixty_at_once_are_done_one_by_one_and_others_are_answered_meanwhile(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, path: str, name: str
) -> None:
    counted = Counted(getattr(config, name))
    monkeypatch.setattr(config, name, counted)
    codes: list[int] = []

    def ask() -> None:
        codes.append(client.post(path, json=LAUNCH, timeout=60).status_code)

    threads = [threading.Thread(target=ask) for _ in range(60)]
    for thread in threads:
        thread.start()
    until(lambda: counted.calls >= 5)
    assert client.get("/runs").status_code == 200
    assert counted.calls < 60, "the list of runs waited for all of them"
    for thread in threads:
        thread.join()
    assert len(codes) == 60
    assert all(code in (200, 201) for code in codes)
    assert (counted.most, counted.calls) == (1, 60)


def test_tables_and_texts_are_read_and_sent_one_by_one(
    client: httpx.Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uploads arrive side by side; what is made of each takes many times its size."""
    rows = "".join(f"{row},{row % 7}\n" for row in range(300))
    first = client.post("/corpora", params={"table": True}, content=f"a,b\n{rows}").json()["id"]
    checked = Counted(UploadCheck.finish)
    monkeypatch.setattr(UploadCheck, "finish", lambda self: checked(self))
    read = Counted(store.corpus_table)
    monkeypatch.setattr(store, "corpus_table", read)
    codes: list[int] = []

    def upload(number: int) -> None:
        rows = "".join(f"{row},{row % 7 + number}\n" for row in range(300))
        codes.append(client.post("/corpora", params={"table": True}, content=f"a,b\n{rows}").status_code)

    def look(path: str) -> None:
        codes.append(client.get(f"/corpora/{first}/{path}").status_code)

    paths = ("table", "table/plot", "table/column", "table/column?name=b")
    asked = [(upload, number) for number in range(8)] + [(look, path) for path in 4 * paths]
    threads = [threading.Thread(target=ask, args=(what,)) for ask, what in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(codes)) == [200, 201]
    assert (checked.calls, read.calls) == (8, 16)
    assert (checked.most, read.most) == (1, 1)


class Gone(Request):
    """A request whose sender has left."""

    def __init__(self) -> None:
        super().__init__({"type": "http", "headers": []})

    async def is_disconnected(self) -> bool:
        return True


def test_nothing_is_done_for_somebody_who_has_gone() -> None:
    done: list[int] = []

    async def asked() -> None:
        with pytest.raises(Refused, match="Nobody waits"):
            await Turns(1, 0, "things").run(Gone(), lambda: done.append(1))

    asyncio.run(asked())
    assert done == []


def test_more_than_may_wait_are_told_to_come_again() -> None:
    async def asked() -> None:
        turns = Turns(1, 1, "uploads")
        async with turns.turn():
            waiting = asyncio.create_task(_one(turns))
            await asyncio.sleep(0)
            with pytest.raises(Refused, match="2 uploads are under way or wait already") as refused:
                async with turns.turn():
                    pass
            assert refused.value.status == 503
        await waiting
        async with turns.turn():
            pass  # whoever was refused or is done takes no place

    async def _one(turns: Turns) -> None:
        async with turns.turn():
            pass

    asyncio.run(asked())
