"""(f) Looking inside: what recording costs a run, the triangle's time, how long each view lets one wait."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn, optim

from benchmarks.pages import milliseconds
from benchmarks.report import Result, median, percentile_95
from benchmarks.service import Service
from models import MODELS
from models.base import Network
from models.bptt.state_gradients import state_gradient_norms
from models.bptt.triangle import triangle
from trainer.inspection import VIEWS
from trainer.schema import RunState
from trainer.tasks import TASKS

EVERY, PROBE, LENGTH, BATCH_SIZE, HIDDEN_SIZE = 50, 8, 50, 32, 64
TRIANGLE_LENGTHS = (50, 100, 200)
AT_ONCE, REQUESTS = 10, 150
_ADDING = {
    "task": {"name": "adding", "length": LENGTH},
    "training": {"steps": 400, "learning_rate": 0.004, "accelerator": "cpu"},
}
_TEXT = {"task": {"name": "characters"}, "training": {"steps": 20, "accelerator": "cpu"}}
RUNS: dict[str, dict[str, Any]] = {
    "Elman network on adding": {"model": {"name": "elman", "hidden_size": HIDDEN_SIZE}, **_ADDING},
    "GRU on adding": {"model": {"name": "gru", "hidden_size": HIDDEN_SIZE}, **_ADDING},
    "LSTM of 128 units on characters": {"model": {"name": "lstm", "hidden_size": 128}, **_TEXT},
    "LSTM of 512 units on characters": {"model": {"name": "lstm", "hidden_size": 512}, **_TEXT},
    "LSTM on adding": {"model": {"name": "lstm", "hidden_size": HIDDEN_SIZE}, **_ADDING},
}
"""The last one's triangle is asked for ten times at once."""


def measure(repeats: int) -> list[Result]:
    """Costs of recording, of the triangle, and of the views of a real run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        results = recordings(repeats) + triangles(repeats)
    finally:
        torch.set_num_threads(threads)
    return results + views(repeats)


def build(name: str) -> Network[Any]:
    """A network of the usual size for two inputs and one output."""
    spec = MODELS[name]
    return spec.build(spec.config.model_validate({"hidden_size": HIDDEN_SIZE}), 2, 1, seed=0)


def squared(outputs: Tensor) -> Tensor:
    """A loss at the last timestep."""
    return outputs[:, -1].square().mean()


def recordings(repeats: int) -> list[Result]:
    """The gradient through time, once in ``EVERY`` updates, beside those updates; the two take turns."""
    results = []
    task = TASKS["adding"].task(TASKS["adding"].config(length=LENGTH))  # type: ignore[call-arg]
    for name, spec in MODELS.items():
        network = build(name)
        if not spec.keeps_state:
            continue
        optimizer = optim.Adam(network.parameters(), fused=True)
        weights, source = list(network.parameters()), torch.Generator().manual_seed(0)
        probe = torch.rand(PROBE, LENGTH, 2)
        shares = []
        for turn in range(repeats + 1):
            began = time.perf_counter()
            for _ in range(EVERY):
                batch = task.draw(BATCH_SIZE, source)
                optimizer.zero_grad()
                outputs, _ = network(batch.inputs, None, batch.first)
                loss = task.elementwise_loss(outputs, batch.targets).mean()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(weights, 1.0)
                optimizer.step()
            updated = time.perf_counter()
            state_gradient_norms(network, probe, None, squared)
            if turn:  # the first one warms up
                shares.append(100 * (time.perf_counter() - updated) / (updated - began))
        results.append(
            Result(
                name=f"Gradient through time, every {EVERY} updates, {spec.title}",
                ours=f"probe of {PROBE}",
                peer=f"{EVERY} updates of {BATCH_SIZE} sequences",
                measure="%",
                value=median(shares),
                goal=3,
                at_least=False,
                repeats=shares,
            )
        )
    return results


def triangles(repeats: int) -> list[Result]:
    """The whole triangle of each network, with a loss at every timestep, and how its time grows."""
    results = []
    for name, spec in MODELS.items():
        network = build(name)
        times: dict[int, list[float]] = {length: [] for length in TRIANGLE_LENGTHS}
        for _ in range(max(2, repeats // 2)):
            for length, took in times.items():
                x = torch.rand(PROBE, length, 2)
                began = time.perf_counter()
                triangle(network, x, None, lambda y: y.square().mean(dim=(0, 2)))
                took.append(time.perf_counter() - began)
        short, *_, long = TRIANGLE_LENGTHS
        power = math.log(min(times[long]) / min(times[short])) / math.log(long / short)
        shown = ", ".join(f"{length}: {median(took):.2f} s" for length, took in times.items())
        results.append(
            Result(
                name=f"Triangle, {long} timesteps, {spec.title}",
                ours=f"{shown}; grows as T^{power:.1f}",
                peer="",
                measure="s",
                value=median(times[long]),
                goal=2,
                at_least=False,
                repeats=times[long],
            )
        )
    return results


def views(repeats: int) -> list[Result]:
    """Every view of finished runs at its defaults; and the table of runs while ten of them are computed."""
    results = []
    with TemporaryDirectory() as folder, Service(Path(folder)) as service:
        for name, config in RUNS.items():
            run = service.finish(service.launch(config))
            if run.state is not RunState.FINISHED:
                raise RuntimeError(f"run {run.id} is {run.state}: {run.reason}")
            path = f"/runs/{run.id}/inspect"
            waited = {
                view.title: [_seconds(service, path, key) for _ in range(repeats)]
                for key, view in VIEWS.items()
            }
            slowest = max(waited, key=lambda title: median(waited[title]))
            results.append(
                Result(
                    name=f"Slowest of {len(waited)} views at its defaults, {name}",
                    ours=f"“{slowest}”; " + ", ".join(f"{t} {median(s):.2f}" for t, s in waited.items()),
                    peer="",
                    measure="s",
                    value=median(waited[slowest]),
                    goal=2,
                    at_least=False,
                    repeats=waited[slowest],
                )
            )
        asked = [
            threading.Thread(target=service.call, args=("POST", path), kwargs={"json": {"view": "triangle"}})
            for _ in range(AT_ONCE)
        ]
        for thread in asked:
            thread.start()
        waits: list[float] = []
        while len(waits) < REQUESTS and any(thread.is_alive() for thread in asked):
            waits.append(milliseconds(service, "/runs", {"limit": "100"}))
        for thread in asked:
            thread.join()
    results.append(
        Result(
            name=f"GET /runs during {AT_ONCE} inspections, p95",
            ours=f"median {median(waits):.1f} ms, {len(waits)} requests",
            peer="",
            measure="ms",
            value=percentile_95(waits),
            goal=200,
            at_least=False,
            repeats=waits,
        )
    )
    return results


def _seconds(service: Service, path: str, view: str) -> float:
    began = time.perf_counter()
    service.call("POST", path, json={"view": view})
    return time.perf_counter() - began
