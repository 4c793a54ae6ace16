"""``make bench``: measures everything, prints a table, writes results.json and results.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks import first_loss, inspections, pages, rows, scan_speed, throughput
from benchmarks.report import HEADER, Result, write


def main() -> int:
    """0 when every goal is met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peer-python", required=True, help="an interpreter that has MLflow")
    parser.add_argument("--repeats", type=int, default=5, help="side-by-side repeats of each measurement")
    parser.add_argument(
        "--only",
        choices=["updates", "scan", "first-loss", "rows", "pages", "inside"],
        help="measure and print one part",
    )
    given = parser.parse_args()
    parts: dict[str, Callable[[], list[Result]]] = {
        "updates": lambda: throughput.measure(given.repeats),
        "scan": lambda: scan_speed.measure(given.repeats),
        "first-loss": lambda: first_loss.measure(given.repeats),
        "rows": lambda: rows.measure(given.repeats, given.peer_python),
        "pages": pages.measure,
        "inside": lambda: inspections.measure(given.repeats),
    }
    console = Console(width=None if sys.stdout.isatty() else 160)
    results: list[Result] = []
    for name, measure in parts.items():
        if given.only in (None, name):
            console.print(f"Measuring {name} …", style="dim")
            results += measure()
    table = Table(*HEADER, box=box.SIMPLE)
    for result in results:
        table.add_row(*result.row)
    console.print(table)
    if given.only is None:  # a part alone does not replace the figures of the whole
        write(results, given.repeats)
    return 0 if all(result.met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
