"""(c) 100,000 metric rows written and read, by our store and by MLflow's tracking store, both on SQLite.

The same rows in the same shape: four metrics, 25,000 updates, reports of 1,000 rows, which is the most that
MLflow's log_batch takes. Both sides are used as a program in the same process uses them, without HTTP.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Result, median, ratio_of_pairs
from trainer.schema import Column, Report, RunConfig
from trainer.store import Store

KEYS = ("loss", "gradient_norm/before_clip", "gradient_norm/after_clip", "clipped")
UPDATES = 25_000
UPDATES_PER_REPORT = 250


def measure(repeats: int, peer_python: str) -> list[Result]:
    """A result for writing and one for reading."""
    pairs = [(ours(), peer(peer_python)) for _ in range(repeats)]
    results = []
    for side, name in enumerate(("Write", "Read")):
        rates = [
            (UPDATES * len(KEYS) / mine[side], UPDATES * len(KEYS) / theirs[side]) for mine, theirs in pairs
        ]
        results.append(
            Result(
                name=f"{name} 100,000 metric rows",
                ours=f"{median([rate for rate, _ in rates]):,.0f} rows/s",
                peer=f"MLflow {median([rate for _, rate in rates]):,.0f} rows/s",
                measure="ratio",
                value=ratio_of_pairs(rates),
                goal=20,
                at_least=True,
                repeats=[mine / theirs for mine, theirs in rates],
            )
        )
    return results


def ours() -> tuple[float, float]:
    """Seconds to write and to read."""
    with TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{Path(folder) / 'unfold.db'}")
        store.migrate()
        config = RunConfig(model={"name": "lstm"}, task={"name": "adding"})
        run, _ = store.create_run(config, "rows", [], None)
        attempt = store.start_attempt(run.id)
        reports = [report(sequence) for sequence in range(UPDATES // UPDATES_PER_REPORT)]
        began = time.perf_counter()
        for each in reports:
            store.accept(run.id, attempt.number, attempt.token, each, None)
        written = time.perf_counter()
        curves = store.metrics([run.id])[run.id]
        read = time.perf_counter()
        store.close()
    if any(curves[key].value != [float(step) for step in range(1, UPDATES + 1)] for key in KEYS):
        raise RuntimeError("what was read is not what was written")
    return written - began, read - written


def report(sequence: int) -> Report:
    """The rows of one report, as a worker posts them."""
    first = sequence * UPDATES_PER_REPORT + 1
    steps = list(range(first, first + UPDATES_PER_REPORT))
    values = [float(step) for step in steps]
    column = Column(step=steps, value=values, seconds=values, sequences=values)
    return Report(sequence=sequence, pid=1, step=steps[-1], metrics=dict.fromkeys(KEYS, column))


def peer(python: str) -> tuple[float, float]:
    """The same by MLflow, in its own environment."""
    shape = {"keys": KEYS, "updates": UPDATES, "updates_per_report": UPDATES_PER_REPORT}
    script = Path(__file__).with_name("mlflow_peer.py")
    done = subprocess.run(
        [python, "-P", str(script), json.dumps(shape)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"MLflow's side failed:\n{done.stderr[-2000:]}")
    write, read = json.loads(done.stdout.splitlines()[-1])
    return write, read


if __name__ == "__main__":
    for result in measure(1, sys.argv[1]):
        print(*result.row, sep=" | ")
