"""What ``make prove`` writes: proofs.json, proofs.md, and README's table of promises."""

from __future__ import annotations

import dataclasses
import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.prove.promise import Promise
from benchmarks.prove.trial import Outcome
from benchmarks.report import processor

FOLDER = Path(__file__).resolve().parents[1]
README = FOLDER.parent / "README.md"
HEADER = ("Promise", "How it is tried", "Figures")
TABLE = re.compile(
    r"(?<=<!-- promises: written by make prove -->\n).*?(?=<!-- end of promises -->)", re.DOTALL
)


def line(outcome: Outcome, promise: Promise) -> str:
    """The one line that a person sees: ✓ or ✗, database, promise, figures, seconds."""
    sign = "✓" if outcome.holds else "✗"
    return f"{sign} {outcome.database:<10} {promise.says}: {outcome.figures} ({outcome.seconds:.0f} s)"


def body(
    outcomes: Iterable[Outcome], promises: Mapping[str, Promise], seed: int, seconds: float
) -> dict[str, Any]:
    """All of it as data."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "system": platform.system(),
        "python": platform.python_version(),
        "seed": seed,
        "seconds": round(seconds),
        "promises": [
            {
                **dataclasses.asdict(outcome),
                "seconds": round(outcome.seconds, 1),
                "says": promises[outcome.name].says,
                "tried": promises[outcome.name].tried,
            }
            for outcome in outcomes
        ],
    }


def rows(told: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """One row for each promise; figures of both databases stand in one cell."""
    found: dict[str, tuple[str, str, list[str]]] = {}
    for entry in told["promises"]:
        *_, figures = found.setdefault(entry["name"], (entry["says"], entry["tried"], []))
        sign = "" if entry["holds"] else "BROKEN: "
        figures.append(f"{entry['database']}: {sign}{entry['figures']}")
    return [(says, tried, "; ".join(figures)) for says, tried, figures in found.values()]


def table(told: Mapping[str, Any]) -> str:
    """The rows in Markdown."""
    lines: Sequence[tuple[str, ...]] = [HEADER, ("---",) * len(HEADER), *rows(told)]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")


def write(told: Mapping[str, Any], folder: Path = FOLDER, readme: Path = README) -> None:
    """Replace the figures of the last time, in all three places."""
    (folder / "proofs.json").write_text(
        json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (folder / "proofs.md").write_text(
        "# Promises\n\n"
        f"Made by `make prove` on {told['date']} in {told['seconds']} s with seed {told['seed']}: "
        f"{told['processor']}, {told['system']}, Python {told['python']}.\n\n{table(told)}",
        encoding="utf-8",
    )
    text = readme.read_text(encoding="utf-8")
    readme.write_text(TABLE.sub(lambda _: table(told), text), encoding="utf-8")
