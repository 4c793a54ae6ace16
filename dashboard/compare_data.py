"""The table of Compare as data: in what the runs differ, and what they reached. No streamlit here.

Numbers are numbers, so that a click on a column's name sorts by size; what a run does not have is empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pandas as pd

from dashboard.charts.settings import differing, flat, none_words
from trainer.schema import Run, RunConfig, as_percent

SOLVED = {None: None, True: "yes", False: "no"}


def settings_columns(configs: Sequence[RunConfig]) -> dict[str, list[Any]]:
    """By setting in which any two differ, its value in each: numbers where it is one wherever it is set."""
    every = [flat(config) for config in configs]
    told = differing(configs)
    columns: dict[str, list[Any]] = {}
    for name in told[0] if told else ():
        values = [settings.get(name) for settings in every]
        if all(value is None or is_number(value) for value in values):
            columns[name] = values
        else:
            columns[name] = [
                words[name] if name in settings else None for words, settings in zip(told, every, strict=True)
            ]
    return columns


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def empty_words(name: str) -> str:
    """What an empty cell stands for in the column of a setting that is a number."""
    return f"Empty: {none_words(name)}, or no setting of that run's network or task."


def comparison(runs: Sequence[Run], names: Mapping[UUID, str]) -> pd.DataFrame:
    """One row for each run, in the order given: settings that differ, then results; shares in percent."""
    results = [run.summary for run in runs]
    columns: dict[str, list[Any]] = {
        "run": [names[run.id] for run in runs],
        **settings_columns([run.config for run in runs]),
        "best validation loss": [result.best_validation_loss for result in results],
        "best validation error": [as_percent(result.best_validation_error) for result in results],
        "updates clipped": [as_percent(result.clip_rate) for result in results],
        "steps per second": [result.steps_per_second for result in results],
        "solved": [SOLVED[result.solved] for result in results],
    }
    return pd.DataFrame(columns).convert_dtypes()
