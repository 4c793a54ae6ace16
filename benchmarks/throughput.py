"""(a) Updates per second of a launched run, with all it reports, beside a bare PyTorch loop on the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from benchmarks.bare import WARM_UP
from benchmarks.peers import PEERS
from benchmarks.report import Result, median, ratio_of_pairs
from benchmarks.service import ROOT, Service
from models import MODELS
from trainer.schema import RunState

LENGTH, BATCH_SIZE, HIDDEN_SIZE, CLIP_AT = 50, 32, 64, 1.0
TURN_SECONDS, FEWEST = 1.5, 250
"""How long a turn is, and how many updates it has at least: enough for validations, samples, recorded
gradients and a checkpoint to count, and so few that the machine's noise meets both neighbours."""
TURNS = 2
"""Turns for each repeat of the other measurements: this ratio is the one that noise disturbs most."""


def measure(repeats: int) -> list[Result]:
    """One result for each registered network. The two sides take turns, and take turns at going first."""
    results = []
    with TemporaryDirectory() as folder, Service(Path(folder)) as service:
        for name, spec in MODELS.items():
            with Bare(name) as bare:
                updates = max(FEWEST, round(TURN_SECONDS * bare.updates_per_second(WARM_UP)))
                pairs = []
                for turn in range(TURNS * repeats):
                    peer_first = bare.updates_per_second(updates) if turn % 2 else None
                    ours = launched(service, name, updates)
                    pairs.append((ours, peer_first or bare.updates_per_second(updates)))
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


def launched(service: Service, name: str, updates: int) -> float:
    """Launch, wait, and read the wall time between two updates from the run's own loss curve."""
    run = service.launch(
        {
            "model": {"name": name, "hidden_size": HIDDEN_SIZE},
            "task": {"name": "adding", "length": LENGTH},
            "training": {
                "steps": WARM_UP + updates,
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
    if over.state is not RunState.FINISHED or loss is None or len(loss.step) != WARM_UP + updates:
        raise RuntimeError(f"run {run.id} is {over.state} at update {over.step}: {over.reason}")
    return updates / (loss.seconds[-1] - loss.seconds[WARM_UP - 1])


class Bare:
    """The same in a bare loop, in a process of its own as the run has; a context manager."""

    def __init__(self, name: str) -> None:
        if name not in PEERS:
            raise LookupError(f"benchmarks/peers.py knows no bare counterpart of {name!r}: add it to PEERS")
        sizes = {"length": LENGTH, "batch-size": BATCH_SIZE, "hidden-size": HIDDEN_SIZE, "clip-at": CLIP_AT}
        options = [word for key, value in sizes.items() for word in (f"--{key}", str(value))]
        self.command = [sys.executable, "-m", "benchmarks.bare", name, *options]

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.updates_per_second(WARM_UP)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()  # its loop over lines ends
        self.process.wait()
        self.process.stdout.close()

    def updates_per_second(self, updates: int) -> float:
        """Take a turn."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{updates}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())
