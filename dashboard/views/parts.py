"""What several pages share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import streamlit as st

from dashboard.charts.lengths import LengthCurve
from dashboard.client import Client, NotFound
from dashboard.text import plain
from dashboard.theme import NO_ANSWER, STATE_COLORS, STATE_ICONS, STATE_LABELS, run_color, run_dash, run_mark
from trainer.schema import Catalog, CatalogEntry, Letter, Run, ViewEntry, of_run

LIVE_EVERY = 1.0
"""Seconds between two looks at a run that is training."""
NEWEST = 2**62
"""Stands for the newest recording: later than any step."""
MOST_BESIDE = 4
"""Other runs that the page Inside shows together with one."""


@st.cache_data(ttl=300, show_spinner=False)
def _catalog(_client: Client, url: str) -> Catalog:  # noqa: ARG001 - the address is the cache's key
    return _client.catalog()


def view_entries(client: Client) -> list[ViewEntry]:
    """The ways to look inside a run that this service offers."""
    return _catalog(client, client.address.url).views


def task_entry(client: Client, run: Run) -> CatalogEntry | None:
    """The run's task as the catalogue knows it; None for one that this version no longer has."""
    name = run.config.task.get("name")
    return next((t for t in _catalog(client, client.address.url).tasks if t.name == name), None)


def model_entry(client: Client, run: Run) -> CatalogEntry | None:
    """The run's network as the catalogue knows it; None for one that this version no longer has."""
    name = run.config.model.get("name")
    return next((m for m in _catalog(client, client.address.url).models if m.name == name), None)


def about_run(client: Client, run: Run) -> dict[str, Any]:
    """The run's settings, and what the catalogue says of its network and task, by path."""
    _, values, known = of_run(_catalog(client, client.address.url), run.config)
    return {**known, **values}


def letters_of(client: Client, run: Run) -> dict[str, Letter]:
    """What the letters of the run's network stand for."""
    entry = model_entry(client, run)
    return entry.letters if entry is not None else {}


def length_curve(run: Run, name: str) -> LengthCurve:
    """The run's tests on longer sequences, in its colour."""
    length = run.config.task.get("length")
    return LengthCurve(
        name=name,
        color=run_color(run.number),
        dash=run_dash(run.number),
        verdicts=run.summary.lengths or [],
        trained=(length, run.config.training.longest or length) if isinstance(length, int) else None,
    )


def title_of(client: Client, kind: str, name: str) -> str:
    """The title that the catalogue gives a network (``models``) or a task (``tasks``)."""
    entries: list[CatalogEntry] = getattr(_catalog(client, client.address.url), kind)
    return next((entry.title for entry in entries if entry.name == name), name)


def labels(runs: Sequence[Run]) -> dict[UUID, str]:
    """A name for each run that tells it from the others: with its number where another has the same."""
    names = [run.name for run in runs]
    return {run.id: run.name if names.count(run.name) == 1 else f"{run.name} #{run.number}" for run in runs}


def colour_mark(run: Run) -> str:
    """The run's mark in its colour, as HTML; said to nobody, since the name stands beside it."""
    return (
        f'<span style="color:{run_color(run.number)};font-size:1.2rem" aria-hidden="true">'
        f"{run_mark(run.number)}</span>"
    )


def state_badge(run: Run) -> None:
    """The run's state as a coloured word with a sign."""
    if run.silent_for is not None:
        st.badge(NO_ANSWER, icon=":material/signal_disconnected:", color="red")
        return
    st.badge(STATE_LABELS[run.state], icon=STATE_ICONS[run.state], color=STATE_COLORS[run.state])


def is_there(client: Client, run_id: UUID) -> bool:
    """Whether the run has not been deleted."""
    try:
        client.run(run_id)
    except NotFound:
        return False
    return True


def relative_toggle() -> bool:
    """Whether gradients are drawn relative to the last timestep; the address keeps it."""
    return st.toggle(
        "Relative to the last timestep",
        value=True,
        key="relative",
        bind="query-params",
        help="How much of the gradient arrives at each timestep: its norm there ÷ its norm at the last "
        "timestep. Off: the norms themselves. Those are large where the network errs much, so that a run "
        "which has learnt nothing may lie above one that solved its task.",
    )


def deciding_words(run: Run) -> str:
    """What the dotted lines in a plot of gradients stand for; empty where there are none."""
    if not run.summary.informative:
        return ""
    size = run.config.analysis.probe_size
    return (
        f"Dotted: what decides the target in any of the {size} sequences that are measured, fainter where in "
        "fewer of them."
    )


def bin_note(runs: Sequence[Run]) -> None:
    """Says which of the runs on a page are in the bin."""
    if binned := [run for run in runs if run.binned_at is not None]:
        names = ", ".join(plain(run.name) for run in binned[:5]) + (" and more" if len(binned) > 5 else "")
        are = "is" if len(binned) == 1 else "are"
        st.warning(
            f"{names} {are} in the bin, and will be deleted for good after a day there. "
            "To keep what is there, put it back: *Bin* on the page *Runs*.",
            icon=":material/delete:",
        )


def run_ids(text: str) -> list[UUID]:
    """The run ids in a comma-separated list, each once; what is no id is left out."""
    ids = []
    for part in text.split(","):
        try:
            ids.append(UUID(part.strip()))
        except ValueError:
            continue
    return list(dict.fromkeys(ids))


def heading(title: str, about: str = "") -> None:
    """Over a plot: what it is, and how to read it."""
    with st.container(gap=None):
        st.markdown(f"#### {title}", anchors=False)
        if about:
            st.caption(about)


def empty(about: str) -> None:
    with st.container(height=240, horizontal_alignment="center", vertical_alignment="center", border=False):
        st.caption(about)


def choose_step(label: str, steps: Sequence[int], *, key: str) -> int:
    """One of the recorded ``steps``, or whatever is the newest: that moves on by itself while the run trains.

    The chosen step stays among the options even when the service thins the recordings around it.
    """
    chosen = st.session_state.get(key, NEWEST)
    options = sorted({*steps, *([] if chosen == NEWEST else [chosen])})
    picked: int = st.select_slider(
        label,
        [*options, NEWEST],
        value=NEWEST,
        format_func=lambda step: "newest" if step == NEWEST else f"{step:,}",
        key=key,
        width=420,
    )
    return picked
