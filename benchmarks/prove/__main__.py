"""``make prove``: every promise is tried, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from tempfile import mkdtemp

from rich.console import Console
from rich.text import Text

from benchmarks.prove import PROMISES, report
from benchmarks.prove.promise import BOTH, Promise
from benchmarks.prove.trial import Outcome, Trial

LANES = 2
"""Promises that are tried side by side."""


def chosen(only: Sequence[str], databases: Sequence[str]) -> list[tuple[Promise, str]]:
    """The trials that were asked for, in the order of the registry: those that take longest begin."""
    promises = [promise for name, promise in PROMISES.items() if not only or name in only]
    return [(promise, each) for promise in promises for each in promise.databases if each in databases]


def prove(
    trials: Sequence[tuple[Promise, str]], seed: int, lanes: int, console: Console, patience: float = 1.0
) -> list[Outcome]:
    """Try them all, a line for each as it ends; in the order given, however they end."""
    ground = Path(mkdtemp(prefix="unfold-prove-"))
    ground.chmod(0o711)
    running: set[Trial] = set()
    lock, over = threading.Lock(), threading.Event()

    def one(promise: Promise, database: str) -> Outcome:
        folder = ground / f"{promise.name}-{database.lower()}"
        folder.mkdir()
        with lock:
            if over.is_set():
                raise KeyboardInterrupt
            trial = Trial(promise, database, seed, folder)
            running.add(trial)
        try:
            outcome = trial.run(promise.seconds * patience)
        finally:
            with lock:
                running.discard(trial)
        shutil.rmtree(folder, ignore_errors=True)
        return outcome

    outcomes: dict[int, Outcome] = {}
    pool = ThreadPoolExecutor(lanes)
    try:
        waiting = {pool.submit(one, *trial): index for index, trial in enumerate(trials)}
        for done in as_completed(waiting):
            index = waiting[done]
            outcomes[index] = done.result()
            shown = report.line(outcomes[index], trials[index][0])
            console.print(Text(shown, style="" if outcomes[index].holds else "red"), soft_wrap=True)
    finally:
        over.set()
        with lock:
            left = list(running)
        for trial in left:
            trial.end()
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(ground, ignore_errors=True)
    return [outcomes[index] for index in sorted(outcomes)]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every promise held."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prove", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], choices=list(PROMISES), help="try this one; may be repeated"
    )
    parser.add_argument("--database", action="append", default=[], choices=[name.lower() for name in BOTH])
    parser.add_argument("--seed", type=int, default=None, help="repeat the moments of an earlier time")
    parser.add_argument("--lanes", type=int, default=LANES, help="how many are tried side by side")
    parser.add_argument(
        "--patience", type=float, default=1.0, help="time limits times this, on a busy machine"
    )
    parser.add_argument("--list", action="store_true", help="say what is promised, and try nothing")
    given = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    if given.list:
        for promise in PROMISES.values():
            console.print(Text(f"{promise.name:<12} {promise.says} ({', '.join(promise.databases)})"))
        return 0
    os.environ.pop("UNFOLD_STORE", None)
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10_000)
    console.print(f"Seed of the moments: {seed}", style="dim")
    trials = chosen(
        given.only, [name for name in BOTH if not given.database or name.lower() in given.database]
    )
    began = time.monotonic()
    outcomes = prove(trials, seed, given.lanes, console, given.patience)
    told = report.body(outcomes, PROMISES, seed, time.monotonic() - began)
    if not given.only and not given.database:  # a part alone does not replace the figures of the whole
        report.write(told)
    broken = [outcome for outcome in outcomes if not outcome.holds]
    console.print(f"{len(outcomes) - len(broken)} of {len(outcomes)} held, in {told['seconds']} s.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
