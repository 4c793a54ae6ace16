"""The table of Compare: in what the runs differ, and what they reached."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import streamlit as st

from dashboard.charts.settings import differing
from dashboard.text import number, share
from dashboard.theme import run_color
from dashboard.views.parts import heading, labels
from trainer.schema import Run


def differences(runs: Sequence[Run]) -> None:
    names = labels(runs)
    different = differing([run.config for run in runs])
    if different and different[0]:
        about = "Only the settings in which these runs differ, then what they reached."
    elif len(runs) > 1:
        about = "These runs have the same settings, seed included."
    else:
        about = "Add a second run."
    heading("What differs", about)
    rows = [
        {
            "": _swatch(run_color(run.number)),
            "run": names[run.id],
            **settings,
            "best validation loss": number(run.summary.best_validation_loss),
            "best validation error": share(run.summary.best_validation_error),
            "updates clipped": share(run.summary.clip_rate),
            "steps per second": number(run.summary.steps_per_second),
            "solved": {None: "–", True: "yes", False: "no"}[run.summary.solved],
        }
        for run, settings in zip(runs, different, strict=True)
    ]
    st.dataframe(
        rows,
        hide_index=True,
        key="differences",
        column_config={
            "": st.column_config.ImageColumn("", pinned=True, width=36),
            "run": st.column_config.TextColumn("run", pinned=True, width="medium"),
        },
    )


def _swatch(color: str) -> str:
    """The run's colour as a picture for a table cell."""
    circle = f"<circle cx='5' cy='5' r='3' fill='{color}'/>"
    drawn = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 10 10'>{circle}</svg>"
    return "data:image/svg+xml," + quote(drawn)
