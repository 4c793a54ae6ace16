"""The samples of the Run page: what the network makes of a few inputs, or the text it writes."""

from __future__ import annotations

import streamlit as st

from dashboard.charts.pictures import picture_figure
from dashboard.charts.samples import forecast_figure, sequence_figure
from dashboard.client import Client
from dashboard.components.live_plot import live_plot
from dashboard.text import number, plain
from dashboard.theme import run_color
from dashboard.views.parts import choose_step, empty, heading
from trainer.schema import ForecastSample, Run, Sample, SequenceSample, TextSample


def samples(service: Client, run: Run) -> None:
    """What the network makes of a few inputs, or the text it writes."""
    samples = service.samples(run.id)
    if not samples:
        if run.config.analysis.samples_every is None:
            empty("This run takes no samples: “samples every” is off in its analysis settings.")
        else:
            empty("The first samples appear here soon after the start.")
        return
    steps = sorted({sample.step for sample in samples})
    upto = choose_step("Samples at step", steps, key="sample-step")
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
    heading(
        f"Text written at step {at:,}",
        "A low temperature picks what is likeliest and repeats itself; a high one dares more and errs more.",
    )
    for column, text in zip(st.columns(len(texts), gap="large"), texts, strict=True):
        with column:
            st.markdown(f"**Temperature {number(text.temperature)}**")
            st.code(text.prompt + text.text, language=None, wrap_lines=True, height=260)
            st.caption(f"The first {len(text.prompt)} characters were given; the network wrote the rest.")
    heading("How it came about", "The beginning of each sample, oldest first.")
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
    heading(
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
    heading(
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
    heading("How the answers came about", "The same questions at every sampling, oldest first.")
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
