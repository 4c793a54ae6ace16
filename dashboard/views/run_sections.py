"""What the tabs of the Run page show. Each is drawn anew every second while the run trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.charts.compare import metric_figure
from dashboard.charts.curves import Curve
from dashboard.charts.gradient_norms import gradient_norm_figure
from dashboard.charts.lengths import has_errors, length_figure, rule_words
from dashboard.charts.losses import error_figure, loss_figure
from dashboard.charts.settings import command, flat, words
from dashboard.charts.smoothing import USUAL
from dashboard.charts.time_gradients import curve_at, heatmap, quantity_order, quantity_title, recording_at
from dashboard.client import Client
from dashboard.components.live_plot import live_plot
from dashboard.text import plain
from dashboard.theme import run_color
from dashboard.views.parts import (
    choose_step,
    deciding_words,
    empty,
    heading,
    length_curve,
    model_entry,
    relative_toggle,
    task_entry,
)
from trainer.schema import (
    VALIDATION_SEQUENCES,
    CatalogEntry,
    Run,
    Series,
    Standing,
    error_standing,
    standing,
)

POINTS = 600
"""Points per curve: more than a plot has pixels to tell apart."""
RECORDINGS = 160
"""Columns of the heatmap."""


def learning(service: Client, run: Run) -> None:
    """Losses, error rate and gradient norms."""
    with st.container(horizontal=True, gap="large"):
        log_loss = st.toggle("Log loss axis", key="log-loss", bind="query-params")
        smooth = st.toggle("Smooth the training loss", value=True, key="smooth-loss", bind="query-params")
    metrics = service.metrics(run.id, max_points=POINTS)
    fresh = service.run(run.id)
    entry = task_entry(service, run)
    color, chance = run_color(run.number), fresh.summary.chance
    left, right = _pair(
        (
            "Loss",
            "How wrong the network is, at each update and on sequences kept from training. Below chance it "
            "has learnt something; validation rising while training falls means that it memorises.",
        ),
        (
            "Error rate",
            f"Share of wrong answers on sequences kept from training. {_error_words(fresh)}",
        ),
    )
    with left:
        live_plot(
            loss_figure(
                metrics,
                color=color,
                loss_unit=entry.loss_unit if entry else "",
                chance=chance,
                y_type="log" if log_loss else "linear",
                smooth=USUAL if smooth else 0.0,
            ),
            key="plot-loss",
            description="Training and validation loss over training, with the chance level",
            file_name=f"run-{run.number}-loss",
        )
    with right:
        live_plot(
            error_figure(metrics, color=color, error_unit=entry.error_unit if entry else "", chance=chance),
            key="plot-error",
            description="Validation error over training, with the chance level",
            file_name=f"run-{run.number}-error",
        )
    heading(
        "Gradient norm, before and after the clip",
        "Spikes are exploding gradients; the clip cuts them down to the threshold. If nearly every update is "
        "clipped, the threshold sets the pace, not the learning rate.",
    )
    live_plot(
        gradient_norm_figure(
            metrics, color=color, training=run.config.training, clip_rate=fresh.summary.clip_rate
        ),
        key="plot-gradient-norm",
        description="Norm of the gradient over training, before and after clipping, with the threshold",
        file_name=f"run-{run.number}-gradient-norm",
    )
    _controls(metrics, run)
    if fresh.summary.lengths or run.config.analysis.test_lengths_to:
        _longer(fresh, entry)


def _standing(run: Run) -> Standing | None:
    """Beside chance: by the closing test or, before that, by the last validation."""
    summary, chance = run.summary, run.summary.chance
    if chance is None:
        return None
    if summary.test_total:
        wrong = (summary.test_wrong or 0) / summary.test_total
        by_error = error_standing(wrong, summary.test_total, chance.error)
        return by_error or standing(summary.test_loss, chance.loss)
    by_error = error_standing(summary.validation_error, VALIDATION_SEQUENCES, chance.error)
    return by_error or standing(summary.validation_loss, chance.loss)


def _error_words(run: Run) -> str:
    """How to read the error rate, by how the run has done so far."""
    where = _standing(run)
    usual = "It often stays near chance for long, and then falls at once"
    if where is None:
        return f"{usual}."
    if where == "better":
        return f"{usual}: that is the moment the network finds the rule."
    if run.state.is_over:
        return "This run did no better than guessing to its end: it found no rule."
    return f"{usual}. So far this run does no better than guessing."


def _controls(metrics: Mapping[str, Series], run: Run) -> None:
    """What the training itself changed on the way, where it recorded any of it."""
    recorded = [name for name in CONTROLS if name in metrics]
    if not recorded:
        return
    places = _pair(*(CONTROLS[name] for name in recorded))
    for place, name in zip(places, recorded, strict=True):
        title, _ = CONTROLS[name]
        curve = Curve(name=title, color=run_color(run.number), series=metrics[name])
        with place:
            live_plot(
                metric_figure({name: curve}, metric=name),
                key=f"plot-{name}",
                description=f"{title} over training",
                file_name=f"run-{run.number}-{name.replace('_', '-')}",
            )


CONTROLS = {
    "learning_rate": ("Learning rate", "As the schedule and the warm-up set it, at each update."),
    "omega": (
        "Ω",
        "How far the gradient's length is from staying the same at each timestep back: 0 is exactly the "
        "same. The regulariser pulls it down.",
    ),
}


def _longer(run: Run, task: CatalogEntry | None) -> None:
    """The closing tests on longer and longer sequences."""
    curves = {"this": length_curve(run, "test sequences")}
    errors = has_errors(curves)
    chance = run.summary.chance
    unit = (task.error_unit if errors else task.loss_unit) if task else ""
    heading(
        "Longer than in training",
        "The trained network on sequences of growing length that it did not read in training. "
        f"{plain(rule_words(curves))}",
    )
    live_plot(
        length_figure(
            curves,
            unit=unit or ("wrong answers" if errors else "the task's own unit"),
            chance=(chance.error if errors else chance.loss) if chance else None,
        ),
        key="plot-lengths",
        description="Test error against the length of the test sequences",
        file_name=f"run-{run.number}-lengths",
    )


def through_time(service: Client, run: Run) -> None:
    """Where the gradient gets to, as a heatmap and as a curve."""
    recorded = service.gradients(run.id, max_steps=RECORDINGS)
    if not recorded:
        network = model_entry(service, run)
        if network and not network.keeps_state:
            empty(
                f"{plain(network.title)}: this network keeps no state. Nothing is carried from one timestep "
                "to the next, so there is nothing for a gradient to travel back along."
            )
        elif run.config.analysis.every is None:
            empty("This run records no gradient through time: “every” is off in its analysis settings.")
        else:
            empty("The first recording appears here within moments of the start.")
        return
    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        name = st.selectbox(
            "State",
            sorted(recorded, key=quantity_order),
            format_func=quantity_title,
            key="quantity",
            bind="query-params",
            width=260,
        )
        vectors = recorded[name]
        step = choose_step("Step of the curve", vectors.steps, key="curve-step")
        is_relative = relative_toggle()
    fresh = service.run(run.id)
    at = vectors.steps[recording_at(vectors, step)] if vectors.steps else 0
    left, right = _pair(
        (
            "Over the whole training",
            "Each column is one recording on the same sequences. A dark lower part means that early "
            "timesteps get next to no gradient: the network cannot learn from them yet. Blank: no number.",
        ),
        (
            f"At step {at:,}",
            "Read it from right to left. Falling straight is vanishing, rising is exploding; flat: it "
            f"arrives. {deciding_words(fresh)}".rstrip(),
        ),
    )
    with left:
        live_plot(
            heatmap(vectors, name=name, is_relative=is_relative),
            key="plot-heatmap",
            description="Gradient norm by timestep (up) and training step (across)",
            file_name=f"run-{run.number}-gradient-heatmap",
        )
    with right:
        live_plot(
            curve_at(
                vectors,
                name=name,
                step=step,
                color=run_color(run.number),
                informative=fresh.summary.informative or {},
                is_relative=is_relative,
            ),
            key="plot-time-curve",
            description=f"Gradient norm at each timestep at step {at}",
            file_name=f"run-{run.number}-gradient-step-{at}",
        )


def configuration(service: Client, run: Run) -> None:
    """All settings, to read and to take away."""
    settings = flat(run.config)
    groups = {"model": "Network", "task": "Task", "training": "Training", "analysis": "Recording"}
    for column, (prefix, title) in zip(st.columns(len(groups), gap="large"), groups.items(), strict=True):
        with column:
            st.markdown(f"**{title}**")
            rows = {
                key.partition(".")[2].replace("_", " "): words(key, value)
                for key, value in settings.items()
                if key.startswith(f"{prefix}.")
            }
            if prefix == "training":
                rows["seed"] = str(run.config.seed)
            st.dataframe(
                [{"setting": key, "value": value} for key, value in rows.items()],
                hide_index=True,
                height="content",
            )
    left, right = st.columns(2, gap="large")
    text = run.config.model_dump_json(indent=2)
    with left:
        heading("As JSON", "What POST /runs and the command line take. The button in the corner copies it.")
        st.code(text, language="json", height=320)
    with right:
        heading("On the command line", "Trains the same run in a terminal, into the same store.")
        task = task_entry(service, run)
        st.code(
            command(run.config, task.training_defaults if task else {}),
            language="bash",
            wrap_lines=True,
            height=320,
        )
    st.download_button(
        "run.json", text, file_name="run.json", mime="application/json", icon=":material/download:"
    )


def log(service: Client, run: Run) -> None:
    """What happened, line by line."""
    lines = service.log(run.id, limit=500)
    if not lines:
        empty("Nothing has been logged yet.")
        return
    heading("Log", "Newest last, times in UTC.")
    text = "\n".join(
        f"{line.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}  {line.level:<7}  {line.text}" for line in lines
    )
    st.code(text, language=None, wrap_lines=True, height=480 if len(lines) > 18 else "content")


def _pair(*headings: tuple[str, str]) -> Sequence[DeltaGenerator]:
    """Places for plots side by side under their headings; all begin at one height, however long the words."""
    for column, (title, about) in zip(st.columns(len(headings), gap="large"), headings, strict=True):
        with column:
            heading(title, about)
    return st.columns(len(headings), gap="large")
