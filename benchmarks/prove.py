"""``make prove``: kill -9 at random moments; nothing acknowledged may be lost, nothing may be changed.

Each proof trains a run once without harm, once under fire, and compares the two lists of losses by ``==``.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from benchmarks.service import Service
from trainer.schema import Run, RunState
from trainer.store import Store

KILLS = 5
MOMENTS = (0.2, 8.0)
"""Seconds between the start of an attempt and its end by force: before and after its first checkpoint."""
INTERRUPTED_WITHIN = 5.0
"""Seconds in which a killed worker must be shown for what it is."""

TRAINING = {"batch_size": 32, "accelerator": "cpu", "validate_every": 100}
CASES: dict[str, dict[str, Any]] = {
    "LSTM on adding, full BPTT": {
        "model": {"name": "lstm", "hidden_size": 64},
        "task": {"name": "adding", "length": 50},
        "training": {**TRAINING, "steps": 5000},
    },
    "Elman on temporal order, k1 = 7, k2 = 15, updates of 3 windows": {
        "model": {"name": "elman", "hidden_size": 32},
        "task": {"name": "temporal_order", "length": 40},
        "training": {**TRAINING, "steps": 6000, "k1": 7, "k2": 15, "update_every": 3, "optimizer": "rmsprop"},
    },
    "GRU on characters, state carried along the stream": {
        "model": {"name": "gru", "hidden_size": 64},
        "task": {"name": "characters"},
        "training": {**TRAINING, "steps": 3000},
    },
}


class Broken(Exception):  # noqa: N818 - the word a reader looks for
    """A promise that did not hold."""


def losses(service: Service, run: Run) -> list[tuple[int, float | None]]:
    """(step, loss) of every update that the API shows."""
    series = service.series(run, "loss")
    return [] if series is None else list(zip(series.step, series.value, strict=True))


def unbroken(service: Service, config: dict[str, Any]) -> list[tuple[int, float | None]]:
    """The losses of the run when nobody disturbs it."""
    run = service.launch(config)
    over = service.finish(run)
    found = losses(service, run)
    if over.state is not RunState.FINISHED or [step for step, _ in found] != list(range(1, over.step + 1)):
        raise Broken(f"the undisturbed run is {over.state} at update {over.step}: {over.reason}")
    return found


def worker_pid(service: Service, run: Run, patience: float = 30.0) -> int:
    """The process of the run's current attempt, from the store."""
    store = Store(f"sqlite:///{service.data / 'unfold.db'}")
    try:
        end = time.monotonic() + patience
        while time.monotonic() < end:
            for attempt in store.running():
                if attempt.run_id == run.id and attempt.pid:
                    return attempt.pid
            time.sleep(0.01)
    finally:
        store.close()
    raise Broken(f"run {run.number} has no worker: {service.run(run).state}")


def kill_workers(service: Service, config: dict[str, Any], chosen: random.Random, kills: int) -> str:
    """Kill the run's worker again and again; resume each time; compare the whole."""
    expected = unbroken(service, config)
    run = service.launch(config)
    waits, resumed_at = [], []
    for _ in range(kills):
        pid = worker_pid(service, run)
        time.sleep(chosen.uniform(*MOMENTS))
        if service.run(run).state.is_over:
            break
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        while not (now := service.run(run)).state.is_over:
            if time.monotonic() - killed > INTERRUPTED_WITHIN:
                raise Broken(f"{INTERRUPTED_WITHIN:g} s after kill -9 the run is still shown as {now.state}")
            time.sleep(0.02)
        if now.state is not RunState.INTERRUPTED:
            break  # it had just finished
        waits.append(time.monotonic() - killed)
        resumed_at.append(now.step)
        service.call("POST", f"/runs/{run.id}/resume")
    over = service.finish(run)
    if over.state is not RunState.FINISHED:
        raise Broken(f"the resumed run is {over.state}: {over.reason}")
    if losses(service, run) != expected:
        raise Broken(difference(expected, losses(service, run)))
    return (
        f"{len(waits)} kills at updates {', '.join(map(str, resumed_at))}; interrupted shown within "
        f"{max(waits, default=0):.2f} s; all {len(expected):,} losses equal"
    )


def kill_service(service: Service, config: dict[str, Any], chosen: random.Random, kills: int) -> str:
    """Kill the service itself under a running worker, start it again, miss nothing it ever showed."""
    expected = unbroken(service, config)
    run = service.launch(config)
    seen: list[tuple[int, float | None]] = []
    for _ in range(kills):
        time.sleep(chosen.uniform(1.0, 4.0))
        seen = losses(service, run)
        service.kill()
        service.start()
        after = losses(service, run)
        if after[: len(seen)] != seen:
            raise Broken(f"acknowledged metrics were lost: {difference(seen, after)}")
    over = service.finish(run)
    if over.state is RunState.INTERRUPTED:
        service.call("POST", f"/runs/{run.id}/resume")
        over = service.finish(run)
    if over.state is not RunState.FINISHED:
        raise Broken(f"the run is {over.state}: {over.reason}")
    if losses(service, run) != expected:
        raise Broken(difference(expected, losses(service, run)))
    return f"{kills} kills, {len(seen):,} losses seen before the last; all {len(expected):,} losses equal"


def difference(expected: list[tuple[int, float | None]], found: list[tuple[int, float | None]]) -> str:
    """Where two lists of losses part."""
    for one, other in zip(expected, found, strict=False):
        if one != other:
            return f"expected {one}, found {other}"
    return f"expected {len(expected)} losses, found {len(found)}"


def main() -> int:
    """0 when every promise held."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prove", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="repeat the moments of an earlier proof")
    parser.add_argument("--kills", type=int, default=KILLS)
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10_000)
    chosen, console, broken = random.Random(seed), Console(), 0
    console.print(f"Seed of the moments: {seed}")
    proofs = [(f"Worker killed: {name}", kill_workers, config) for name, config in CASES.items()]
    name, config = next(iter(CASES.items()))
    proofs.append((f"Service killed: {name}", kill_service, config))
    for title, proof, config in proofs:
        with TemporaryDirectory() as folder, Service(Path(folder)) as service:
            try:
                console.print(f"[green]holds[/]  {title}: {proof(service, config, chosen, given.kills)}")
            except (Broken, RuntimeError) as error:
                broken += 1
                console.print(f"[red]BROKEN[/] {title}: {error}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
