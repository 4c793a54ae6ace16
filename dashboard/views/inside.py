"""Inside a run: ``/inside?run=<id>&view=…&checkpoint=…&<view>.<setting>=…``; the address holds it all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

import streamlit as st

from dashboard.client import Client, NotFound, Refused
from dashboard.components.copy_button import copy_button
from dashboard.fields import error_path, with_choices
from dashboard.forms import Cells, draw_section, read_section
from dashboard.session import client, guarded, guarded_part, show_trouble
from dashboard.text import number, plain
from dashboard.views.inside_parts import LinkDraft, Look, carry_settings, meaningless_views
from dashboard.views.inside_results import CHOICES, draw_recorded, draw_result
from dashboard.views.parts import (
    MOST_BESIDE,
    about_run,
    bin_note,
    is_there,
    labels,
    run_ids,
    state_badge,
    title_of,
    view_entries,
)
from trainer.schema import CheckpointInfo, Inspection, Run, ViewEntry, blow_up_words

RECENT = 200
"""Runs that the chooser offers, newest first, beside the one of the link."""
NEWEST = -1
"""Stands for the newest checkpoint, whichever that is."""
LOOK_EVERY = 5.0
"""Seconds between two looks at a run that is training: an inspection costs more than a curve."""
LINK_SHOWN = 60
"""Characters of a link's run that are shown where it is none."""


@guarded
def page() -> None:
    service = client()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title("Inside a run", anchor=False, width="content")
        copy_button("Copy link to this view", key="copy-link")
    known = {run.id: run for run in service.runs(limit=RECENT).runs}
    asked = _asked(known)
    beside = run_ids(st.query_params.get("beside", ""))
    _look_up(service, known, beside if asked is None else [asked, *beside])
    if not known:
        if st.query_params.get("run"):
            _not_here("")
        st.markdown("There are no runs yet. Launch one, then look inside it here.")
        if st.button("Launch a run", icon=":material/rocket_launch:", type="primary"):
            st.switch_page("views/launch.py")
        return
    run = known.get(asked) if asked else None
    moving = run is not None and not run.state.is_over
    draw = guarded_part(partial(_inside, service, known, polling=moving))
    st.fragment(draw, run_every=LOOK_EVERY if moving else None)()


def _inside(service: Client, known: Mapping[UUID, Run], *, polling: bool) -> None:
    """All below the title, in one fragment: while a run trains, the choosers move with it like the view."""
    chosen = _choosers(service, known)
    if chosen is None:
        _not_here(" Choose another one above.")
        return
    run, weights = chosen
    bin_note([run])
    if run.state.is_over == polling:
        st.rerun()  # drawn once more, and from then on with polling or without
    if run.blew_up:
        _say_blown_up(run)
    entries = _entries(service)
    meaningless = meaningless_views(service, run)
    # By a style sheet: the tabs' labels are what links hold, and a link may be opened for another run.
    st.html(_tab_marks([entry.name in meaningless for entry in entries]))
    tabs = st.tabs([e.title for e in entries], key="view", on_change="rerun", bind="query-params")
    for tab, entry in zip(tabs, entries, strict=True):
        if tab.open:
            with tab:
                draw = partial(_view, service, run, entry, weights, known, meaningless.get(entry.name))
                guarded_part(draw)()


def _tab_marks(are_meaningless: Sequence[bool]) -> str:
    """A style sheet that marks the tabs of views without meaning for the run: with a sign, and paler."""
    tab = '.st-key-view [data-testid="stTab"]:nth-of-type'
    rules = (
        f'{tab}({place}):not([aria-selected="true"]) {{ opacity: 0.6; }} '
        f'{tab}({place})::after {{ content: "∅" / "has no meaning here"; margin-inline-start: 0.3rem; }}'
        for place, is_meaningless in enumerate(are_meaningless, start=1)
        if is_meaningless
    )
    return f"<style>{' '.join(rules)}</style>"


def _say_blown_up(run: Run) -> None:
    what, way_out = blow_up_words(run.reason or "", run.config.training)
    seen = "What is seen here is how the network was before that."
    st.error(f"**{plain(what)}** {plain(way_out)} {seen}", icon=":material/error:")
    st.page_link(
        "views/launch.py", label="Launch again", icon=":material/replay:", query_params={"from": str(run.id)}
    )


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


