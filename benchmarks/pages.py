"""(d) The two requests that pages make most, with 1,000 stored runs of 1,000 points each, over real HTTP."""

from __future__ import annotations

import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from benchmarks.report import Result, median, percentile_95
from benchmarks.service import Service
from models import MODELS
from trainer.schema import Column, End, Report, RunConfig, RunState, Summary
from trainer.store import Store

RUNS, POINTS, COMPARED = 1000, 1000, 20
REQUESTS = 200


def measure() -> list[Result]:
    """One result for the table of runs, one for a comparison."""
    with TemporaryDirectory() as folder:
        ids = fill(Path(folder))
        with Service(Path(folder)) as service:
            chosen = random.Random(0)
            compared = [",".join(str(i) for i in chosen.sample(ids, COMPARED)) for _ in range(REQUESTS)]
            table, curves = [], []
            for some in compared:  # the two take turns
                table.append(milliseconds(service, "/runs", {"limit": "100"}))
                curves.append(
                    milliseconds(service, "/metrics", {"ids": some, "keys": "loss", "max_points": "400"})
                )
    return [
        result(f"GET /runs, {RUNS:,} stored", table),
        result(f"GET /metrics of {COMPARED} runs, {POINTS:,} points each", curves),
    ]


def fill(data: Path) -> list[UUID]:
    """A store with finished runs in the service's own data folder."""
    store = Store(f"sqlite:///{data / 'unfold.db'}")
    store.migrate()
    steps = list(range(1, POINTS + 1))
    names = list(MODELS)
    ids = []
    for number in range(RUNS):
        config = RunConfig(model={"name": names[number % len(names)]}, task={"name": "adding"}, seed=number)
        run, _ = store.create_run(config, f"run {number}", ["benchmark"], None)
        attempt = store.start_attempt(run.id)
        values = [1 / (step + number) for step in steps]
        column = Column(step=steps, value=values, seconds=values, sequences=[32.0 * step for step in steps])
        store.accept(
            run.id,
            attempt.number,
            attempt.token,
            Report(
                sequence=0,
                pid=1,
                step=POINTS,
                metrics={"loss": column},
                summary=Summary(loss=values[-1], best_validation_loss=values[-1]),
                end=End(state=RunState.FINISHED),
            ),
            None,
        )
        ids.append(run.id)
    store.close()
    return ids


def milliseconds(service: Service, path: str, params: dict[str, str]) -> float:
    """One request until its last byte is here."""
    began = time.perf_counter()
    response = service.http.get(path, params=params)
    took = 1000 * (time.perf_counter() - began)
    response.raise_for_status()
    return took


def result(name: str, times: list[float]) -> Result:
    """The 95th percentile is what is judged; the median stands beside it."""
    return Result(
        name=f"{name}, p95",
        ours=f"median {median(times):.1f} ms",
        peer="",
        measure="ms",
        value=percentile_95(times),
        goal=100,
        at_least=False,
        repeats=times,
    )
