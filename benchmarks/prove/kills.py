"""kill -9 at random moments: of workers, of the service, of the process that forks workers."""

from __future__ import annotations

import time
from typing import Any

import psutil

from benchmarks.prove.ground import Ground
from benchmarks.prove.processes import kill, until
from benchmarks.prove.promise import Promise, hold
from benchmarks.prove.recorded import Losses, difference, losses, recorded, same, unbroken, whole
from benchmarks.service import Service
from trainer.schema import Run, RunState

KILLS = 3
"""Of each worker; of the service there are two more."""
MOMENTS = (0.2, 2.5)
"""Seconds between the start of an attempt and its end by force: before and after its first checkpoint."""
SHOWN_WITHIN = 5.0
"""Seconds in which a killed worker must be shown for what it is."""

TRAINING = {"batch_size": 32, "accelerator": "cpu", "validate_every": 100}
ANALYSIS = {"every": 100, "samples_every": 400}
LSTM: dict[str, Any] = {
    "model": {"name": "lstm", "hidden_size": 32},
    "task": {"name": "adding", "length": 30},
    "training": {**TRAINING, "steps": 2000},
    "analysis": ANALYSIS,
}
CASES: dict[str, dict[str, Any]] = {
    "full BPTT": LSTM,
    "k1 = 7, k2 = 15, updates of 3 windows": {
        "model": {"name": "elman", "hidden_size": 32},
        "task": {"name": "temporal_order", "length": 40},
        "training": {**TRAINING, "steps": 1500, "k1": 7, "k2": 15, "update_every": 3, "optimizer": "rmsprop"},
        "analysis": ANALYSIS,
    },
    "a stream whose state is carried on, with dropout": {
        "model": {"name": "gru", "hidden_size": 32, "layers": 2, "dropout": 0.1},
        "task": {"name": "characters", "length": 40},
        "training": {**TRAINING, "steps": 1000},
        "analysis": ANALYSIS,
    },
}


def worker_pid(ground: Ground, run: Run, patience: float = 30.0) -> int:
    """The process of the run's current attempt, from the database."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        rows = ground.rows(
            "SELECT pid FROM attempts WHERE run = :run AND state = 'running' AND pid IS NOT NULL",
            run=run.number,
        )
        if rows:
            return int(rows[0].pid)
        time.sleep(0.02)
    raise RuntimeError(f"run {run.number} has no worker")


def kill_workers(ground: Ground) -> str:
    """Each case undisturbed, and beside it under fire; then the two are compared."""
    figures, kills, slowest, resumed_at = [], 0, 0.0, []
    with ground.service(slots=2) as service:
        for config in CASES.values():
            calm, run = service.launch(config), service.launch(config)
            for _ in range(KILLS):
                pid = worker_pid(ground, run)
                time.sleep(ground.chosen.uniform(*MOMENTS))
                kill(pid)
                killed = time.monotonic()
                while not (now := service.run(run)).state.is_over:
                    if time.monotonic() - killed > SHOWN_WITHIN:
                        hold(False, f"{SHOWN_WITHIN:g} s after kill -9 the run is still shown as {now.state}")
                    time.sleep(0.02)
                if now.state is not RunState.INTERRUPTED:
                    break  # it had just finished
                kills, slowest = kills + 1, max(slowest, time.monotonic() - killed)
                resumed_at.append(now.step)
                service.call("POST", f"/runs/{run.id}/resume")
            expected = whole(service, calm)
            figures.append(same(expected, whole(service, run)))
    hold(kills >= len(CASES), "the workers were finished before they could be killed")
    return (
        f"{kills} kills at updates {', '.join(map(str, resumed_at))}, shown within {slowest:.1f} s; "
        + " and ".join(figures)
    )


def kill_service(ground: Ground) -> str:
    """Kill the service under a running worker, start it again: all that it ever said must still be true."""
    with ground.service() as service:
        expected = unbroken(service, LSTM)
        run = service.launch(LSTM)
        seen: Losses = []
        launched: list[Run] = []
        for turn in range(KILLS + 2):
            time.sleep(ground.chosen.uniform(0.2, 2.0))
            launched.append(service.launch(LSTM, name=f"behind {turn}"))  # waits in the queue
            service.call("PATCH", f"/runs/{run.id}", json={"tags": [f"turn {turn}"]})
            seen = losses(service, run)
            service.kill()
            service.start()
            after = losses(service, run)
            hold(after[: len(seen)] == seen, f"metrics that were shown are lost: {difference(seen, after)}")
            hold(service.run(run).tags == [f"turn {turn}"], "a tag that was acknowledged is lost")
            known = {found["id"] for found in service.call("GET", "/runs", params={"limit": 500})["runs"]}
            hold(known >= {str(each.id) for each in launched}, "a launch that was acknowledged is lost")
        for each in launched:
            service.call("POST", f"/runs/{each.id}/stop")
        over = service.finish(run)
        if over.state is RunState.INTERRUPTED:
            service.call("POST", f"/runs/{run.id}/resume")
        equal = same(expected, whole(service, run))
    return (
        f"{KILLS + 2} kills, {len(launched)} launches and {len(seen):,} losses seen before them kept; {equal}"
    )


def forkserver(service: Service) -> psutil.Process | None:
    """The process that forks workers."""
    for child in psutil.Process(service.process.pid).children():
        if "multiprocessing.forkserver" in " ".join(child.cmdline()):
            return child
    return None


def kill_forkserver(ground: Ground) -> str:
    """Kill it under a running worker and right after launches: runs go on, and others start."""
    started, slowest = 0, 0.0
    small = {**LSTM, "training": {**TRAINING, "steps": 200}}
    with ground.service(slots=2) as service:
        expected = unbroken(service, LSTM)
        run = service.launch(LSTM)
        worker_pid(ground, run)
        time.sleep(ground.chosen.uniform(0.2, 1.0))
        for _ in range(KILLS):
            hold(until(lambda: forkserver(service), 30), "nothing forks workers any more")
            found = forkserver(service)
            launched = service.launch(small)
            time.sleep(ground.chosen.choice((0.0, 0.002, 0.01, 0.05)))
            if found is not None:
                kill(found.pid)
            began = time.monotonic()
            over = service.finish(launched, 60)
            if over.state is not RunState.FINISHED:  # killed in the middle of its start: it must say so
                hold(over.reason, f"run {launched.number} is {over.state} without a reason")
                service.call("POST", f"/runs/{launched.id}/resume")
                over = service.finish(launched, 60)
            hold(over.state is RunState.FINISHED, f"a run after the kill is {over.state}: {over.reason}")
            started, slowest = started + 1, max(slowest, time.monotonic() - began)
        equal = same(expected, whole(service, run))
        hold(recorded(service, launched), "a run after the kill recorded nothing")
    return f"{KILLS} kills; {started} runs launched then, done within {slowest:.0f} s; the other: {equal}"


PROMISES = [
    Promise(
        name="workers",
        says="A killed worker's run resumes to the same bit",
        tried="kill -9 at random moments, resume; curves, gradients, eigenvalues, samples and results by ==",
        proof=kill_workers,
    ),
    Promise(
        name="service",
        says="A killed service has lost nothing that it ever said",
        tried="kill -9 under a running worker, right after launches and changes; run compared by ==",
        proof=kill_service,
    ),
    Promise(
        name="forkserver",
        says="Runs go on and others start when the process that forks workers is killed",
        tried="kill -9 of it under a running worker, moments after a launch; run compared by ==",
        proof=kill_forkserver,
    ),
]
