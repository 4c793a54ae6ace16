"""(b) From POST /runs to the first loss that a reader of the API sees, with a warm service."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Result, median
from benchmarks.service import POLL_SECONDS, Service
from models import MODELS


def measure(repeats: int) -> list[Result]:
    """Every registered network in turn, the first launch of the service left out."""
    waits = []
    with TemporaryDirectory() as folder, Service(Path(folder)) as service:
        names = list(MODELS)
        for launch in range(1 + repeats * len(names)):
            wait = seconds_to_first_loss(service, names[launch % len(names)])
            if launch > 0:
                waits.append(wait)
    return [
        Result(
            name="POST /runs to first loss",
            ours=f"{len(waits)} launches",
            peer="",
            measure="s",
            value=median(waits),
            goal=1.0,
            at_least=False,
            repeats=waits,
        )
    ]


def seconds_to_first_loss(service: Service, name: str) -> float:
    """Launch with default settings, wait for a loss, then make room for the next."""
    config = {"model": {"name": name}, "task": {"name": "adding"}, "training": {"accelerator": "cpu"}}
    began = time.perf_counter()
    run = service.launch(config)
    while service.series(run, "loss") is None:
        time.sleep(POLL_SECONDS)
    waited = time.perf_counter() - began
    service.call("POST", f"/runs/{run.id}/stop")
    service.finish(run)
    return waited
