"""Inside a run: ``/inside?run=<id>&view=…&checkpoint=…&<view>.<setting>=…``; the address holds it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

import streamlit as st

from dashboard.client import Client, NotFound, Refused
from dashboard.components.copy_button import copy_button
from dashboard.forms import Cells, draw_section, read_section
from dashboard.session import client, guarded, guarded_part, show_trouble
from dashboard.text import number, plain
from dashboard.views.inside_parts import LinkDraft, Look
from dashboard.views.inside_results import draw_recorded, draw_result
from dashboard.views.parts import labels, run_ids, state_badge, task_entry, title_of, view_entries
from trainer.schema import CheckpointInfo, FieldError, Run, ViewEntry

RECENT = 200
"""Runs that the chooser offers, newest first, beside the one of the link."""
NEWEST = -1
"""Stands for the newest checkpoint, whichever that is."""
LOOK_EVERY = 5.0
"""Seconds between two looks at a run that is training: an inspection costs more than a curve."""


@guarded
def page() -> None:
    service = client()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title("Inside a run", anchor=False, width="content")
        copy_button("Copy link to this view", key="copy-link")
    known = {run.id: run for run in service.runs(limit=RECENT).runs}
    asked = run_ids(st.query_params.get("run", ""))
    is_missing = bool(asked) and not _add_older(service, known, asked[0])
    if not known:
        st.markdown("There are no runs yet. Launch one, then look inside it here.")
        if st.button("Launch a run", icon=":material/rocket_launch:", type="primary"):
            st.switch_page("views/launch.py")
        return
    run, step = _choosers(service, known, asked[0] if asked else next(iter(known)))
    if is_missing or run is None:
        st.subheader(":material/search_off: This run is not here", anchor=False)
        st.markdown("It was deleted, or the link belongs to another Unfold. Choose another one above.")
        return
    entries = _entries(service)
    tabs = st.tabs([e.title for e in entries], key="view", on_change="rerun", bind="query-params")
    for tab, entry in zip(tabs, entries, strict=True):
        if not tab.open:
            continue
        every = None if run.state.is_over else LOOK_EVERY
        with tab:
            draw = guarded_part(partial(_view, service, run, entry, step, known))
            st.fragment(draw, run_every=every)()


WORDS = {
    "diagnosis": {"title": "Gradient through time"},
    "cliff": {
        "title": "Clipping",
        "summary": (
            "How long the gradient was at every update, before and after the clip, and how often the clip "
            "acted; below, the cliff in the loss that clipping was invented for."
        ),
        "look_for": (
            "Spikes before the clip: exploding gradients. Nearly every update clipped: the threshold sets "
            "the pace, not the learning rate."
        ),
    },
}
"""Of the views that stand here together with recorded curves: said in place of the service's words."""


def _entries(service: Client) -> list[ViewEntry]:
    return [entry.model_copy(update=WORDS.get(entry.name, {})) for entry in view_entries(service)]


def _add_older(service: Client, known: dict[UUID, Run], run_id: UUID) -> bool:
    """Fetch the run of the link where it is not among the recent ones; whether it is there."""
    if run_id not in known:
        try:
            known[run_id] = service.run(run_id)
        except NotFound:
            return False
    return True


# --- Which run, which checkpoint ---------------------------------------------------------------------


def _choosers(service: Client, known: dict[UUID, Run], asked: UUID) -> tuple[Run | None, int | None]:
    """The chosen run, and the step of a checkpoint, None for the newest."""
    names = labels(list(known.values()))

    def choose_run() -> None:
        st.query_params["run"] = str(st.session_state["inside-run"])
        st.query_params.pop("checkpoint", None)
        st.query_params.pop("beside", None)

    st.session_state["inside-run"] = asked if asked in known else None
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        picked = st.selectbox(
            "Run",
            list(known),
            format_func=lambda run_id: f"{names[run_id]} (run {known[run_id].number})",
            placeholder="Choose a run",
            key="inside-run",
            on_change=choose_run,
            width=440,
        )
        if picked is None:
            return None, None
        run = known[picked]
        step = _choose_checkpoint(service.checkpoints(run.id))
        state_badge(run)
        st.page_link(
            "views/run.py",
            label="The run's own page",
            icon=":material/monitoring:",
            query_params={"run": str(run.id)},
            width="content",
        )
    model = title_of(service, "models", run.config.model.get("name", ""))
    task = title_of(service, "tasks", run.config.task.get("name", ""))
    st.caption(f"{plain(model)} on {plain(task)} · step {run.step:,} of {run.config.training.steps:,}")
    return run, step