# --- Which run, which checkpoint ---------------------------------------------------------------------


def _asked(known: Iterable[UUID]) -> UUID | None:
    """The run of the link, None where that is no run's id; the newest one where the link names none."""
    link = st.query_params.get("run", "")
    return next(iter(run_ids(link) if link else known), None)


def _look_up(service: Client, known: dict[UUID, Run], linked: Iterable[UUID]) -> None:
    """Runs of a link need not be among the recent ones, nor be there at all any more."""
    for run_id in linked:
        try:
            known[run_id] = service.run(run_id)
        except NotFound:
            known.pop(run_id, None)


def _not_here(remedy: str) -> None:
    link = st.query_params.get("run", "")
    if run_ids(link):
        st.subheader(":material/search_off: This run is not here", anchor=False)
        st.markdown(f"It was deleted, or the link belongs to another Unfold.{remedy}")
    else:
        st.subheader(":material/link_off: The run of this link is not known", anchor=False)
        shown = link if len(link) <= LINK_SHOWN else f"{link[:LINK_SHOWN]}…"
        st.markdown(f"“{plain(shown)}” is no run's id: the link is incomplete or mistyped.{remedy}")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The checkpoint that is looked at."""

    step: int | None
    """None where the run keeps none."""
    newest: bool
    """Whether the reader chose the newest one, whichever that is."""


def _choosers(service: Client, known: Mapping[UUID, Run]) -> tuple[Run, Weights] | None:
    """The chosen run as it is now, and which of its weights; None where the link's run is not there."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        picked = _choose_run(known)
        if picked is None:
            return None
        try:
            run, kept = service.run(picked), service.checkpoints(picked)
        except NotFound:
            st.rerun()  # deleted since the page was drawn: the page says so
        weights = _choose_weights(run, kept)
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
    seen = f" · checkpoint of step {weights.step:,}" if weights.step is not None else ""
    st.caption(f"{plain(model)} on {plain(task)} · step {run.step:,} of {run.config.training.steps:,}{seen}")
    return run, weights


def _choose_run(known: Mapping[UUID, Run]) -> UUID | None:
    names = labels(list(known.values()))
    asked = _asked(known)

    def choose() -> None:
        carry_settings()
        st.query_params["run"] = str(st.session_state["inside-run"])
        st.query_params.pop("checkpoint", None)
        st.query_params.pop("beside", None)

    st.session_state["inside-run"] = asked if asked in known else None
    picked: UUID | None = st.selectbox(
        "Run",
        list(known),
        format_func=lambda run_id: f"{names[run_id]} (run {known[run_id].number})",
        placeholder="Choose a run",
        key="inside-run",
        on_change=choose,
        width=440,
    )
    return picked


def _choose_weights(run: Run, kept: Sequence[CheckpointInfo]) -> Weights:
    by_step = {info.step: info for info in kept}
    text = st.query_params.get("checkpoint", "")
    wanted = int(text) if text.isdecimal() else NEWEST
    newest = max(by_step, default=None)

    def words(step: int) -> str:
        """They stay while a run trains: others would close the open list, and come back as no option."""
        if step == NEWEST and newest is None:
            return "none" if run.state.is_over else "none yet"
        if step == NEWEST:
            return "the newest checkpoint"
        info = by_step.get(step)
        if info is None:
            return f"step {step:,} (not kept)"
        loss = f", validation loss {number(info.validation_loss)}" if info.validation_loss is not None else ""
        return f"step {step:,}{', the best' if info.is_best else ''}{loss}"

    def choose() -> None:
        chosen: int | str = st.session_state["inside-checkpoint"]
        if isinstance(chosen, str):  # an option that went, or was renamed, while the list was open: its words
            step = re.match(r"step ([\d,]+)", chosen)
            chosen = int(step[1].replace(",", "")) if step else NEWEST
        if chosen == NEWEST:
            st.query_params.pop("checkpoint", None)
        else:
            st.query_params["checkpoint"] = str(chosen)

    options = [NEWEST, *sorted({*by_step, wanted} - {NEWEST}, reverse=True)]
    st.session_state["inside-checkpoint"] = wanted
    chosen: int = st.selectbox(
        "Weights of",
        options,
        format_func=words,
        key="inside-checkpoint",
        on_change=choose,
        width=320,
        help="A run keeps its last two checkpoints and its best one.",
    )
    return Weights(step=newest if chosen == NEWEST else chosen, newest=chosen == NEWEST)


