"""What a network produces, on the page Inside: samples of any kind, generated text, two futures."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.charts.coloured_text import between, coloured_text
from dashboard.charts.gates import visible
from dashboard.charts.rewind import FUTURES, loss_figure, norm_figure, parting_words
from dashboard.charts.samples import forecast_figure, sequence_figure
from dashboard.components.live_plot import live_plot
from dashboard.fields import label_of
from dashboard.text import number, plain, share
from dashboard.views.inside_parts import Look
from dashboard.views.parts import heading, task_entry
from trainer.schema import (
    CatalogEntry,
    ForecastSample,
    GeneratedView,
    RewindView,
    SampleContent,
    SequenceSample,
    TextSample,
    WrittenSymbol,
)

PER_ROW = 3
WHOLE = ("", "wrong sequences", "wrong images")
"""What the error rates of tasks count that judge a sequence as a whole."""
FIRST_LETTERS = 16
"""Of a long target, beside its prediction."""
FIRST_SYMBOLS = 200
"""Rows of the table of guesses."""


def reads_text(task: CatalogEntry | None) -> bool:
    """Whether a sequence of the task is a piece of text: no single answer of it is right or wrong."""
    return task is not None and task.needs_corpus and not task.needs_table


def verdict(sample: SequenceSample, task: CatalogEntry | None) -> str:
    """What was asked, what was said, and whether that is right; of a text only how much of it is."""
    if reads_text(task):
        return f"Of the symbols that come next, guessed ahead: {plain(sample.detail)}."
    target, prediction = shortened(sample.target, sample.prediction)
    words = [f"Target **{plain(target)}**", f"prediction **{plain(prediction)}**"]
    return " · ".join([*words, *_mark(sample.correct, task), *([plain(sample.detail)] * bool(sample.detail))])


def _mark(correct: bool | None, task: CatalogEntry | None) -> list[str]:
    """Right or wrong; nothing where some of the symbols are wrong that are counted one by one."""
    if correct:
        return [":green[:material/check_circle: right]"]
    is_judged = correct is not None and (task is None or task.error_unit in WHOLE)
    return [":red[:material/cancel: wrong]"] if is_judged else []


def shortened(target: str, prediction: str) -> tuple[str, str]:
    """Both, cut to the same few letters where they are long: around the first that differs, if any does."""
    if max(len(target), len(prediction)) <= FIRST_LETTERS:
        return target, prediction
    pairs = zip(target, prediction, strict=False)
    differs = next((place for place, (a, b) in enumerate(pairs) if a != b), 0)
    begin = max(0, min(differs - FIRST_LETTERS // 2, len(target) - FIRST_LETTERS))

    def cut(text: str) -> str:
        end = begin + FIRST_LETTERS
        return "…" * (begin > 0) + text[begin:end] + "…" * (end < len(text))

    return cut(target), cut(prediction)


def wrong_words(task: CatalogEntry | None) -> None:
    """What the task counts as wrong."""
    if task is not None and task.wrong_when:
        st.caption(task.wrong_when)


def draw_samples(
    samples: Sequence[SampleContent],
    *,
    task: CatalogEntry | None,
    color: str,
    key: str,
    per_row: int,
    file_name: str,
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
                    # Told from where the network goes on alone; it is judged on the whole.
                    told = f"after the dashed line: {plain(sample.detail)}"
                    st.markdown(" · ".join([*_mark(sample.correct, task), told]))
                    figure = forecast_figure(sample, color=color)
                    said = f"Forecast {place}: {sample.detail}"
                    live_plot(
                        figure, key=f"plot-{key}-{place}", description=said, file_name=f"{file_name}-{place}"
                    )
                else:
                    st.markdown(verdict(sample, task))
                    figure = sequence_figure(sample, color=color)
                    said = f"Sequence {place}: target {sample.target}, prediction {sample.prediction}"
                    live_plot(
                        figure, key=f"plot-{key}-{place}", description=said, file_name=f"{file_name}-{place}"
                    )


def draw_generated(look: Look, found: GeneratedView) -> None:
    """Written text with its guesses, or forecasts, or predictions with the wrong ones first."""
    task = task_entry(look.service, look.run)
    if found.total:
        wrong = found.wrong or 0
        of = "" if found.forecasts or task is None or task.error_unit in WHOLE else " somewhere"
        with st.container(gap=None):
            st.markdown(f"**{wrong:,} of {found.total:,} wrong{of}** ({share(wrong / found.total)}).")
            wrong_words(task)
    if found.text is not None:
        _written(found)
    samples: list[SampleContent] = [*found.forecasts, *found.predictions]
    if samples:
        draw_samples(
            samples,
            task=task,
            color=look.color,
            key="generated",
            per_row=PER_ROW,
            file_name=f"run-{look.run.number}-generated",
        )


def _written(found: GeneratedView) -> None:
    heading(
        "The text",
        "In italics on grey: the prompt. Then what the network wrote: the bluer a symbol, the surer it was. "
        "Point at one to see what else it might have written.",
    )
    apart = between([written.symbol for written in found.written])
    prompt = [found.prompt or ""] if apart else list(found.prompt or "")
    st.html(
        coloured_text(
            [*prompt, *(written.symbol for written in found.written)],
            [*([None] * len(prompt)), *(written.probability for written in found.written)],
            [*(["given"] * len(prompt)), *(_guess_words(written) for written in found.written)],
            apart=apart,
            given=len(prompt),
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
            "probability": None if written.probability is None else 100 * written.probability,
            **{
                f"guess {i + 1}": f"{visible(guess.symbol)}  {share(guess.probability)}"
                for i, guess in enumerate(written.guesses)
            },
        }
        for place, written in enumerate(found.written[:FIRST_SYMBOLS], start=1)
    ]
    order = ["place", "written", "probability", *(f"guess {i + 1}" for i in range(most))]
    st.dataframe(
        rows,
        hide_index=True,
        column_order=order,
        height=320,
        column_config={"probability": st.column_config.NumberColumn("probability", format="%.3g%%")},
    )


def _guess_words(written: WrittenSymbol) -> str:
    others = ", ".join(f"{visible(guess.symbol)} {share(guess.probability)}" for guess in written.guesses)
    return f"{share(written.probability)}; likeliest: {others}"


def draw_rewind(look: Look, found: RewindView) -> None:
    """Both futures of the checkpoint."""
    settings = look.entry.json_schema.get("properties", {})
    changes = "; ".join(
        f"{plain(label_of(name, settings.get(name, {}).get('title')))}: {plain(words)}"
        for name, words in found.changes.items()
    )
    st.markdown(f"Changed: **{changes}**." if changes else "Nothing is changed: choose a setting above.")
    if parting := parting_words(found):
        st.markdown(parting)
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