def _choose_checkpoint(kept: Sequence[CheckpointInfo]) -> int | None:
    """The step whose weights are looked at; None for the newest, whichever that is."""
    by_step = {info.step: info for info in kept}
    text = st.query_params.get("checkpoint", "")
    wanted = int(text) if text.isdecimal() else NEWEST
    newest = max(by_step, default=None)

    def words(step: int) -> str:
        if step == NEWEST:
            return "none yet" if newest is None else f"newest (step {newest:,})"
        info = by_step.get(step)
        if info is None:
            return f"step {step:,} (not kept)"
        loss = f", validation loss {number(info.validation_loss)}" if info.validation_loss is not None else ""
        return f"step {step:,}{', the best' if info.is_best else ''}{loss}"

    def choose() -> None:
        chosen = st.session_state["inside-checkpoint"]
        if chosen == NEWEST:
            st.query_params.pop("checkpoint", None)
        else:
            st.query_params["checkpoint"] = str(chosen)

    st.session_state["inside-checkpoint"] = wanted
    options = [NEWEST, *sorted({*by_step, wanted} - {NEWEST}, reverse=True)]
    chosen: int = st.selectbox(
        "Weights of",
        options,
        format_func=words,
        key="inside-checkpoint",
        on_change=choose,
        width=320,
        help="A run keeps its last two checkpoints and its best one.",
    )
    return newest if chosen == NEWEST else chosen


# --- One view ----------------------------------------------------------------------------------------


def _view(service: Client, run: Run, entry: ViewEntry, step: int | None, known: dict[UUID, Run]) -> None:
    if not run.state.is_over:
        run = service.run(run.id)
        if run.state.is_over:
            st.rerun()  # drawn once more, without polling
    with st.container(gap=None):
        st.markdown(entry.summary)
        st.caption(f"Look for: {entry.look_for}")
    beside = _choose_beside(run, known) if entry.name in BESIDE else []
    look = Look(service=service, run=run, entry=entry, step=step, settings={}, beside=beside)
    draw_recorded(look)
    draft, cells = LinkDraft(entry.name), Cells()
    task = task_entry(service, run)
    reads_text = task is not None and task.needs_corpus and not task.needs_table
    section = read_section(entry.json_schema, entry.name, draft, {"task.text": reads_text})
    look = replace(look, settings=draw_section(section, draft, cells, more="More settings of this view"))
    try:
        found = look.inspect()
        if found.meaningless is not None:
            st.info(plain(found.meaningless), icon=":material/do_not_disturb_on:")
        elif found.result is not None:
            draw_result(look, found.result)
    except Refused as refusal:
        _refused(refusal, entry, cells)


BESIDE = ("diagnosis", "gates")
"""Views that can show several runs together."""


def _choose_beside(run: Run, known: dict[UUID, Run]) -> list[Run]:
    others = {run_id: other for run_id, other in known.items() if run_id != run.id}
    if not others:
        return []
    names = labels(list(others.values()))
    st.session_state["inside-beside"] = [i for i in run_ids(st.query_params.get("beside", "")) if i in others]

    def choose() -> None:
        picked = st.session_state["inside-beside"]
        if picked:
            st.query_params["beside"] = ",".join(map(str, picked))
        else:
            st.query_params.pop("beside", None)

    picked = st.multiselect(
        "Beside it",
        list(others),
        format_func=lambda run_id: names[run_id],
        placeholder="Other runs on the same plots",
        key="inside-beside",
        on_change=choose,
        max_selections=4,
        width=640,
    )
    return [others[run_id] for run_id in picked]


def _refused(refusal: Refused, entry: ViewEntry, cells: Cells) -> None:
    """Beside the settings at fault where they are on the page; else where the charts would stand."""
    errors = [
        FieldError.model_validate(
            {**error.model_dump(), "field": error.field.replace("settings.", f"{entry.name}.", 1)}
        )
        for error in refusal.errors
    ]
    homeless = cells.show(errors)
    if homeless or not errors:
        show_trouble(refusal)


if __name__ == "__main__":
    page()
