"""Exact resume with real processes: kill -9, resume, and the losses are those of an unbroken run."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from trainer.host import Server, hosting
from trainer.schema import Run, RunState
from trainer.settings import Settings

CONFIGS: dict[str, dict[str, Any]] = {
    "full BPTT": {
        "model": {"name": "lstm", "hidden_size": 16},
        "task": {"name": "adding", "length": 20},
        "training": {"steps": 4000, "batch_size": 8},
    },
    "a truncated stream": {
        "model": {"name": "gru", "hidden_size": 16},
        "task": {"name": "characters", "length": 30},
        "training": {"steps": 2500, "batch_size": 8, "k1": 7, "k2": 16, "update_every": 2},
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = Settings.read({"data": tmp_path_factory.mktemp("data"), "port": 0, "slots": 2}, environ={})
    with hosting(settings) as server, server.serving_aside():
        yield server


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[httpx.Client]:
    address = server.address
    headers = {"Authorization": f"Bearer {address.token}"}
    with httpx.Client(base_url=address.url, headers=headers, timeout=30, trust_env=False) as client:
        yield client


def run_of(answer: httpx.Response) -> Run:
    assert answer.is_success, answer.text
    return Run.model_validate_json(answer.content)


def until(service: httpx.Client, run: Run, *states: RunState, seconds: float = 120) -> Run:
    end = time.monotonic() + seconds
    while (run := run_of(service.get(f"/runs/{run.id}"))).state not in states:
        assert time.monotonic() < end, f"still {run.state} at step {run.step}"
        time.sleep(0.02)
    return run


def losses(service: httpx.Client, run: Run) -> list[tuple[int, float | None]]:
    series = service.get(f"/runs/{run.id}/metrics", params={"keys": "loss"}).json()["loss"]
    return list(zip(series["step"], series["value"], strict=True))


def pid_of(service: httpx.Client, run: Run) -> int:
    """The process that trains the run: each attempt says so in the run's log, when it has begun."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for line in service.get(f"/runs/{run.id}/log").json():
            if found := re.match(rf"Attempt {run.attempt}: .* process (\d+)\.$", line["text"]):
                return int(found[1])
        time.sleep(0.02)
    raise AssertionError(f"attempt {run.attempt} said nothing in its log")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_killed_at_random_moments_and_resumed_has_the_losses_of_an_unbroken_one(
    service: httpx.Client, name: str
) -> None:
    config = CONFIGS[name]
    unbroken = run_of(service.post("/runs", json={"config": config}))
    broken = run_of(service.post("/runs", json={"config": config}))
    moments = random.Random()
    for _ in range(2):
        broken = until(service, broken, RunState.RUNNING)
        pid = pid_of(service, broken)
        time.sleep(moments.uniform(1.2, 2.5))
        broken = run_of(service.get(f"/runs/{broken.id}"))
        if broken.state is not RunState.RUNNING:
            break
        os.kill(pid, signal.SIGKILL)
        broken = until(service, broken, RunState.INTERRUPTED, RunState.FINISHED, seconds=5)
        if broken.state is RunState.FINISHED:
            break
        assert "SIGKILL" in (broken.reason or "")
        broken = run_of(service.post(f"/runs/{broken.id}/resume"))
    unbroken, broken = (until(service, run, RunState.FINISHED) for run in (unbroken, broken))
    assert broken.attempt > 1, "it was never killed: make the run longer"
    assert losses(service, broken) == losses(service, unbroken)
    assert [step for step, _ in losses(service, broken)] == list(range(1, config["training"]["steps"] + 1))
    assert broken.summary.test_loss == unbroken.summary.test_loss
