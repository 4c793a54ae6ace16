"""``make reproduce``: trains what the README claims, by the command line, and prints the results."""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.service import ROOT
from trainer.schema import Run, RunState

HEADER = ("Claim", "Network", "Updates", "Time", "Result", "Holds")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """One training, and what must come of it."""

    title: str
    network: str
    changes: tuple[str, ...]
    """As after ``--set``."""
    holds: Callable[[Run], bool]


CLAIMS = (
    Claim(
        title="Temporal order, length 20: 0 errors in 10,000 fresh sequences",
        network="lstm",
        changes=(
            "task.name=temporal_order",
            "task.length=20",
            "model.hidden_size=64",
            "training.steps=3000",
            "training.learning_rate=0.005",
        ),
        holds=lambda run: run.summary.test_wrong == 0 and run.summary.test_total == 10_000,
    ),
    *(
        Claim(
            title="Adding, length 50: under 1% wrong",
            network=network,
            changes=(
                "task.name=adding",
                "task.length=50",
                "model.hidden_size=64",
                "training.steps=6000",
                "training.learning_rate=0.004",
                "training.stop_when_solved=true",
            ),
            holds=lambda run: bool(run.summary.solved),
        )
        for network in ("gru", "lstm")
    ),
    Claim(
        title="Characters, about two minutes on two cores",
        network="lstm",
        changes=(
            "task.name=characters",
            "model.hidden_size=128",
            "training.steps=4000",
            "training.learning_rate=0.005",
        ),
        holds=lambda run: run.summary.bits_per_character is not None and run.summary.bits_per_character < 3,
    ),
)


def train(claim: Claim, data: Path) -> Run:
    """``python -m trainer train --json``, whose progress bar is shown as it goes."""
    changes = [
        word for change in (f"model.name={claim.network}", *claim.changes) for word in ("--set", change)
    ]
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "train", "--json", *changes],
        cwd=ROOT,
        env={**os.environ, "UNFOLD_DATA": str(data)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if not done.stdout.strip():
        raise SystemExit(f"the command line printed no run: exit code {done.returncode}")
    return Run.model_validate_json(done.stdout.splitlines()[-1])


def result(run: Run) -> str:
    """What the closing test found."""
    summary = run.summary
    if summary.bits_per_character is not None:
        return f"{summary.bits_per_character:.3f} bits per character"
    if summary.test_wrong is None or summary.test_total is None:
        return f"{run.state}: {run.reason}"
    return f"{summary.test_wrong:,} of {summary.test_total:,} wrong"


def main() -> int:
    """0 when every claim holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduce", description=__doc__)
    parser.add_argument("--only", default="", help="claims whose title or network contains this text")
    given = parser.parse_args()
    table, console, failed = (
        Table(*HEADER, box=box.SIMPLE),
        Console(width=None if sys.stdout.isatty() else 140),
        0,
    )
    with TemporaryDirectory() as data:
        for claim in CLAIMS:
            if given.only.lower() not in f"{claim.title} {claim.network}".lower():
                continue
            console.print(f"{claim.title}: {claim.network}", style="dim")
            run = train(claim, Path(data))
            holds = run.state is RunState.FINISHED and claim.holds(run)
            failed += not holds
            took = f"{run.summary.seconds:.0f} s" if run.summary.seconds else ""
            table.add_row(
                claim.title, claim.network, f"{run.step:,}", took, result(run), "yes" if holds else "NO"
            )
    console.print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
