"""The questions that the Runs page asks: new name and tags, to resume in vain, into the bin and out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import streamlit as st
from pydantic import ValidationError

from dashboard.client import Client, NotFound, Refused
from dashboard.fields import errors_of, sentence
from dashboard.session import show_trouble
from dashboard.text import many, plain
from trainer.schema import Run, RunPatch, RunState, blow_up_words

ASKING = "runs.asking"
"""Where the session keeps the open question: its name and the runs it is about."""


def open_dialog(service: Client, question: tuple[str, Sequence[UUID]]) -> None:
    """Show the open question, until it is answered or dismissed."""
    kind, ids = question
    if kind == "empty":
        ask_empty(service, ids)
        return
    runs = []
    for run_id in ids:
        try:
            runs.append(service.run(run_id))
        except NotFound:
            continue
    if not runs:
        close()
    elif kind == "delete":
        ask_delete(service, runs)
    elif kind == "resume":
        ask_resume(service, runs)
    elif kind == "purge":
        ask_purge(service, runs)
    else:
        ask_edit(service, runs)


def close() -> None:
    st.session_state.pop(ASKING, None)


@st.dialog("Name and tags", on_dismiss=close)
def ask_edit(service: Client, runs: Sequence[Run]) -> None:
    common = [tag for tag in runs[0].tags if all(tag in run.tags for run in runs)]
    identity = "-".join(str(run.number) for run in runs)
    name = None
    if len(runs) == 1:
        name = st.text_input("Name", runs[0].name, max_chars=120, key=f"edit.name:{identity}")
    else:
        st.caption(f"The tags that the {len(runs)} selected runs share. Their other tags stay as they are.")
    tags = st.multiselect(
        "Tags",
        common,
        default=common,
        accept_new_options=True,
        placeholder="Type a word and press Enter",
        key=f"edit.tags:{identity}",
    )
    if st.button("Save", type="primary", icon=":material/check:", key="edit.save"):
        save(service, runs, name, common, tags)


def save(service: Client, runs: Sequence[Run], name: str | None, before: list[str], after: list[str]) -> None:
    if name is not None and not name.strip():
        st.error("A run needs a name of at least one letter.", icon=":material/error:")
        return
    try:
        patches = [patch_of(run, name, before, after) for run in runs]
        for run, patch in zip(runs, patches, strict=True):
            service.patch(run.id, patch)
    except ValidationError as error:
        st.error(plain(" ".join(map(sentence, errors_of(error)))), icon=":material/error:")
        return
    except (Refused, NotFound) as refusal:
        show_trouble(refusal)
        return
    close()
    st.rerun()


def patch_of(run: Run, name: str | None, before: list[str], after: list[str]) -> RunPatch:
    """The run's own tags with the common ones changed; without a name, the name stays."""
    tags = [tag for tag in run.tags if tag not in before or tag in after]
    tags += [tag for tag in after if tag not in tags]
    return RunPatch(tags=tags) if name is None else RunPatch(name=name, tags=tags)


@st.dialog("Resume what blew up?", on_dismiss=close)
def ask_resume(service: Client, runs: Sequence[Run]) -> None:
    """Where some of the runs would only repeat their end."""
    blown, others = [run for run in runs if run.blew_up], [run for run in runs if not run.blew_up]
    for run in blown:
        what, way_out = blow_up_words(run.reason or "", run.config.training)
        st.markdown(f"**{plain(run.name)}**: {plain(what)} {plain(way_out)}")
    with st.container(horizontal=True):
        if len(blown) == 1 and st.button(
            "Launch again", type="primary", icon=":material/replay:", key="resume.again"
        ):
            close()
            st.switch_page("views/launch.py", query_params={"from": str(blown[0].id)})
        if others and st.button(f"Resume only the other {many(len(others), 'run')}", key="resume.others"):
            resume(service, others)
        if st.button("Resume all the same", key="resume.yes"):
            resume(service, runs)


def resume(service: Client, runs: Sequence[Run]) -> None:
    for run in runs:
        try:
            service.resume(run.id)
        except NotFound:
            continue  # deleted meanwhile
        except Refused as refusal:
            show_trouble(refusal)
            return
    close()
    st.rerun()


@st.dialog("Put into the bin?", on_dismiss=close)
def ask_delete(service: Client, runs: Sequence[Run]) -> None:
    running = [run for run in runs if run.state is RunState.RUNNING]
    _list(runs)
    it = "It" if len(runs) == 1 else "They"
    st.markdown(
        f"{it} can be put back for a day: look for *Bin* on this page. Then {it.lower()} will be deleted."
    )
    if running:
        st.warning("Stop what is running first; then it can be deleted.", icon=":material/stop:")
    label = "Delete" if len(runs) == 1 else f"Delete {len(runs)} runs"
    if _confirmed("delete", label, ":material/delete:", disabled=bool(running)):
        carry_out(lambda run_id: service.patch(run_id, RunPatch(binned=True)), [run.id for run in runs])


@st.dialog("Delete for good?", on_dismiss=close)
def ask_purge(service: Client, runs: Sequence[Run]) -> None:
    _list(runs)
    what, them = ("Its", "it") if len(runs) == 1 else ("Their", "them")
    st.markdown(f"{what} curves, samples and checkpoints go with {them}. This cannot be undone.")
    label = "Delete" if len(runs) == 1 else f"Delete {len(runs)} runs"
    if _confirmed("purge", label, ":material/delete_forever:"):
        carry_out(service.delete, [run.id for run in runs])


@st.dialog("Empty the bin?", on_dismiss=close)
def ask_empty(service: Client, ids: Sequence[UUID]) -> None:
    what = many(len(ids), "run")
    st.markdown(f"{what} with all curves, samples and checkpoints will be deleted. This cannot be undone.")
    if _confirmed("empty", f"Delete {what}", ":material/delete_forever:"):
        carry_out(service.delete, ids)


def _list(runs: Sequence[Run]) -> None:
    st.markdown("\n".join(f"- {plain(run.name)}" for run in runs[:8]))
    if len(runs) > 8:
        st.caption(f"and {len(runs) - 8} more")


def _confirmed(key: str, label: str, icon: str, *, disabled: bool = False) -> bool:
    """Whether it shall be done; *Keep* closes the dialog."""
    yes, no = st.columns(2)
    pressed = yes.button(
        label, type="primary", icon=icon, width="stretch", disabled=disabled, key=f"{key}.yes"
    )
    if no.button("Keep", width="stretch", key=f"{key}.no"):
        close()
        st.rerun()
    return pressed


def carry_out(action: Callable[[UUID], object], ids: Sequence[UUID]) -> None:
    """Do it to each run and close the dialog; a refusal stays to be read."""
    for run_id in ids:
        try:
            action(run_id)
        except NotFound:
            continue  # somebody else was quicker
        except Refused as refusal:
            show_trouble(refusal)
            return
    close()
    st.rerun()
