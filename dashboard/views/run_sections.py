"""What the tabs of the Run page show. Each is drawn anew every second while the run trains."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.charts.gradient_norms import gradient_norm_figure
from dashboard.charts.losses import error_figure, loss_figure
from dashboard.charts.samples import sequence_figure
from dashboard.charts.settings import command, flat, words
from dashboard.charts.time_gradients import curve_at, heatmap, quantity_order, quantity_title, recording_at
from dashboard.client import Client
from dashboard.components.live_plot import live_plot
from dashboard.text import number, plain
from dashboard.theme import run_color
from dashboard.views.parts import task_entry
from trainer.schema import Run, Sample, SequenceSample, TextSample

POINTS = 600
"""Points per curve: more than a plot has pixels to tell apart."""
RECORDINGS = 160
"""Columns of the heatmap."""
NEWEST = 2**62
"""Stands for the newest recording: later than any step."""


def learning(service: Client, run: Run) -> None:
    """Losses, error rate and gradient norms."""
    with st.container(horizontal=True, gap="large"):
        log_loss = st.toggle("Log loss axis", key="log-loss")
        smooth = st.toggle("Smooth the training loss", value=True, key="smooth-loss")
    metrics = service.metrics(run.id, max_points=POINTS)
    fresh = service.run(run.id)
    entry = task_entry(service, run)
    color, chance = run_color(run.number), fresh.summary.chance
    left, right = _pair(
        (
            "Loss",
            "How wrong the network is, at each update and on fresh sequences. Below the chance line it has "
            "learnt something; validation rising while training falls means that it memorises.",
        ),
        (
            "Error rate",
            "Share of wrong answers on fresh sequences. It often stays near chance for long, and then falls "
            "at once: that is the moment the network finds the rule.",
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
                smooth=0.9 if smooth else 0.0,
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
    _heading(
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


def through_time(service: Client, run: Run) -> None:
    """Where the gradient gets to, as a heatmap and as a curve."""
    recorded = service.gradients(run.id, max_steps=RECORDINGS)
    if not recorded:
        if run.config.analysis.every is None:
            _empty("This run records no gradient through time: “every” is off in its analysis settings.")
        else:
            _empty("The first recording appears here within moments of the start.")
        return
    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        name = st.segmented_control(
            "Quantity",
            sorted(recorded, key=quantity_order),
            default=min(recorded, key=quantity_order),
            required=True,
            format_func=quantity_title,
            key="quantity",
        )
        vectors = recorded[name]
        step = _choose_step("Step of the curve", vectors.steps, key="curve-step")
    # The samples show the first sequences of the very batch on which the gradient is measured.
    newest = [sample.content for sample in service.samples(run.id, limit=3)]
    marks = sorted({t for seen in newest if isinstance(seen, SequenceSample) for t in seen.informative})
    at = vectors.steps[recording_at(vectors, step)] if vectors.steps else 0
    left, right = _pair(
        (
            "Over the whole training",
            "Each column is one recording on the same sequences. A dark lower part means that early "
            "timesteps get next to no gradient: the network cannot learn from them yet.",
        ),
        (
            f"At step {at:,}",
            "Read it from right to left. Falling straight is vanishing, rising is exploding, flat is memory."
            + (" Dotted: what decides the target of the sequences under Samples." if marks else ""),
        ),
    )
    with left:
        live_plot(
            heatmap(vectors, name=name),
            key="plot-heatmap",
            description="Gradient norm by timestep (up) and training step (across)",
            file_name=f"run-{run.number}-gradient-heatmap",
        )
    with right:
        live_plot(
            curve_at(vectors, name=name, step=step, color=run_color(run.number), informative=marks),
            key="plot-time-curve",
            description=f"Gradient norm at each timestep at step {at}",
            file_name=f"run-{run.number}-gradient-step-{at}",
        )


def samples(service: Client, run: Run) -> None:
    """What the network makes of a few inputs, or the text it writes."""
    samples = service.samples(run.id)
    if not samples:
        if run.config.analysis.samples_every is None:
            _empty("This run takes no samples: “samples every” is off in its analysis settings.")
        else:
            _empty("The first samples appear here soon after the start.")
        return
    steps = sorted({sample.step for sample in samples})
    upto = _choose_step("Samples at step", steps, key="sample-step")
    at = max((step for step in steps if step <= upto), default=steps[0])
    chosen = sorted((s for s in samples if s.step == at), key=lambda s: s.index)
    texts = [s.content for s in chosen if isinstance(s.content, TextSample)]
    if texts:
        _text_samples(texts, at, samples)
    else:
        _sequence_samples(chosen, at, run, samples)


def _text_samples(texts: list[TextSample], at: int, samples: list[Sample]) -> None:
    _heading(
        f"Text written at step {at:,}",
        "A low temperature picks likely characters and repeats itself; a high one dares more and errs more.",
    )
    for column, text in zip(st.columns(len(texts), gap="large"), texts, strict=True):
        with column:
            st.markdown(f"**Temperature {number(text.temperature)}**")
            st.code(text.prompt + text.text, language=None, wrap_lines=True, height=260)
            st.caption(f"The first {len(text.prompt)} characters were given; the network wrote the rest.")
    _heading("How it came about", "The beginning of each sample, oldest first.")
    temperatures = sorted({s.content.temperature for s in samples if isinstance(s.content, TextSample)})
    rows: dict[int, dict[str, str | int]] = {}
    for sample in sorted(samples, key=lambda s: s.step):
        if isinstance(sample.content, TextSample):
            row = rows.setdefault(sample.step, {"step": sample.step})
            name = f"temperature {number(sample.content.temperature)}"
            row[name] = " ".join(sample.content.text.split())[:160]
    st.dataframe(
        list(rows.values()),
        hide_index=True,
        column_order=["step", *(f"temperature {number(t)}" for t in temperatures)],
        column_config={"step": st.column_config.NumberColumn("step", width="small")},
    )


def _sequence_samples(chosen: list[Sample], at: int, run: Run, samples: list[Sample]) -> None:
    _heading(
        f"Fresh sequences at step {at:,}",
        "The shaded timesteps decide the target; everything else is there to distract.",
    )
    columns = st.columns(3, gap="medium", vertical_alignment="bottom")
    for place, sample in enumerate(chosen[:6]):
        content = sample.content
        if not isinstance(content, SequenceSample):
            continue
        with columns[place % 3]:
            mark = (
                ":green[:material/check_circle: right]"
                if content.correct
                else ":red[:material/cancel: wrong]"
            )
            target, prediction = plain(content.target), plain(content.prediction)
            with st.container(gap=None):
                st.markdown(f"Target **{target}** · prediction **{prediction}** · {mark}")
                if content.detail:
                    st.caption(plain(content.detail[0].upper() + content.detail[1:]))
            live_plot(
                sequence_figure(content, color=run_color(run.number)),
                key=f"plot-sample-{sample.index}",
                description=f"Input of sample {sample.index + 1}: target {content.target}, "
                f"prediction {content.prediction}",
                file_name=f"run-{run.number}-sample-{sample.index + 1}",
            )
    _heading("How the answers came about", "The same questions at every sampling, oldest first.")
    rows: dict[int, dict[str, str | int]] = {}
    names: dict[str, None] = {}
    for sample in sorted(samples, key=lambda s: (s.step, s.index)):
        content = sample.content
        if isinstance(content, SequenceSample):
            row = rows.setdefault(sample.step, {"step": sample.step})
            name = f"sample {sample.index + 1}"
            names[name] = None
            row[name] = f"{'✓' if content.correct else '✗'} {content.prediction} (target {content.target})"
    st.dataframe(list(rows.values()), hide_index=True, column_order=["step", *names])


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
        _heading("As JSON", "What POST /runs and the command line take. The button in the corner copies it.")
        st.code(text, language="json", height=320)
    with right:
        _heading("On the command line", "Trains the same run in a terminal, into the same store.")
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
        _empty("Nothing has been logged yet.")
        return
    _heading("Log", "Newest last, times in UTC.")
    text = "\n".join(
        f"{line.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}  {line.level:<7}  {line.text}" for line in lines
    )
    st.code(text, language=None, wrap_lines=True, height=480 if len(lines) > 18 else "content")


def _choose_step(label: str, steps: Sequence[int], *, key: str) -> int:
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


def _pair(*headings: tuple[str, str]) -> Sequence[DeltaGenerator]:
    """Places for plots side by side under their headings; all begin at one height, however long the words."""
    for column, (title, about) in zip(st.columns(len(headings), gap="large"), headings, strict=True):
        with column:
            _heading(title, about)
    return st.columns(len(headings), gap="large")


def _heading(title: str, about: str) -> None:
    with st.container(gap=None):
        st.markdown(f"#### {title}")
        st.caption(about)


def _empty(about: str) -> None:
    with st.container(height=240, horizontal_alignment="center", vertical_alignment="center", border=False):
        st.caption(about)
