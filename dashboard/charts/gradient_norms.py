"""Length of the whole gradient at every update, before and after the clip."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from dashboard.charts.curves import Curve, add_curve, name_flags, x_values
from dashboard.charts.style import (
    STEP_TITLE,
    base_figure,
    companion,
    note,
    nothing_yet,
    reference_line,
    short,
)
from dashboard.text import share
from trainer.schema import Series, TrainingConfig


def gradient_norm_figure(
    metrics: Mapping[str, Series],
    *,
    color: str,
    training: TrainingConfig,
    clip_rate: float | None = None,
) -> go.Figure:
    """The gradient's norm before and after clipping, with the threshold where the clip is one of norms.

    ``clip_rate`` is the share of updates that were clipped, 0 to 1: told by the run itself, since the points
    drawn here are a selection.
    """
    figure = base_figure(STEP_TITLE, "gradient norm (L2, all weights)", y_type="log")
    span: list[float] = []
    if before := metrics.get("gradient_norm/before_clip"):
        span = x_values(before, "step")
        add_curve(
            figure,
            Curve(name="before the clip", color=companion(color), series=before),
            uid="before",
            width=1.2,
            y_type="log",
        )
    if (after := metrics.get("gradient_norm/after_clip")) and training.clip is not None:
        clipped = Curve(name="after the clip", color=color, series=after)
        add_curve(figure, clipped, uid="after", width=1.2, y_type="log")
    if not span:
        nothing_yet(figure, "The first gradient norms appear here as soon as the run starts.")
    if training.clip == "norm" and span:
        label = f"threshold {short(training.clip_at)}"
        reference_line(figure, span, training.clip_at, label, uid="threshold")
    name_flags(figure)
    note(figure, clip_words(training, clip_rate))
    return figure


def clip_words(training: TrainingConfig, clip_rate: float | None) -> str:
    """What the clip does and how often it acted, in one line."""
    if training.clip is None:
        return "no clipping"
    rate = "" if clip_rate is None else f"clipped at {share(clip_rate)} of updates"
    if training.clip == "norm":
        return rate or "clipping by norm"
    entries = f"entries cut at ±{short(training.clip_at)}"
    return f"{entries}, {rate}" if rate else entries
