"""What a network produces, on the page Inside: samples of any kind, generated text, two futures."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.charts.coloured_text import between, coloured_text
from dashboard.charts.gates import visible
from dashboard.charts.rewind import FUTURES, loss_figure, norm_figure
from dashboard.charts.samples import forecast_figure, sequence_figure
from dashboard.components.live_plot import live_plot
from dashboard.fields import label_of
from dashboard.text import number, plain, share
from dashboard.views.inside_parts import Look, heading
from dashboard.views.parts import task_entry
from trainer.schema import (
    ForecastSample,
    GeneratedView,
    RewindView,
    SampleContent,
    SequenceSample,
    TextSample,
    WrittenSymbol,
)

PER_ROW = 3
FIRST_SYMBOLS = 200
"""Rows of the table of guesses."""


def verdict(sample: SequenceSample) -> str:
    """What was asked, what was said, and whether that is right."""
    mark = ":green[:material/check_circle: right]" if sample.correct else ":red[:material/cancel: wrong]"
    words = f"Target **{plain(sample.target)}** · prediction **{plain(sample.prediction)}** · {mark}"
    return f"{words} · {plain(sample.detail)}" if sample.detail else words


def draw_samples(
    samples: Sequence[SampleContent], *, color: str, key: str, per_row: int, file_name: str
) -> None:
    """Texts, sequences and forecasts, so many side by side."""
    for begin in range(0, len(samples), per_row):
        columns = st.columns(per_row, gap="medium", vertical_alignment="bottom")
        for place, (column, sample) in enumerate(
            zip(columns, samples[begin : begin + per_row], strict=False), start=begin + 1
        ):
            with column:
                if isinstance(sample, TextSample):
                    st.caption(f"Temperature {number(sample.temperature)}")
                    st.code(sample.prompt + sample.text, language=None, wrap_lines=True, height=220)
                elif isinstance(sample, ForecastSample):
                    st.caption(plain(sample.detail))
                    figure = forecast_figure(sample, color=color)
                    said = f"Forecast {place}: {sample.detail}"
                    live_plot(
                        figure, key=f"plot-{key}-{place}", description=said, file_name=f"{file_name}-{place}"
                    )
                else:
                    st.markdown(verdict(sample))
                    figure = sequence_figure(sample, color=color)
                    said = f"Sequence {place}: target {sample.target}, prediction {sample.prediction}"
                    live_plot(
                        figure, key=f"plot-{key}-{place}", description=said, file_name=f"{file_name}-{place}"
                    )


def draw_generated(look: Look, found: GeneratedView) -> None:
    """Written text with its guesses, or forecasts, or predictions with the wrong ones first."""
    if found.total:
        wrong = found.wrong or 0
        st.markdown(f"**{wrong:,} of {found.total:,} wrong** ({share(wrong / found.total)}).")
    if found.text is not None:
        _written(found)
    samples: list[SampleContent] = [*found.forecasts, *found.predictions]
    if samples:
        draw_samples(
            samples,
            color=look.color,
            key="generated",
            per_row=PER_ROW,
            file_name=f"run-{look.run.number}-generated",
        )


def _written(found: GeneratedView) -> None:
    heading(
        "The text",
        "First the prompt, then what the network wrote: the bluer a symbol, the surer it was. Point at one "
        "to see what else it might have written.",
    )
    apart = between([written.symbol for written in found.written])
    prompt = [found.prompt or ""] if apart else list(found.prompt or "")
    st.html(
        coloured_text(
            [*prompt, *(written.symbol for written in found.written)],
            [*([None] * len(prompt)), *(written.probability for written in found.written)],
            [*(["given"] * len(prompt)), *(_guess_words(written) for written in found.written)],
            apart=apart,
        )
    )
    heading(
        "Guesses, symbol by symbol", "The likeliest ones at each place, before temperature and top k or p."
    )
    most = max((len(written.guesses) for written in found.written), default=0)
    rows = [
        {
            "place": place,
            "written": visible(written.symbol),
            "probability": share(written.probability),
            **{
                f"guess {i + 1}": f"{visible(guess.symbol)}  {share(guess.probability)}"
                for i, guess in enumerate(written.guesses)
            },
        }
        for place, written in enumerate(found.written[:FIRST_SYMBOLS], start=1)
    ]
    order = ["place", "written", "probability", *(f"guess {i + 1}" for i in range(most))]
    st.dataframe(rows, hide_index=True, column_order=order, height=320)


def _guess_words(written: WrittenSymbol) -> str:
    others = ", ".join(f"{visible(guess.symbol)} {share(guess.probability)}" for guess in written.guesses)
    return f"{share(written.probability)}; likeliest: {others}"


def draw_rewind(look: Look, found: RewindView) -> None:
    """Both futures of the checkpoint."""
    changes = "; ".join(
        f"{plain(label_of(setting))}: {plain(words)}" for setting, words in found.changes.items()
    )
    st.markdown(f"Changed: **{changes}**." if changes else "Nothing is changed: choose a setting above.")
    if found.note:
        st.caption(plain(found.note))
    for name, label, _ in FUTURES:
        if (ended := getattr(found, name).ended) is not None:
            st.warning(f"The future {label} ended early: {plain(ended)}.", icon=":material/warning:")
    task = task_entry(look.service, look.run)
    left, right = st.columns(2, gap="large")
    with left:
        heading("Loss", "On the very same batches.")
        live_plot(
            loss_figure(found, unit=task.loss_unit if task else ""),
            key="plot-rewind-loss",
            description="Training loss of both futures by update",
            file_name=f"run-{look.run.number}-rewind-loss",
        )
    with right:
        heading("Gradient norm", "As it was applied; dotted: before the clip.")
        live_plot(
            norm_figure(found),
            key="plot-rewind-norm",
            description="Gradient norm of both futures by update",
            file_name=f"run-{look.run.number}-rewind-norm",
        )
