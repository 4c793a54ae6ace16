"""A full disk: the service says so and lives on; with room again, runs go on and have lost nothing."""

from __future__ import annotations

import base64
import os
import time
from contextlib import ExitStack
from random import Random

import psutil

from benchmarks.prove.ground import Ground
from benchmarks.prove.kills import LSTM
from benchmarks.prove.processes import until
from benchmarks.prove.promise import Promise, hold
from benchmarks.prove.recorded import difference, losses, same, unbroken, whole
from benchmarks.prove.small_disk import SmallDisk
from benchmarks.service import Service

MEGABYTES = 40
TEXT_BYTES = 7 * 2**20
TEXT = b"".join(line + b"\n" for line in base64.b64encode(Random(1).randbytes(TEXT_BYTES)).split(b"/"))
"""It cannot be pressed much: a database may try."""
SECONDS = 4.0
"""That the disk stays full."""


def fill(ground: Ground) -> str:
    """The database's disk is full for some seconds while a worker trains."""
    with ExitStack() as stack:
        service: Service

        def writers() -> list[psutil.Process]:
            return ground.postgresql.processes() if ground.cluster else [psutil.Process(service.process.pid)]

        disk = stack.enter_context(SmallDisk(ground.folder / "disk", MEGABYTES, writers))
        _put_database_on(ground, disk)
        service = stack.enter_context(ground.service())
        expected = unbroken(service, LSTM)
        run = service.launch(LSTM)
        hold(until(lambda: service.run(run).step > 0, 60), "no update in time")
        time.sleep(ground.chosen.uniform(0.1, 1.0))
        with disk.full():
            shown = losses(service, run)
            refused, launched = _while_full(service, disk)
            hold(service.process.poll() is None, "the service ended because its disk was full")
            now = losses(service, run)
            hold(now[: len(shown)] == shown, f"a full disk took metrics: {difference(shown, now)}")
        equal = same(expected, whole(service, run))
        _is_well(service, launched)
    return f"{disk.how}, full for {SECONDS:g} s: {refused} uploads refused in words, then stored; {equal}"


def _put_database_on(ground: Ground, disk: SmallDisk) -> None:
    """SQLite's file; of PostgreSQL the tables, in a tablespace: with a full log it would crash, an outage."""
    if not ground.cluster:
        ground.store = f"sqlite:///{disk.folder / 'unfold.db'}"
        return
    if not disk.is_mounted:
        return  # the limit holds for its processes wherever their files are
    owner = ground.cluster.owner
    if owner:
        os.chown(disk.folder, owner["user"], owner["group"])
    ground.cluster.execute(f"CREATE TABLESPACE small LOCATION '{disk.folder}'", "postgres")
    ground.cluster.execute("CREATE DATABASE cramped TABLESPACE small", "postgres")
    ground.store = ground.cluster.url("cramped")


def upload(service: Service) -> int:
    """The status of an upload that needs room."""
    reply = service.http.post("/corpora", params={"name": "large"}, content=TEXT, timeout=60)
    if reply.status_code >= 500:
        told = reply.json()
        hold(reply.status_code == 503, f"a full disk is answered {reply.status_code}: {reply.text[:300]}")
        hold(told["message"] and told["remedy"], f"a full disk is answered without words: {told}")
    return reply.status_code


def _while_full(service: Service, disk: SmallDisk) -> tuple[int, list[str]]:
    """Uploads refused, and runs that were accepted all the same: the log may have had room for them."""
    end = time.monotonic() + SECONDS
    refused, launched = 0, []
    while refused == 0 or time.monotonic() < end:
        disk.top_up()
        status = upload(service)
        hold(
            status == 503, f"the disk is full, and an upload of {len(TEXT) / 1e6:.0f} MB is answered {status}"
        )
        refused += 1
        reply = service.http.post("/runs", json={"config": LSTM, "name": f"while full {refused}"})
        hold(reply.status_code in (201, 503), f"the disk is full: a launch is answered {reply.status_code}")
        if reply.status_code == 201:
            launched.append(reply.json()["id"])
        reply = service.http.get("/runs")
        hold(reply.status_code in (200, 503), f"the disk is full: GET /runs is answered {reply.status_code}")
        time.sleep(0.3)
    names = [text["name"] for text in service.call("GET", "/corpora")]
    hold("large" not in names, "an upload that was refused is there all the same")
    return refused, launched


def _is_well(service: Service, launched: list[str]) -> None:
    """All that was accepted is there, and what was refused can be had now."""
    for run_id in launched:
        service.call("POST", f"/runs/{run_id}/stop")
    hold(upload(service) == 201, "there is room again, and an upload is still refused")


PROMISES = [
    Promise(
        name="disk",
        says="A full disk loses nothing: the service says so, and goes on when there is room",
        tried="the database's disk filled to the last byte under a running worker; run compared by ==",
        proof=fill,
    ),
]
