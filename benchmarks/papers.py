"""``make papers``: trains what the papers and the notes report, seed by seed, and writes docs/papers.md.

Each experiment is one command: ``python -m benchmarks.papers echo``. Its runs go through a real service, two
at once, as anybody's would. What an experiment found is kept in papers.json, so that one can be repeated
alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.experiments import EXPERIMENTS, Cell, Experiment, Outcome, reach
from benchmarks.report import FOLDER, processor
from benchmarks.service import ROOT, Service
from trainer.schema import Run, RunState, percent

KEPT = FOLDER / "papers.json"
PAGE = ROOT / "docs" / "papers.md"


def main() -> int:
    """0 when every expectation of every experiment that was run holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.papers", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *EXPERIMENTS], help="which; all when none is named")
    parser.add_argument("--slots", type=int, default=min(2, os.cpu_count() or 1), help="runs at once")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    failed = 0
    for name in given.names or list(EXPERIMENTS):
        experiment = EXPERIMENTS[name]
        began = time.perf_counter()
        outcomes = carry_out(experiment, given.slots)
        kept[name] = record(experiment, outcomes, time.perf_counter() - began)
        KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        PAGE.write_text(page(kept), encoding="utf-8")
        show(kept[name], console)
        failed += sum(not holds for _, holds in kept[name]["expectations"])
    return 1 if failed else 0


def carry_out(experiment: Experiment, slots: int) -> dict[Cell, list[Outcome]]:
    """Launch every seed of every cell, and wait for them all."""
    outcomes: dict[Cell, list[Outcome]] = {}
    with TemporaryDirectory() as folder, Service(Path(folder), slots=slots) as service:
        launched = [
            (cell, service.launch({**config, "seed": seed}))
            for cell, config in experiment.cells.items()
            for seed in range(experiment.seeds)
        ]
        for cell, run in track(launched, description=experiment.title, disable=not sys.stdout.isatty()):
            outcomes.setdefault(cell, []).append(outcome(service.finish(run, patience=3600)))
    return outcomes


def outcome(run: Run) -> Outcome:
    """What one run came to. A run that failed (say, its loss became NaN) has learnt nothing."""
    summary = run.summary
    if run.state is not RunState.FINISHED or summary.test_wrong is None or not summary.test_total:
        return Outcome(
            solved=False, error=1.0, updates=run.step, seconds=summary.seconds or 0.0, note=run.reason or ""
        )
    return Outcome(
        solved=bool(summary.solved),
        error=summary.test_wrong / summary.test_total,
        updates=run.step,
        seconds=summary.seconds or 0.0,
        lengths={found.length: found.error for found in summary.lengths or () if found.error is not None},
    )


def record(experiment: Experiment, outcomes: dict[Cell, list[Outcome]], seconds: float) -> dict[str, Any]:
    """What is kept of an experiment: plain values for JSON."""
    rows = list(dict.fromkeys(cell.network for cell in experiment.cells))
    columns = list(dict.fromkeys(cell.condition for cell in experiment.cells))
    table = [
        [row, *(entry(outcomes.get(Cell(network=row, condition=column), [])) for column in columns)]
        for row in rows
    ]
    runs = [run for cell in outcomes.values() for run in cell]
    return {
        "title": experiment.title,
        "reported": experiment.reported,
        "setting": experiment.setting,
        "header": [experiment.row_title, *columns],
        "table": table,
        "expectations": [[text, bool(holds(outcomes))] for text, holds in experiment.expectations],
        "remark": experiment.remark,
        "runs": len(runs),
        "seeds": experiment.seeds,
        "minutes": round(seconds / 60, 1),
        "date": datetime.now(UTC).date().isoformat(),
        "outcomes": {
            f"{cell.network} | {cell.condition}": [run.kept() for run in found]
            for cell, found in outcomes.items()
        },
    }


def entry(found: list[Outcome]) -> str:
    """One cell of the table: how many seeds solved it, after how many updates; else how wrong they were."""
    if not found:
        return ""
    solved = [run for run in found if run.solved]
    text = f"{len(solved)} of {len(found)}"
    if solved:
        text += f"; {statistics.median(run.updates for run in solved):,.0f} updates"
    if len(solved) < len(found):
        text += f"; {percent(statistics.median(run.error for run in found))} wrong"
    if any(run.lengths for run in found):
        text += f"; 95% right up to length {statistics.median(reach(run) for run in found):.0f}"
    return text


def show(kept: dict[str, Any], console: Console) -> None:
    console.print(f"{kept['title']} ({kept['runs']} runs, {kept['minutes']} minutes)", style="bold")
    table = Table(*kept["header"], box=box.SIMPLE)
    for row in kept["table"]:
        table.add_row(*row)
    console.print(table)
    for text, holds in kept["expectations"]:
        console.print(f"  {'yes' if holds else 'NO '}  {text}")


def page(kept: dict[str, Any]) -> str:
    """docs/papers.md."""
    parts = [
        "# What the papers report, trained again\n",
        f"Written by `make papers` on {processor()}, {os.cpu_count()} cores. A cell says how many seeds met "
        "the task's own success rule on 10,000 sequences (fresh ones; of the Reber grammar, drawn from the "
        "strings held back), and the median number of updates those took (a run ends when it is solved); "
        "and, where not all did, the median share of wrong sequences over all seeds.\n",
    ]
    for name in (name for name in EXPERIMENTS if name in kept):
        found = kept[name]
        lines = [found["header"], ["---"] * len(found["header"]), *found["table"]]
        parts += [
            f"## {found['title']}\n",
            f"`python -m benchmarks.papers {name}`: {found['runs']} runs, seeds 0 to {found['seeds'] - 1}, "
            f"{found['minutes']} minutes on {found['date']}.\n",
            f"Reported: {found['reported']}\n",
            f"Here: {found['setting']}\n",
            "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n",
            "\n".join(f"- {text}: **{'yes' if holds else 'no'}**" for text, holds in found["expectations"]),
            "",
        ]
        if found["remark"]:
            parts.append(f"{found['remark']}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
