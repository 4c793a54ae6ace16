"""The table of Compare: in what the runs differ, and what they reached."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import streamlit as st
from pandas.api.types import is_numeric_dtype

from dashboard.compare_data import comparison, empty_words
from dashboard.theme import run_color
from dashboard.views.parts import heading, labels
from trainer.schema import Run

FORMATS = {
    "best validation loss": "%.3g",
    "best validation error": "%.3g%%",
    "updates clipped": "%.3g%%",
    "steps per second": "%.0f",
}
"""Of the results that are numbers."""


def differences(runs: Sequence[Run]) -> None:
    table = comparison(runs, labels(runs))
    settings = [name for name in table.columns if "." in name or name == "seed"]
    if settings:
        about = "Only the settings in which these runs differ, then what they reached."
    elif len(runs) > 1:
        about = "These runs have the same settings, seed included."
    else:
        about = "Add a second run."
    heading("What differs", f"{about} A click on a column's name sorts by it.")
    table.insert(0, "", [_swatch(run_color(run.number)) for run in runs])
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        key="differences",
        placeholder="",
        column_config={
            "": st.column_config.ImageColumn("", pinned=True, width=36),
            "run": st.column_config.TextColumn("run", pinned=True, width="medium"),
            **{
                name: number(name, format="%.6g", help=empty_words(name))
                for name in settings
                if is_numeric_dtype(table[name])
            },
            **{name: number(name, format=form) for name, form in FORMATS.items()},
        },
    )


def _swatch(color: str) -> str:
    """The run's colour as a picture for a table cell."""
    circle = f"<circle cx='5' cy='5' r='3' fill='{color}'/>"
    drawn = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 10 10'>{circle}</svg>"
    return "data:image/svg+xml," + quote(drawn)