# --- One view ----------------------------------------------------------------------------------------


def _view(
    service: Client,
    run: Run,
    entry: ViewEntry,
    weights: Weights,
    known: Mapping[UUID, Run],
    meaningless: str | None,
) -> None:
    with st.container(gap=None):
        st.markdown(entry.summary)
        if meaningless is None:
            st.caption(f"Look for: {entry.look_for}")
    if meaningless is not None:
        _say_meaningless(meaningless)  # and no settings: none of them would change that
        return
    beside = _choose_beside(service, run, known) if entry.name in BESIDE else []
    look = Look(service=service, run=run, entry=entry, step=weights.step, settings={}, beside=beside)
    try:
        _draw(look)
    except NotFound as missing:
        _not_found(look, weights, missing)


def _draw(look: Look) -> None:
    """The view's settings, and what it shows with them."""
    draw_recorded(look)
    first = _first_answer(look)
    if first is not None and first.meaningless is not None:
        _say_meaningless(first.meaningless)  # and no settings: none of them would change that
        return
    look = replace(look, entry=_with_choices(look, first))
    name, draft, cells = look.entry.name, LinkDraft(look.entry.name), Cells()
    section = read_section(look.entry.json_schema, name, draft, about_run(look.service, look.run))
    look = replace(look, settings=draw_section(section, draft, cells, more="More settings of this view"))
    try:
        found = look.inspect()
        if found.note:
            st.caption(plain(found.note))
        if found.meaningless is not None:
            _say_meaningless(found.meaningless)
        elif found.result is not None:
            draw_result(look, found.result)
    except Refused as refusal:
        errors = [
            error.model_copy(update={"field": error.field.replace("settings.", f"{name}.", 1)})
            for error in refusal.errors
        ]
        if draft.drop_carried(error_path(error.field) for error in errors):
            st.rerun()
        if cells.show(errors) or not errors:
            show_trouble(refusal)


def _not_found(look: Look, weights: Weights, missing: NotFound) -> None:
    """Begin anew where what is missing was deleted, or pruned, since the page was drawn; else say so."""
    if not is_there(look.service, look.run.id):
        st.rerun()
    kept = {info.step for info in look.service.checkpoints(look.run.id)}
    if weights.newest and max(kept, default=None) != weights.step:
        st.rerun()
    if not weights.newest and weights.step not in kept:
        missing = NotFound(missing.message, "Choose other weights above.")
    show_trouble(missing)


def _say_meaningless(why: str) -> None:
    st.info(plain(why), icon=":material/do_not_disturb_on:")


def _first_answer(look: Look) -> Inspection | None:
    """At the view's defaults, where it is the network that decides what there is to choose from."""
    if look.entry.name not in CHOICES:
        return None
    try:
        return look.inspect()
    except Refused:  # its reason is told where the view's own answer would stand
        return None


def _with_choices(look: Look, first: Inspection | None) -> ViewEntry:
    """The view's settings, with this network's own gates and states to choose from where one is chosen."""
    if first is None or first.result is None:
        return look.entry
    name, read = CHOICES[look.entry.name]
    schema = with_choices(look.entry.json_schema, name, read(look, first.result))
    return look.entry.model_copy(update={"json_schema": schema})


BESIDE = ("diagnosis", "gates")
"""Views that can show several runs together."""


def _choose_beside(service: Client, run: Run, known: Mapping[UUID, Run]) -> list[Run]:
    """The other runs that the reader chose, as they are now, without those deleted meanwhile."""
    others = {run_id: other for run_id, other in known.items() if run_id != run.id}
    if not others:
        return []
    names = labels(list(others.values()))
    linked = [i for i in run_ids(st.query_params.get("beside", "")) if i in others]
    st.session_state["inside-beside"] = linked[:MOST_BESIDE]

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
        max_selections=MOST_BESIDE,
        select_all=False,
        width=640,
    )
    fresh: dict[UUID, Run] = {}
    _look_up(service, fresh, picked)
    return list(fresh.values())


if __name__ == "__main__":
    page()
