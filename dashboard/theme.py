"""Colours and words that every page shares. Neither streamlit nor plotly is needed to read them.

Run colours begin with three of Okabe & Ito's set (2008); the other five were searched for so that every pair
stays apart for readers with protanopia, deuteranopia or tritanopia, and so that each is readable (contrast of
at least 3:1, WCAG 2.2 criterion 1.4.11) on both of the app's backgrounds. A test checks both.
"""

from __future__ import annotations

from typing import Literal

from trainer.schema import RunState

RUN_COLORS = ("#0072b2", "#d55e00", "#009e73", "#735ce5", "#aa4835", "#b27da5", "#bf864c", "#798df2")
"""Blue, vermilion, green, violet, brick, mauve, ochre, periwinkle."""

Dash = Literal["solid", "dash", "dot", "dashdot"]
RUN_DASHES: tuple[Dash, ...] = ("solid", "dash", "dot", "dashdot")


def run_color(number: int) -> str:
    """The colour of run ``number`` (1, 2, 3, …), the same on every page."""
    return RUN_COLORS[(number - 1) % len(RUN_COLORS)]


def run_dash(number: int) -> Dash:
    """The line style of run ``number``: runs 1 to 8 are solid, 9 to 16 dashed, and so on.

    So two runs that share a colour still differ, up to 32 runs.
    """
    return RUN_DASHES[(number - 1) // len(RUN_COLORS) % len(RUN_DASHES)]


MARKS = ("●", "◆", "■", "▲")
"""Runs 1 to 8, 9 to 16, and so on: as colours come round again the mark differs, as the line style does."""


def run_mark(number: int) -> str:
    return MARKS[(number - 1) // len(RUN_COLORS) % len(MARKS)]


STATE_LABELS: dict[RunState, str] = {
    RunState.QUEUED: "Queued",
    RunState.RUNNING: "Running",
    RunState.FINISHED: "Finished",
    RunState.STOPPED: "Stopped",
    RunState.FAILED: "Failed",
    RunState.INTERRUPTED: "Interrupted",
}

STATE_HELP: dict[RunState, str] = {
    RunState.QUEUED: "Waits for a free place; runs start first come, first served.",
    RunState.RUNNING: "Training now; or *No answer* where its process says nothing any more.",
    RunState.FINISHED: "Made all its steps, or solved its task.",
    RunState.STOPPED: "You stopped it. It can be resumed where it left off.",
    RunState.FAILED: "Ended by an error; the reason is shown with the run.",
    RunState.INTERRUPTED: "Its process was ended from outside. It can be resumed from its last checkpoint.",
}

NO_ANSWER = "No answer"
"""In place of "Running" where the worker has said nothing for 30 s or longer."""

StateColor = Literal["gray", "blue", "green", "yellow", "red", "violet"]
STATE_COLORS: dict[RunState, StateColor] = {
    RunState.QUEUED: "gray",
    RunState.RUNNING: "blue",
    RunState.FINISHED: "green",
    RunState.STOPPED: "yellow",
    RunState.FAILED: "red",
    RunState.INTERRUPTED: "violet",
}
"""Streamlit's colour names, for ``st.badge``. Never the only sign: label and icon say the same."""

STATE_ICONS: dict[RunState, str] = {
    RunState.QUEUED: ":material/schedule:",
    RunState.RUNNING: ":material/play_arrow:",
    RunState.FINISHED: ":material/check:",
    RunState.STOPPED: ":material/stop:",
    RunState.FAILED: ":material/error:",
    RunState.INTERRUPTED: ":material/bolt:",
}
