"""Runs side by side: ``/compare?runs=<id>,<id>&metric=…&x=…&smooth=…&log=…``: the address holds it all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

import streamlit as st

from dashboard.charts.compare import METRICS, GradientCurve, metric_figure, time_gradient_figure
from dashboard.charts.curves import X_TITLES, Curve
from dashboard.charts.export import curves_csv, standalone_html
from dashboard.charts.lengths import has_errors, length_figure, rule_words
from dashboard.charts.smoothing import USUAL
from dashboard.charts.time_gradients import quantity_order, quantity_title
from dashboard.client import Client, NotFound
from dashboard.components.copy_button import copy_button
from dashboard.components.live_plot import live_plot
from dashboard.session import client, guarded, guarded_part
from dashboard.text import plain
from dashboard.theme import run_color, run_dash, run_mark
from dashboard.views.compare_table import differences
from dashboard.views.parts import (
    LIVE_EVERY,
    MOST_BESIDE,
    bin_note,
    colour_mark,
    deciding_words,
    heading,
    labels,
    length_curve,
    model_entry,
    relative_toggle,
    run_ids,
    state_badge,
    task_entry,
)
from trainer.schema import Run, Series, VectorSeries

POINTS = 400
"""Points per curve."""
RECENT = 200
"""Runs that the picker offers, newest first, beside those already chosen."""
PER_ROW = 4
"""Runs side by side in the strip above the plot."""
EMPTY = Series(step=[], value=[], seconds=[], sequences=[])


@guarded
def page() -> None:
    service = client()
    asked = run_ids(st.query_params.get("runs", ""))
    known = {run.id: run for run in service.runs(limit=RECENT).runs}
    missing = _add_older(service, known, asked)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.title("Compare runs", anchor=False, width="content")
        copy_button("Copy link to this view", key="copy-link")
    if not known:
        st.markdown("There are no runs yet. Launch some, then lay them side by side here.")
        if st.button("Launch a run", icon=":material/rocket_launch:", type="primary"):
            st.switch_page("views/launch.py")
        return
    chosen = _picker(known, [i for i in asked if i in known])
    if missing:
        many = "runs of this link are" if missing > 1 else "run of this link is"
        st.warning(f"{missing} {many} not here any more; the others are shown.", icon=":material/search_off:")
    if not chosen:
        st.info("Pick two or more runs above. Their curves, gradients and settings appear here together.")
        return
    bin_note(chosen)
    moving = LIVE_EVERY if any(not run.state.is_over for run in chosen) else None
    ids = [run.id for run in chosen]
    live = guarded_part(partial(_live, service, ids, polling=moving is not None))
    st.fragment(live, run_every=moving)()


def _live(service: Client, ids: Sequence[UUID], *, polling: bool) -> None:
    runs = _present(service, ids)
    if polling and all(run.state.is_over for run in runs):
        st.rerun()  # the last one ended: the page is drawn once more, without polling
    if not runs:
        st.info("The runs shown here were deleted. Pick others above.")
        return
    _strip(runs)
    _curves(service, runs)
    _through_time(service, runs)
    _longer(service, runs)
    differences(runs)


def _add_older(service: Client, known: dict[UUID, Run], asked: Sequence[UUID]) -> int:
    """Fetch runs of the link that are not among the recent ones; returns how many no longer exist."""
    missing = 0
    for run_id in asked:
        if run_id not in known:
            try:
                known[run_id] = service.run(run_id)
            except NotFound:
                missing += 1
    return missing


def _picker(known: dict[UUID, Run], default: list[UUID]) -> list[Run]:
    """The chosen runs in the reader's order, which is that of legend, table and colours' list as well."""
    names = labels(list(known.values()))
    key = "compared-runs"

    def remember() -> None:
        st.query_params["runs"] = ",".join(str(run_id) for run_id in st.session_state[key])

    picked = st.multiselect(
        "Runs",
        list(known),
        default=default,
        format_func=lambda run_id: names[run_id],
        placeholder="Choose runs by name",
        key=key,
        on_change=remember,
    )
    runs = [known[run_id] for run_id in picked if run_id in known]
    st.html(_pill_marks(runs))
    return runs


def _pill_marks(runs: Sequence[Run]) -> str:
    """A style sheet that puts each run's mark, in the run's colour, before its name in the picker."""
    rules = (
        f'.st-key-compared-runs [data-tag-index="{place}"]::before {{ content: "{run_mark(run.number)}"; '
        f"color: {run_color(run.number)}; margin-inline-end: 0.35rem; }}"
        for place, run in enumerate(runs)
    )
    return f"<style>{' '.join(rules)}</style>"


def _present(service: Client, ids: Sequence[UUID]) -> list[Run]:
    """The runs as they are now, without those deleted meanwhile."""
    runs = []
    for run_id in ids:
        try:
            runs.append(service.run(run_id))
        except NotFound:
            continue
    return runs


def _strip(runs: Sequence[Run]) -> None:
    """Colour, name, state and progress of each run; the name leads to its page."""
    names = labels(runs)
    for begin in range(0, len(runs), PER_ROW):
        columns = st.columns(PER_ROW, gap="medium")
        for column, run in zip(columns, runs[begin : begin + PER_ROW], strict=False):
            with column, st.container(gap=None):
                with st.container(horizontal=True, gap="xxsmall", vertical_alignment="center"):
                    st.html(colour_mark(run), width="content")
                    st.page_link(
                        "views/run.py", label=plain(names[run.id]), query_params={"run": str(run.id)}
                    )
                with st.container(horizontal=True, gap="small", vertical_alignment="center"):
                    state_badge(run)
                    st.caption(f"step {run.step:,} of {run.config.training.steps:,}", width="content")


def _curves(service: Client, runs: Sequence[Run]) -> None:
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        metric = st.selectbox(
            "Metric",
            list(METRICS),
            format_func=lambda key: _metric_name(key),
            key="metric",
            bind="query-params",
            width=280,
        )
        x = st.segmented_control(
            "Across",
            list(X_TITLES),
            default="step",
            required=True,
            format_func={"step": "Step", "seconds": "Wall time", "sequences": "Sequences"}.__getitem__,
            key="x",
            bind="query-params",
        )
        smooth = st.slider(
            "Smoothing",
            0.0,
            0.99,
            USUAL,
            0.01,
            key="smooth",
            bind="query-params",
            width=220,
            help="Weight of a moving average, by update: 0 shows the values as they are, 0.9 averages over "
            "about 10 updates, 0.99 over about 100. Point at a curve for the measured value as well.",
        )
        about = METRICS[metric]
        log = st.toggle("Log axis", value=True, key="log", bind="query-params", disabled=not about.log)
    series = service.metrics_of([run.id for run in runs], [metric], max_points=POINTS)
    names = labels(runs)
    curves = {
        str(run.id): Curve(
            name=names[run.id],
            color=run_color(run.number),
            dash=run_dash(run.number),
            series=series.get(run.id, {}).get(metric, EMPTY),
        )
        for run in runs
    }
    entries = [task_entry(service, run) for run in runs]
    chances = [run.summary.chance for run in runs if run.summary.chance is not None]
    figure = metric_figure(
        curves,
        metric=metric,
        x=x,
        smooth=0.0 if about.sparse else smooth,
        y_type="log" if log and about.log else "linear",
        loss_units=[entry.loss_unit for entry in entries if entry],
        chances=chances,
    )
    st.caption(
        "One colour per run, everywhere. Where curves are smoothed, the measured values stay visible behind "
        "them. Drag to zoom, double-click to reset; a click on a name in the legend hides its curve."
    )
    live_plot(
        figure,
        key="plot-compare",
        description=f"{about.title} of {len(runs)} runs",
        file_name=f"compare-{metric.replace('/', '-')}",
    )
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        file_name = f"compare-{metric.replace('/', '-')}"
        st.download_button(
            "Points (CSV)",
            partial(_bytes, partial(curves_csv, curves, metric)),
            file_name=f"{file_name}.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="download-csv",
        )
        st.download_button(
            "Chart (HTML)",
            partial(_bytes, partial(standalone_html, figure)),
            file_name=f"{file_name}.html",
            mime="text/html",
            icon=":material/download:",
            on_click="ignore",
            key="download-html",
            help="One file that opens anywhere, without a network.",
        )
        st.caption("The camera above the plot saves a PNG.")


def _bytes(make: Callable[[], str]) -> bytes:
    return make().encode()


def _metric_name(key: str) -> str:
    title = METRICS[key].title
    if key.endswith("_per_second"):
        title = METRICS[key].unit
    return title[0].upper() + title[1:]


def _recorded(service: Client, run: Run) -> dict[str, VectorSeries]:
    """The newest recording of the run; asked for once where it can no longer change."""
    if not run.state.is_over:
        return service.gradients(run.id, max_steps=2)
    return _recorded_at_rest(service, service.address.url, run.id, run.attempt)


@st.cache_data(ttl=300, max_entries=200, show_spinner=False)
def _recorded_at_rest(
    _service: Client,
    url: str,  # noqa: ARG001 - part of the key
    run_id: UUID,
    attempt: int,  # noqa: ARG001 - part of the key: a resumed run records anew
) -> dict[str, VectorSeries]:
    return _service.gradients(run_id, max_steps=2)


def _through_time(service: Client, runs: Sequence[Run]) -> None:
    recorded = {run.id: _recorded(service, run) for run in runs}
    quantities = sorted({name for vectors in recorded.values() for name in vectors}, key=quantity_order)
    heading(
        "Gradient through time",
        "How much of the loss's gradient reaches each timestep, at each run's newest recording: read from "
        "right to left. A straight fall is exponential vanishing; a flatter curve can learn longer links.",
    )
    first, *others = [str(run.id) for run in runs[: 1 + MOST_BESIDE]]
    st.page_link(
        "views/inside.py",
        label="Look inside",
        icon=":material/troubleshoot:",
        help="How the gradients of these runs changed over training; each network's gates and states",
        query_params={"run": first, "beside": ",".join(others)} if others else {"run": first},
    )
    names = labels(runs)
    stateless = [run for run in runs if (entry := model_entry(service, run)) and not entry.keeps_state]
    if stateless:
        which = ", ".join(plain(names[run.id]) for run in stateless)
        st.caption(f"Without a state, so that there is nothing for a gradient to travel along: {which}.")
    if not quantities:
        if len(stateless) < len(runs):
            st.caption("No run here has recorded it yet.")
        return
    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        quantity = st.selectbox(
            "State",
            quantities,
            format_func=quantity_title,
            key="quantity",
            bind="query-params",
            width=260,
        )
        is_relative = relative_toggle()
    drawn = [run for run in runs if quantity in recorded[run.id]]
    is_one = all(run.summary.informative == drawn[0].summary.informative for run in drawn)
    marks = (drawn[0].summary.informative or {}) if is_one else {}
    if marks:
        st.caption(deciding_words(drawn[0]))
    figure = time_gradient_figure(
        {
            str(run.id): GradientCurve(
                name=names[run.id],
                color=run_color(run.number),
                dash=run_dash(run.number),
                vectors=recorded[run.id][quantity],
            )
            for run in runs
            if quantity in recorded[run.id]
        },
        quantity=quantity,
        is_relative=is_relative,
        informative=marks,
    )
    live_plot(
        figure,
        key="plot-compare-gradients",
        description=f"Gradient norm at each timestep for {len(runs)} runs",
        file_name="compare-gradient-through-time",
    )
    without = [plain(names[run.id]) for run in runs if recorded[run.id] and quantity not in recorded[run.id]]
    if without:
        st.caption(f"Without such a state: {', '.join(without)}.")


def _longer(service: Client, runs: Sequence[Run]) -> None:
    """Error against length, for the runs that were tested on longer sequences."""
    tested = [run for run in runs if run.summary.lengths]
    if not tested:
        return
    names = labels(runs)
    curves = {str(run.id): length_curve(run, names[run.id]) for run in tested}
    errors = has_errors(curves)
    entries = [task_entry(service, run) for run in tested]
    units = {entry.error_unit if errors else entry.loss_unit for entry in entries if entry} - {""}
    levels = {c.error if errors else c.loss for run in tested if (c := run.summary.chance)}
    heading(
        "Longer than in training",
        "Each trained network on sequences of growing length that it did not read in training. "
        f"{plain(rule_words(curves))}",
    )
    live_plot(
        length_figure(
            curves,
            unit=units.pop() if len(units) == 1 else "wrong answers" if errors else "each task's own unit",
            chance=levels.pop() if len(levels) == 1 else None,
        ),
        key="plot-compare-lengths",
        description=f"Test error against the length of the test sequences for {len(tested)} runs",
        file_name="compare-lengths",
    )


if __name__ == "__main__":
    page()
