"""What the tabs of the Run page show. Each is drawn anew every second while the run trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.charts.compare import metric_figure
from dashboard.charts.curves import Curve
from dashboard.charts.gradient_norms import gradient_norm_figure
from dashboard.charts.lengths import has_errors, length_figure
from dashboard.charts.losses import error_figure, loss_figure
from dashboard.charts.pictures import picture_figure
from dashboard.charts.samples import forecast_figure, sequence_figure
from dashboard.charts.settings import command, flat, words
from dashboard.charts.time_gradients import curve_at, heatmap, quantity_order, quantity_title, recording_at
from dashboard.client import Client
from dashboard.components.live_plot import live_plot
from dashboard.text import number, plain
from dashboard.theme import run_color
from dashboard.views.parts import length_curve, model_entry, task_entry
from trainer.schema import CatalogEntry, ForecastSample, Run, Sample, SequenceSample, Series, TextSample

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
    _controls(metrics, run)
    if fresh.summary.lengths or run.config.analysis.test_lengths_to:
        _longer(fresh, entry)


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
    curves = {"this": length_curve(run, "fresh sequences")}
    errors = has_errors(curves)
    chance = run.summary.chance
    unit = (task.error_unit if errors else task.loss_unit) if task else ""
    _heading(
        "Longer than in training",
        "The trained network on fresh sequences of growing length. Flat means that it found the rule; "
        "rising means that it learnt the length as well.",
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
            _empty(
                f"{plain(network.title)}: this network keeps no state. Nothing is carried from one timestep "
                "to the next, so there is nothing for a gradient to travel back along."
            )
        elif run.config.analysis.every is None:
            _empty("This run records no gradient through time: “every” is off in its analysis settings.")
        else:
            _empty("The first recording appears here within moments of the start.")
        return
    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        name = st.selectbox(
            "State",
            sorted(recorded, key=quantity_order),
            format_func=quantity_title,
            key="quantity",
            width=260,
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
    forecasts = [s.content for s in chosen if isinstance(s.content, ForecastSample)]
    if texts:
        _text_samples(texts, at, samples)
    elif forecasts:
        _forecast_samples(forecasts, at, run)
    else:
        _sequence_samples(chosen, at, run, samples)


def _text_samples(texts: list[TextSample], at: int, samples: list[Sample]) -> None:
    _heading(
        f"Text written at step {at:,}",
        "A low temperature picks what is likeliest and repeats itself; a high one dares more and errs more.",
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


def _forecast_samples(forecasts: list[ForecastSample], at: int, run: Run) -> None:
    _heading(
        f"Series at step {at:,}",
        "“One ahead” is the forecast of each next value, made from true ones. From the dashed line on, "
        "“alone” is what the network makes of its own forecasts.",
    )
    columns = st.columns(len(forecasts), gap="medium", vertical_alignment="bottom")
    for place, (column, forecast) in enumerate(zip(columns, forecasts, strict=True), start=1):
        with column:
            if forecast.detail:
                st.caption(plain(forecast.detail[0].upper() + forecast.detail[1:]))
            live_plot(
                forecast_figure(forecast, color=run_color(run.number)),
                key=f"plot-forecast-{place}",
                description=f"Series {place} and its forecasts: {forecast.detail}",
                file_name=f"run-{run.number}-forecast-{place}",
            )


def _sequence_samples(chosen: list[Sample], at: int, run: Run, samples: list[Sample]) -> None:
    _heading(
        f"Fresh sequences at step {at:,}",
        "The shaded timesteps decide the target."
        if any(isinstance(s.content, SequenceSample) and s.content.informative for s in chosen)
        else "Every timestep counts.",
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
            if content.picture:
                live_plot(
                    picture_figure(content.picture, color=run_color(run.number)),
                    key=f"plot-picture-{sample.index}",
                    description=f"Sample {sample.index + 1} as a picture: target {content.target}",
                    file_name=f"run-{run.number}-picture-{sample.index + 1}",
                )
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
        st.markdown(f"#### {title}", anchors=False)
        st.caption(about)


def _empty(about: str) -> None:
    with st.container(height=240, horizontal_alignment="center", vertical_alignment="center", border=False):
        st.caption(about)
