"""What a measurement says, and how it is shown."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

FOLDER = Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """One line of the table."""

    name: str
    ours: str
    peer: str
    measure: str
    """What ``value`` is: a ratio, or a time with its unit."""
    value: float
    goal: float
    at_least: bool
    """Whether the goal is a lower bound."""
    repeats: list[float]
    """The single measurements behind ``value``."""

    @property
    def met(self) -> bool:
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    @property
    def row(self) -> tuple[str, ...]:
        sign = "≥" if self.at_least else "≤"
        unit = "×" if self.measure == "ratio" else f" {self.measure}"
        spread = f"{min(self.repeats):.3g} to {max(self.repeats):.3g}"
        return (
            self.name,
            self.ours,
            self.peer,
            f"{self.value:.3f}{unit}" if self.measure == "ratio" else f"{self.value:.3g}{unit}",
            spread,
            f"{sign} {self.goal:g}{unit}",
            "yes" if self.met else "NO",
        )


HEADER = ("What", "Unfold", "Beside", "Median", "Spread", "Goal", "Met")


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def percentile_95(values: Sequence[float]) -> float:
    """Of every twenty requests, nineteen are at least as quick."""
    return statistics.quantiles(values, n=20)[-1]


def ratio_of_pairs(pairs: Sequence[tuple[float, float]]) -> float:
    """The median of the ratios of neighbours, which met the same noise."""
    return median([ours / peer for ours, peer in pairs])


def write(results: Sequence[Result], repeats: int) -> str:
    """Write results.json and results.md beside this file; gives the Markdown."""
    where = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "repeats": repeats,
    }
    body = {**where, "results": [{**dataclasses.asdict(result), "met": result.met} for result in results]}
    (FOLDER / "results.json").write_text(
        json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    rows = [HEADER, ("---",) * len(HEADER), *(result.row for result in results)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    text = (
        "# Benchmarks\n\n"
        f"Made by `make bench` on {where['date']}: {where['processor']}, {where['cores']} cores, "
        f"{where['system']}, Python {where['python']}, PyTorch {where['torch']}. Medians of {repeats} "
        "repeats in which the two sides took turns; the spread is that of the single measurements.\n\n"
        f"{table}\n"
    )
    (FOLDER / "results.md").write_text(text, encoding="utf-8")
    return text


def processor() -> str:
    """Its name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
