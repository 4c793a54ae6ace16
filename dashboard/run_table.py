"""The table of runs as data: which columns it has and what stands in them. No streamlit here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import pandas as pd

from dashboard.theme import NO_ANSWER, STATE_LABELS, run_color, run_mark
from trainer.schema import Run, as_percent


def table(runs: Sequence[Run], title_of: Callable[[str, str], str]) -> pd.DataFrame:
    """One row for each run, in the order given.

    ``title_of`` turns ``("models", "lstm")`` into the network's title, ``("tasks", …)`` into the task's.
    """
    return pd.DataFrame([_row(run, title_of) for run in runs], columns=list(COLUMNS))


COLUMNS = (
    "mark",
    "number",
    "name",
    "open",
    "state",
    "progress",
    "network",
    "task",
    "best_loss",
    "of_chance",
    "best_error",
    "speed",
    "created",
    "tags",
    "chance_error",
)
"""In the order in which they are shown; a narrow window cuts off the last ones."""


def _row(run: Run, title_of: Callable[[str, str], str]) -> Mapping[str, Any]:
    summary, chance = run.summary, run.summary.chance
    best, error = summary.best_validation_loss, summary.best_validation_error
    return {
        "mark": run_mark(run.number),
        "number": run.number,
        "name": run.name,
        "open": open_words(run),
        "state": [STATE_LABELS[run.state] if run.silent_for is None else NO_ANSWER],
        "progress": _progress(run),
        "network": title_of("models", str(run.config.model.get("name"))),
        "task": title_of("tasks", str(run.config.task.get("name"))),
        "best_loss": best,
        "of_chance": None
        if best is None or chance is None or not chance.loss
        else as_percent(best / chance.loss),
        "best_error": as_percent(error),
        "chance_error": None if chance is None else as_percent(chance.error),
        "speed": summary.steps_per_second,
        "created": run.created_at,
        "tags": list(run.tags),
    }


def _progress(run: Run) -> int:
    """In percent: 0 of no update alone, and 100 of all of them."""
    percent = round(100 * run.step / run.config.training.steps)
    return min(max(percent, run.step > 0), 99) if run.step < run.config.training.steps else 100


def open_words(run: Run) -> str:
    """On the button that opens a run: no two runs have the same."""
    return f"Open {run.number}"


def opened(runs: Sequence[Run], words: str) -> Run | None:
    """The run whose button was pressed: by its words, for the row may be that of an older drawing."""
    return next((run for run in runs if open_words(run) == words), None)


def coloured(frame: pd.DataFrame) -> Any:
    """The table with each run's mark in the run's colour."""

    def paint(_: pd.Series) -> list[str]:
        return [f"color: {run_color(number)}" for number in frame["number"]]

    return frame.style.apply(paint, subset=["mark"])


def rows_of(selected: Sequence[UUID], shown: Sequence[UUID]) -> list[int]:
    """Where the selected runs stand in the table now."""
    wanted = set(selected)
    return [row for row, run_id in enumerate(shown) if run_id in wanted]


def selected_after(rows: Sequence[int], shown: Sequence[UUID], selected_before: Sequence[UUID]) -> list[UUID]:
    """The selection by id, after the reader chose ``rows`` of the runs ``shown``.

    Selected runs that a filter hides are let go: an action must never reach a run that is out of sight.
    """
    chosen = {shown[row] for row in rows if 0 <= row < len(shown)}
    kept = [run_id for run_id in selected_before if run_id in chosen]
    return kept + [run_id for run_id in shown if run_id in chosen and run_id not in kept]
