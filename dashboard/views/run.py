"""One run, live: ``/run?run=<id>``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.client import Client, NotFound, Trouble
from dashboard.session import client, guarded, guarded_part, show_trouble
from dashboard.text import count, duration, number, plain, share
from dashboard.views.parts import LIVE_EVERY, bin_note, is_there, run_ids, state_badge, title_of
from dashboard.views.run_samples import samples
from dashboard.views.run_sections import configuration, learning, log, through_time
from trainer.schema import Run, RunState, blow_up_words

STOPPING = "run.stopping"
"""Where the session keeps the attempt that it asked to stop."""
TROUBLE = "run.trouble"
"""And why a request was refused, until that has been shown."""
STOP_WIDTH = 150
"""Pixels of the button that stops and resumes, whatever it says."""


@guarded
def page() -> None:
    chosen = run_ids(st.query_params.get("run", ""))
    if not chosen:
        _nothing("No run is chosen", "Open one from the table of runs.")
        return
    service = client()
    try:
        run = service.run(chosen[0])
    except NotFound:
        _nothing("This run is not here", "It was deleted, or the link belongs to another Unfold.")
        return
    bin_note([run])
    every = None if run.state.is_over else LIVE_EVERY
    st.fragment(guarded_part(lambda: _header(service, run.id, run.state)), run_every=every)()
    names = ["Learning", "Gradient through time", "Samples", "Configuration", "Log"]
    tabs = st.tabs(names, key="view", on_change="rerun", bind="query-params")
    sections = (learning, through_time, samples, configuration, log)
    for tab, section in zip(tabs, sections, strict=True):
        if not tab.open:
            continue  # a hidden tab would fetch and draw all the same
        with tab:
            moving = every if section is not configuration else None
            st.fragment(_section(section, service, run), run_every=moving)()


def _section(draw: Callable[[Client, Run], None], service: Client, run: Run) -> Callable[[], None]:
    def section() -> None:
        try:
            draw(service, run)
        except NotFound as missing:
            if is_there(service, run.id):
                show_trouble(missing)  # the run is there, this part of it is not: no page drawn anew helps
            else:
                st.rerun()

    return guarded_part(section)


def _nothing(title: str, about: str) -> None:
    st.subheader(f":material/search_off: {title}", anchor=False)
    st.markdown(about)
    if st.button("All runs", icon=":material/table_rows:", type="primary"):
        st.switch_page("views/runs.py")


# --- Header ------------------------------------------------------------------------------------------


def _header(service: Client, run_id: UUID, shown_as: RunState) -> None:
    try:
        run = service.run(run_id)
    except NotFound:
        st.rerun()
    if run.state.is_over != shown_as.is_over:
        st.rerun()  # the page draws itself anew, polling or at rest
    if (trouble := st.session_state.pop(TROUBLE, None)) is not None:
        show_trouble(trouble)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(gap=None, width="content"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.title(plain(run.name), anchor=False, width="content")
                state_badge(run)
            model = title_of(service, "models", run.config.model.get("name", ""))
            task = title_of(service, "tasks", run.config.task.get("name", ""))
            weights = f" · {count(run.summary.parameters)} weights" if run.summary.parameters else ""
            attempt = f" · attempt {run.attempt}" if run.attempt > 1 else ""
            st.caption(f"Run {run.number} · {plain(model)} on {plain(task)}{weights}{attempt}")
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            stopping = st.session_state.get(STOPPING) == (run.id, run.attempt)
            _buttons(service, run, stopping)
    _state_words(run)
    total = run.config.training.steps
    st.progress(min(run.step / total, 1.0), text=_progress_words(run))
    _results(run)


def _buttons(service: Client, run: Run, stopping: bool) -> None:
    # One place of one width for both: a button that moves while the mouse is down loses the click.
    place = st.container(width=STOP_WIDTH, key="stop-or-resume")
    if not run.state.is_over:
        label = "Stopping …" if stopping else "Stop"
        about = "It writes a checkpoint and ends within 10 s; it can be resumed."
        place.button(
            label,
            icon=":material/stop:",
            key="stop",
            width="stretch",
            disabled=stopping,
            help=about,
            on_click=_ask_to_stop,
            args=(service, run),
        )
    elif run.can_resume:
        _resume_button(place, service, run)
    else:  # nothing else may move to where Stop was pressed
        place.button(
            "Stop",
            icon=":material/stop:",
            key="over",
            width="stretch",
            disabled=True,
            help="The run is over.",
        )
    if run.silent_for is not None:  # beside Stop, which such a run can be told as well
        _resume_button(st.container(width=STOP_WIDTH), service, run)
    if st.button(
        "Launch again",
        icon=":material/replay:",
        key="again",
        type="primary" if run.blew_up else "secondary",
        help="Opens the form filled with these settings, to change some",
    ):
        st.switch_page("views/launch.py", query_params={"from": str(run.id)})
    st.page_link(
        "views/inside.py",
        label="Look inside",
        icon=":material/troubleshoot:",
        help="Gradients, gates and states of the trained network",
        query_params={"run": str(run.id)},
    )
    st.page_link(
        "views/compare.py",
        label="Compare",
        icon=":material/stacked_line_chart:",
        help="This run beside others",
        query_params={"runs": str(run.id)},
    )


def _resume_button(place: DeltaGenerator, service: Client, run: Run) -> None:
    place.button(
        "Resume",
        icon=":material/play_arrow:",
        key="resume",
        width="stretch",
        type="secondary" if run.blew_up else "primary",
        help="Repeats, to the last bit, what ended this run." if run.blew_up else None,
        on_click=_ask,
        args=(partial(service.resume, run.id),),
    )


def _ask_to_stop(service: Client, run: Run) -> None:
    if _ask(partial(service.stop, run.id)):
        st.session_state[STOPPING] = (run.id, run.attempt)


def _ask(request: Callable[[], Run]) -> bool:
    """Send a request, as a button's callback; where it is refused, leave why to be shown.

    A callback runs whatever the click's own rerun comes to. Asking whether a button was pressed loses the
    click where the page, just then, finds the run's state changed and begins anew.
    """
    try:
        request()
    except Trouble as trouble:
        st.session_state[TROUBLE] = trouble
        return False
    return True


def _state_words(run: Run) -> None:
    reason = plain(run.reason[0].upper() + run.reason[1:].rstrip(".")) if run.reason else ""
    match run.state:
        case RunState.RUNNING if run.silent_for is not None:
            st.error(
                f"**Its process has not answered for {duration(run.silent_for)}.** It was halted or hangs. "
                "Should it answer again, it goes on; Resume ends it and goes on from the last checkpoint.",
                icon=":material/signal_disconnected:",
            )
        case RunState.QUEUED:
            st.info(
                "Waits for a free place: runs start first come, first served.", icon=":material/schedule:"
            )
        case RunState.FAILED if run.blew_up:
            what, way_out = blow_up_words(run.reason or "", run.config.training)
            st.error(f"**{plain(what)}** {plain(way_out)}", icon=":material/error:")
        case RunState.FAILED:
            fix = (
                "What was recorded is kept. Launch again with other settings, or resume from the checkpoint."
            )
            st.error(f"**{reason or 'The run failed'}.** {fix}", icon=":material/error:")
        case RunState.INTERRUPTED:
            what = reason or "Its process ended without a last word"
            fix = "Resume it: it goes on from its last checkpoint."
            st.warning(f"**{what}.** {fix}", icon=":material/bolt:")
        case RunState.STOPPED:
            st.info("Stopped. Resume it to go on from its checkpoint.", icon=":material/stop:")


def _progress_words(run: Run) -> str:
    total = run.config.training.steps
    line = f"Step {run.step:,} of {total:,}"
    speed = run.summary.steps_per_second
    if speed and run.state is RunState.RUNNING:
        line += f" · {number(speed)} steps/s · {duration((total - run.step) / speed)} left"
    elif run.summary.seconds:
        line += f" · {duration(run.summary.seconds)} of training"
    return line


def _results(run: Run) -> None:
    result, chance = run.summary, run.summary.chance
    solved = "–" if result.solved is None else "yes" if result.solved else "no"
    solved_note = f"at step {result.solved_at:,}" if result.solved_at else "the task's own success rule"
    if result.test_total:
        solved_note = result.test_words
    cells = [
        (
            "Best validation loss",
            number(result.best_validation_loss),
            f"chance {number(chance.loss)}" if chance else "chance not yet known",
        ),
        (
            "Best validation error",
            share(result.best_validation_error),
            f"chance {share(chance.error)}" if chance and chance.error is not None else "no chance level",
        ),
        ("Updates clipped", share(result.clip_rate), _clip_note(run)),
        ("Speed", number(result.steps_per_second), "steps (updates) per second"),
        ("Solved", solved, solved_note),
    ]
    if result.bits_per_character is not None:
        cells[1] = ("Bits per character", number(result.bits_per_character), "on text not trained on")
    for column, (label, value, below) in zip(st.columns(len(cells)), cells, strict=True):
        with column, st.container(gap=None):
            st.metric(label, value)
            st.caption(below)


def _clip_note(run: Run) -> str:
    training = run.config.training
    if training.clip is None:
        return "clipping is off"
    return f"by {training.clip}, at {number(training.clip_at)}"


if __name__ == "__main__":
    page()
