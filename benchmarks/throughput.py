"""(a) Updates per second of a launched run, with all it reports, beside a bare PyTorch loop on the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.bare import PEERS, WARM_UP
from benchmarks.report import Result, median, ratio_of_pairs
from benchmarks.service import ROOT, Service
from models import MODELS
from trainer.schema import RunState

LENGTH, BATCH_SIZE, HIDDEN_SIZE, CLIP_AT = 50, 32, 64, 1.0
UPDATES = 1500
"""In each repeat: enough for validations, samples, recorded gradients and checkpoints to count."""


def measure(repeats: int) -> list[Result]:
    """One result for each registered network. The two sides take turns, so that noise meets both."""
    results = []
    with TemporaryDirectory() as folder, Service(Path(folder)) as service:
        for name, spec in MODELS.items():
            pairs = [(launched(service, name), bare(name)) for _ in range(repeats)]
            results.append(
                Result(
                    name=f"Updates/s, {spec.title}",
                    ours=f"{median([ours for ours, _ in pairs]):.0f}/s",
                    peer=f"bare PyTorch loop {median([peer for _, peer in pairs]):.0f}/s",
                    measure="ratio",
                    value=ratio_of_pairs(pairs),
                    goal=0.90,
                    at_least=True,
                    repeats=[ours / peer for ours, peer in pairs],
                )
            )
    return results


def launched(service: Service, name: str) -> float:
    """Launch, wait, and read the wall time between two updates from the run's own loss curve."""
    run = service.launch(
        {
            "model": {"name": name, "hidden_size": HIDDEN_SIZE, "layers": 1},
            "task": {"name": "adding", "length": LENGTH},
            "training": {
                "steps": WARM_UP + UPDATES,
                "batch_size": BATCH_SIZE,
                "learning_rate": 0.001,
                "clip": "norm",
                "clip_at": CLIP_AT,
                "accelerator": "cpu",
            },
        }
    )
    over = service.finish(run)
    loss = service.series(run, "loss")
    if over.state is not RunState.FINISHED or loss is None or len(loss.step) != WARM_UP + UPDATES:
        raise RuntimeError(f"run {run.id} is {over.state} at update {over.step}: {over.reason}")
    return UPDATES / (loss.seconds[-1] - loss.seconds[WARM_UP - 1])


def bare(name: str) -> float:
    """The same in a bare loop, in a process of its own as the run had."""
    if name not in PEERS:
        raise LookupError(f"benchmarks/bare.py knows no torch.nn counterpart of {name!r}: add it to PEERS")
    sizes = {"updates": UPDATES, "length": LENGTH, "batch-size": BATCH_SIZE, "hidden-size": HIDDEN_SIZE}
    options = [word for key, value in sizes.items() for word in (f"--{key}", str(value))]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bare", name, *options, "--clip-at", str(CLIP_AT)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
