"""Home: what Unfold is, one click to a first experiment, and the latest runs."""

from __future__ import annotations

import streamlit as st

from dashboard.client import Client, Refused
from dashboard.demo import demo_launches
from dashboard.session import client, guarded, show_trouble
from dashboard.text import age, plain
from dashboard.theme import STATE_COLORS, STATE_ICONS, STATE_LABELS, run_color
from trainer.schema import Run

LATEST = 5
WIDTH = 840
"""Pixels: a comfortable line of text."""


@guarded
def page() -> None:
    service = client()
    latest = service.runs(limit=LATEST)
    middle = st.container(horizontal=True, horizontal_alignment="center")
    with middle, st.container(width=WIDTH):
        st.space("small")
        draw_welcome(service)
        if latest.runs:
            st.space("medium")
            draw_latest(latest.runs, latest.total)


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


def draw_latest(runs: list[Run], total: int) -> None:
    st.subheader("Latest runs", anchor=False)
    for run in runs:
        draw_line(run)
    if total > len(runs):
        st.page_link("views/runs.py", label=f"All {total} runs", icon=":material/table_rows:")


def draw_line(run: Run) -> None:
    mark, name, state, since = st.columns([0.3, 5, 2, 2], gap="small", vertical_alignment="center")
    mark.html(f'<span style="color:{run_color(run.number)};font-size:1.2rem" aria-hidden="true">●</span>')
    name.page_link("views/run.py", label=plain(run.name), query_params={"run": str(run.id)})
    state.badge(STATE_LABELS[run.state], icon=STATE_ICONS[run.state], color=STATE_COLORS[run.state])
    since.caption(age(run.created_at))


if __name__ == "__main__":
    page()
