"""Home: what Unfold is, one click to a first experiment, and the latest runs."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard.client import Client, Refused
from dashboard.demo import demo_launches
from dashboard.session import client, guarded, guarded_part, show_trouble
from dashboard.text import age, plain
from dashboard.views.parts import LIVE_EVERY, colour_mark, state_badge
from trainer.schema import Run

LATEST = 5
WIDTH = 840
"""Pixels: a comfortable line of text."""


@guarded
def page() -> None:
    service = client()
    any_runs = bool(service.runs(limit=1).runs)
    middle = st.container(horizontal=True, horizontal_alignment="center")
    with middle, st.container(width=WIDTH):
        st.space("small")
        draw_welcome(service)
        if any_runs:
            st.space("medium")
            st.subheader("Latest runs", anchor=False)
            latest(service)


def draw_welcome(service: Client) -> None:
    st.title("See how a recurrent network learns", anchor=False)
    st.markdown(
        "A recurrent network reads a sequence one step at a time and remembers in its state. To train it, "
        "the loop is *unfolded* through time and the gradient travels back along it. On the way it may fade "
        "or blow up. Here you can watch that happen."
    )
    st.space("small")
    with st.container(border=True, gap="small", key="welcome-demo"):
        st.subheader("Start with an experiment", anchor=False)
        st.markdown(
            "Three networks get the same task: read 50 letters, two of which are an X or a Y, and say at "
            "the end which came first and which second. An Elman network, an LSTM and a GRU train side by "
            "side, for less than a minute. You see which of them learn it, and how far back each one's "
            "gradient reaches."
        )
        if st.button(
            "Launch Elman, LSTM and GRU on the same task and open Compare",
            type="primary",
            icon=":material/rocket_launch:",
            key="welcome.demo",
        ):
            launch_demo(service)
    st.page_link(
        "views/launch.py", label="Or choose network, task and training yourself", icon=":material/tune:"
    )


def launch_demo(service: Client) -> None:
    try:
        runs = [service.launch(launch) for launch in demo_launches(service.catalog())]
    except Refused as refusal:
        show_trouble(refusal)
        return
    st.switch_page("views/compare.py", query_params={"runs": ",".join(str(run.id) for run in runs)})


def latest(service: Client) -> None:
    """The newest runs, drawn anew while one of them waits or trains."""
    active = any(not run.state.is_over for run in service.runs(limit=LATEST).runs)
    live = guarded_part(partial(draw_latest, service, polling=active))
    st.fragment(live, run_every=2 * LIVE_EVERY if active else None)()


def draw_latest(service: Client, *, polling: bool) -> None:
    page = service.runs(limit=LATEST)
    if polling and all(run.state.is_over for run in page.runs):
        st.rerun()  # the last one ended: the page is drawn once more, without polling
    for run in page.runs:
        draw_line(run)
    if page.total > len(page.runs):
        st.page_link("views/runs.py", label=f"All {page.total} runs", icon=":material/table_rows:")


def draw_line(run: Run) -> None:
    mark, name, state, since = st.columns([0.3, 5, 2, 2], gap="small", vertical_alignment="center")
    mark.html(colour_mark(run))
    name.page_link("views/run.py", label=plain(run.name), query_params={"run": str(run.id)})
    with state:
        state_badge(run)
    since.caption(age(run.created_at))


if __name__ == "__main__":
    page()
