"""``make app`` is ended at random moments of its start: nothing of it may be left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.prove.dashboard import free_port, is_up, visit
from benchmarks.prove.ground import Ground
from benchmarks.prove.processes import marked, sweep, told, until
from benchmarks.prove.promise import SQLITE, Promise, hold
from benchmarks.service import ROOT

CTRL_C, OTHERS = 10, 3
"""Starts ended by Ctrl-C; by SIGTERM to make, and by a terminal that is closed, each."""
GONE_WITHIN = 30.0
"""Seconds in which everything must have ended: a service may have to wait for its workers."""
AT_ONCE = 2
STAGES = {
    "before the dashboard answers": (0.0, 3.0),
    "as the first page starts the service": (0.0, 4.0),
    "when all is up": (3.0, 6.0),
}


def ended_early(ground: Ground) -> str:
    """Each start in a session of its own, as a terminal would have it."""
    hold(shutil.which("make"), "there is no make here")
    signals = [signal.SIGINT] * CTRL_C + [signal.SIGTERM, signal.SIGHUP] * OTHERS
    stages = [
        ground.chosen.choice(list(STAGES)) if turn >= len(STAGES) else list(STAGES)[turn]
        for turn in range(len(signals))
    ]
    moments = [ground.chosen.uniform(*STAGES[stage]) for stage in stages]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        took = list(
            pool.map(
                lambda n: _start(ground.folder / f"start-{n}", signals[n], stages[n], moments[n]),
                range(len(signals)),
            )
        )
    services = sum(had_service for _, had_service in took)
    slowest = max(seconds for seconds, _ in took)
    return (
        f"{CTRL_C} Ctrl-C, {OTHERS} SIGTERM, {OTHERS} SIGHUP, {services} of them with the service under way: "
        f"no process left, all gone within {slowest:.1f} s"
    )


def _start(data: Path, number: signal.Signals, stage: str, moment: float) -> tuple[float, bool]:
    """Seconds until all had ended, and whether the service was among them."""
    data.mkdir()
    port = free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UNFOLD_", "MAKE", "MFLAGS"))
    }
    with (data / "make.txt").open("wb") as output:
        make = subprocess.Popen(
            # -o: this environment is as it should be, whatever its files' times say.
            ["make", "-o", f"{sys.prefix}/.app", f"VENV={sys.prefix}", f"PORT={port}", "app"],
            cwd=ROOT,
            env={**environment, "UNFOLD_DATA": str(data), "UNFOLD_PORT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        if stage != next(iter(STAGES)):
            hold(
                until(lambda: is_up(port), 120),
                f"make app: no dashboard: {(data / 'make.txt').read_text()[-1000:]}",
            )
            visit(port, moment)
        else:
            time.sleep(moment)
        words = [" ".join(process.cmdline()) for process in marked(data)]
        had_service = any("trainer serve" in each for each in words)
        if number is signal.SIGTERM:
            make.send_signal(number)  # to make alone, as a supervisor does it
        else:
            os.killpg(make.pid, number)  # to the whole foreground, as a terminal does it
        began = time.monotonic()
        hold(until(lambda: not marked(data), GONE_WITHIN), _left(data, number, stage, moment))
        return time.monotonic() - began, had_service
    finally:
        sweep(data)
        make.wait()


def _left(data: Path, number: signal.Signals, stage: str, moment: float) -> str:
    return (
        f"{GONE_WITHIN:g} s after {number.name} {moment:.2f} s into “{stage}”, there are still: "
        + "; ".join(told(process) for process in marked(data))
    )


PROMISES = [
    Promise(
        name="start",
        says="Nothing is left of a start that is ended",
        tried="make app ended by Ctrl-C, SIGTERM, a closed terminal at random moments, a page open or not",
        proof=ended_early,
        databases=(SQLITE,),
    ),
]
