"""Runs: find, follow and tend every run there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import streamlit as st

from dashboard.client import Client, Direction, Order, Trouble
from dashboard.run_table import coloured, opened, rows_of, selected_after, table
from dashboard.session import client, guarded, guarded_part, show_trouble
from dashboard.text import many
from dashboard.theme import NO_ANSWER, STATE_HELP, STATE_LABELS
from dashboard.views.parts import title_of
from dashboard.views.runs_dialogs import ASKING, open_dialog
from trainer.schema import Catalog, Run, RunPage, RunPatch, RunState

SELECTED, SHOWN, TABLE, LIMIT = "runs.selected", "runs.shown", "runs.table", "runs.limit"
OPENED = "runs.opened"
WANTED = "runs.wanted"
"""Where the session keeps which button was pressed, until it is carried out."""
COMPARE_WIDTH = 132
"""Pixels, whatever it says: what stands beside it must not move under the mouse."""
TROUBLE = "runs.trouble"
"""Where the session keeps why a request was refused, until that has been shown."""
PAGE = 100
REFRESH = 2.0
"""Seconds between two looks while a run is queued or training."""

ORDERS: dict[str, tuple[Order, Direction]] = {
    "Newest first": ("created", "descending"),
    "Oldest first": ("created", "ascending"),
    "Best validation loss first": ("validation", "ascending"),
    "Most steps first": ("step", "descending"),
    "By name": ("name", "ascending"),
    "By state": ("state", "ascending"),
}
ACTIVE = (RunState.QUEUED, RunState.RUNNING)


@guarded
def page() -> None:
    service = client()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Runs", anchor=False)
        if not (empty := not service.runs(limit=1).runs):
            st.page_link("views/launch.py", label="Launch a run", icon=":material/rocket_launch:")
        in_bin = draw_bin_switch(service.runs(limit=1, binned=True).total)
    if in_bin:
        st.caption("A run in the bin can be put back for a day. Then it is deleted for good.")
    elif empty:
        draw_empty()
        if ASKING in st.session_state:
            open_dialog(service, st.session_state[ASKING])
        return
    filters = {**draw_filters(service.catalog()), "binned": in_bin}
    active = not in_bin and service.runs(limit=1, states=ACTIVE).total > 0
    live = st.fragment(
        guarded_part(partial(draw_runs, service, filters, active)), run_every=REFRESH if active else None
    )
    live()
    if ASKING in st.session_state:
        open_dialog(service, st.session_state[ASKING])


def draw_bin_switch(binned: int) -> bool:
    """The switch between the runs and the bin, where there is something in it; whether it is on."""
    if not binned and not st.session_state.get("bin"):
        return False
    return st.toggle(
        f"Bin ({binned})", key="bin", bind="query-params", help="Shows what was deleted in the last day."
    )


def draw_empty() -> None:
    with st.container(border=True, gap="small", key="runs-empty", width=720):
        st.subheader("No runs yet", anchor=False)
        st.markdown(
            "A run is one network, trained on one task. Every run that you launch appears here and stays."
        )
        with st.container(horizontal=True):
            if st.button("Launch a run", icon=":material/rocket_launch:", type="primary"):
                st.switch_page("views/launch.py")
            if st.button("Start with three at once", icon=":material/home:"):
                st.switch_page("views/welcome.py")


def draw_filters(catalog: Catalog) -> dict[str, Any]:
    """The filters, which live in the address: a copied link shows the same list."""
    titles = {
        "model": {m.name: m.title for m in catalog.models},
        "task": {t.name: t.title for t in catalog.tasks},
    }
    search, state, model, task, tag, order = st.columns([2, 2, 1.3, 1.3, 1.2, 1.6], gap="small")
    found = search.text_input(
        "Search",
        placeholder="Name or tag",
        icon=":material/search:",
        key="search",
        bind="query-params",
    )
    states = state.multiselect(
        "State",
        [s.value for s in RunState],
        format_func=lambda s: STATE_LABELS[RunState(s)],
        placeholder="Any",
        key="state",
        bind="query-params",
        help="  \n".join(f"**{STATE_LABELS[s]}**: {STATE_HELP[s]}" for s in RunState),
    )
    choices = {}
    for column, (kind, label) in zip((model, task), (("model", "Network"), ("task", "Task")), strict=True):
        choices[kind] = column.selectbox(
            label,
            list(titles[kind]),
            index=None,
            format_func=lambda name, kind=kind: titles[kind][name],
            placeholder="Any",
            key=kind,
            bind="query-params",
        )
    tagged = tag.text_input("Tag", placeholder="Any", key="tag", bind="query-params")
    by = order.selectbox("Order", list(ORDERS), key="order", bind="query-params")
    key, direction = ORDERS[by]
    return {
        "search": found.strip() or None,
        "states": [RunState(s) for s in states],
        **choices,
        "tag": tagged.strip() or None,
        "order": key,
        "direction": direction,
    }


# --- The table, drawn anew every two seconds while something trains ----------------------------------


def draw_runs(service: Client, filters: dict[str, Any], polling: bool) -> None:
    limit = st.session_state.setdefault(LIMIT, PAGE)
    runs, total = fetch(service, filters, limit)
    if (
        polling
        and not any(run.state in ACTIVE for run in runs)
        and not service.runs(limit=1, states=ACTIVE).total
    ):
        st.rerun()  # all have ended: the page is drawn once more, without polling
    if not runs:
        if filters["binned"] and not service.runs(limit=1, binned=True).total:
            st.info("The bin is empty.", icon=":material/delete:")
            return
        st.info(
            "No run matches these filters. Clear one of them to see more.", icon=":material/filter_alt_off:"
        )
        return
    actions = st.container()
    selected = draw_table(service, runs)
    carry_out(service, selected)
    with actions:  # above the table, which may be long; known only once it is drawn
        if filters["binned"]:
            draw_bin_actions(selected, total, len(runs))
        else:
            draw_actions(selected, total, len(runs))
    if total > len(runs) and st.button(
        f"Show {min(PAGE, total - len(runs))} more", icon=":material/expand_more:", key="runs.more"
    ):
        st.session_state[LIMIT] = limit + PAGE
        st.rerun(scope="fragment")


def fetch(service: Client, filters: dict[str, Any], limit: int) -> tuple[list[Run], int]:
    """The first ``limit`` runs that match, and how many match in all."""
    runs: list[Run] = []
    cursor = None
    while True:
        page: RunPage = service.runs(**filters, cursor=cursor, limit=min(PAGE, limit - len(runs)))
        runs += page.runs
        cursor = page.next
        if cursor is None or len(runs) >= limit:
            return runs, page.total


def draw_table(service: Client, runs: Sequence[Run]) -> list[Run]:
    """The table; returns the runs selected in it.

    A selection is kept by run, not by row: rows move when runs are launched, deleted or sorted. What was
    ticked since the last drawing was ticked in the order of that one.
    """
    shown = [run.id for run in runs]
    before: list[UUID] = st.session_state.setdefault(SELECTED, [])
    drawn = st.session_state.get(SHOWN, shown)
    if drawn != shown and TABLE in st.session_state:
        before = selected_after(st.session_state[TABLE]["selection"]["rows"], drawn, before)
    if st.session_state.get(SHOWN) != shown:
        st.session_state[SHOWN] = shown
        st.session_state[TABLE] = {"selection": {"rows": rows_of(before, shown), "columns": [], "cells": []}}
    state = st.dataframe(
        coloured(table(runs, lambda kind, name: title_of(service, kind, name))),
        key=TABLE,
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        height="content",
        placeholder="–",
        column_config=columns(),
        alt="All runs that match the filters",
    )
    clicked = st.session_state.get(OPENED)
    if clicked and (run := opened(runs, clicked["label"])):
        st.switch_page("views/run.py", query_params={"run": str(run.id)})
    selected = selected_after(state["selection"]["rows"], shown, before)
    st.session_state[SELECTED] = selected
    by_id = {run.id: run for run in runs}
    return [by_id[run_id] for run_id in selected]


def columns() -> dict[str, Any]:
    config = st.column_config
    return {
        "mark": config.TextColumn("", width=26, help="The run's colour in every plot.", alignment="center"),
        "number": None,
        "name": config.TextColumn("Name", width=188),
        "open": config.ButtonColumn("", width=66, type="tertiary", key=OPENED),
        "state": config.MultiselectColumn(
            "State",
            width=100,
            options=[*STATE_LABELS.values(), NO_ANSWER],
            color=["gray", "blue", "green", "yellow", "red", "violet", "red"],
        ),
        "progress": config.ProgressColumn("Progress", width=98, format="%d%%", min_value=0, max_value=100),
        "network": config.TextColumn("Network", width=108),
        "task": config.TextColumn("Task", width=106),
        "best_loss": config.NumberColumn(
            "Best loss",
            width=84,
            format="%.3g",
            help="The lowest validation loss so far, on sequences that training never reads.",
        ),
        "of_chance": config.NumberColumn(
            "of chance",
            width=72,
            format="%.3g%%",
            help="The best validation loss as a share of the loss at chance level: 100% has learnt nothing.",
        ),
        "best_error": config.NumberColumn(
            "Best error", width=72, format="%.3g%%", help="The lowest share of wrong answers in a validation."
        ),
        "chance_error": config.NumberColumn(
            "by chance", width=72, format="%.3g%%", help="The share of answers that a blind guess gets wrong."
        ),
        "speed": config.NumberColumn(
            "Steps/s", width=60, format="%.0f", help="Optimiser updates per second."
        ),
        "created": config.DatetimeColumn("Age", width=108, format="distance"),
        "tags": config.ListColumn("Tags", width=76),
    }


# --- What can be done with the selected runs ---------------------------------------------------------


def draw_bin_actions(selected: Sequence[Run], total: int, shown: int) -> None:
    """What can be done in the bin."""
    draw_trouble()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="runs-actions"):
        _action("back", "Put back", "restore_from_trash", usable=bool(selected), type="primary")
        _action("purge", "Delete for good", "delete_forever", usable=bool(selected))
        _action("empty", "Empty bin", "delete_sweep", usable=True)
        draw_count(len(selected), total, shown)


def draw_trouble() -> None:
    """Why the last request was refused, once."""
    if (trouble := st.session_state.pop(TROUBLE, None)) is not None:
        show_trouble(trouble)


def draw_actions(selected: Sequence[Run], total: int, shown: int) -> None:
    draw_trouble()
    chosen = len(selected)
    stoppable = any(run.state in ACTIVE for run in selected)
    resumable = any(run.can_resume for run in selected)
    compare = f"Compare {chosen}" if chosen > 1 else "Compare"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="runs-actions"):
        _action(
            "compare", compare, "stacked_line_chart", usable=chosen > 1, type="primary", width=COMPARE_WIDTH
        )
        _action("inside", "Inside", "troubleshoot", usable=chosen == 1)
        _action("again", "Launch again", "content_copy", usable=chosen == 1)
        _action("edit", "Rename or tag", "edit", usable=chosen > 0)
        _action("stop", "Stop", "stop", usable=stoppable)
        _action("resume", "Resume", "play_arrow", usable=resumable)
        _action("delete", "Delete", "delete", usable=chosen > 0)
        draw_count(chosen, total, shown)


def _action(name: str, label: str, icon: str, *, usable: bool, **look: Any) -> None:
    """A button that leaves word of what was pressed, for ``carry_out``.

    A callback runs whatever the click's own rerun comes to; a pressed button's value is lost where the table,
    just then, finds the runs' states changed and the page begins anew. And the callback knows only the
    selection that was drawn last: a tick may have come since.
    """
    st.button(
        label,
        icon=f":material/{icon}:",
        disabled=not usable,
        help=HELP.get(name),
        key=f"runs.do.{name}",
        on_click=st.session_state.__setitem__,
        args=(WANTED, name),
        **look,
    )


def carry_out(service: Client, selected: Sequence[Run]) -> None:
    """What was pressed, with the runs that are selected now."""
    ids = [run.id for run in selected]
    match st.session_state.pop(WANTED, None):
        case "compare" if len(ids) > 1:
            st.switch_page("views/compare.py", query_params={"runs": ",".join(map(str, ids))})
        case "inside" if len(ids) == 1:
            st.switch_page("views/inside.py", query_params={"run": str(ids[0])})
        case "again" if len(ids) == 1:
            st.switch_page("views/launch.py", query_params={"from": str(ids[0])})
        case ("edit" | "delete" | "purge") as question if ids:
            ask(question, ids)
        case "empty":
            everything, _ = fetch(service, {"binned": True}, 10**6)
            ask("empty", [run.id for run in everything])
        case "back":
            act(partial(service.patch, patch=RunPatch(binned=False)), ids)
        case "stop":
            act(service.stop, [run.id for run in selected if run.state in ACTIVE])
        case "resume":
            resumed = [run for run in selected if run.can_resume]
            if any(run.blew_up for run in resumed):
                ask("resume", [run.id for run in resumed])
            act(service.resume, [run.id for run in resumed])


HELP = {
    "compare": "Two or more runs side by side: tick the boxes at the left of the table.",
    "inside": "Looks into the one selected run: its gradients, gates and states.",
    "again": "Opens the launch form filled with the settings of the one selected run.",
    "stop": "Training saves its place and ends within 10 s. It can be resumed.",
    "resume": "Goes on from the last checkpoint, exactly as if it had never stopped.",
    "delete": "Puts the selected runs into the bin, from which they can be put back for a day.",
}


def draw_count(selected: int, total: int, shown: int) -> None:
    words = many(total, "run")
    if shown < total:
        words = f"{shown} of {words}"
    st.caption(f"{selected} selected of {words}" if selected else words, width="content")


def ask(question: str, ids: list[UUID]) -> None:
    """Open a dialog. The page opens it, not the table: the table's next refresh would close its own."""
    st.session_state[ASKING] = (question, ids)
    st.rerun()


def act(action: Callable[[UUID], Run], ids: Sequence[UUID]) -> None:
    """Do something to each run, then draw all anew; where it is refused, leave why to be shown."""
    for run_id in ids:
        try:
            action(run_id)
        except Trouble as trouble:
            st.session_state[TROUBLE] = trouble
            break
    st.rerun()


if __name__ == "__main__":
    page()
