"""The loss a run trains on, its validation on fresh sequences, and its error rate, each beside chance."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from dashboard.charts.curves import Curve, add_curve, name_flags, x_values
from dashboard.charts.lines import said
from dashboard.charts.smoothing import smoothing_words
from dashboard.charts.style import (
    STEP_TITLE,
    AxisType,
    base_figure,
    companion,
    nothing_yet,
    reference_line,
    short,
)
from trainer.schema import Chance, Series


def loss_figure(
    metrics: Mapping[str, Series],
    *,
    color: str,
    loss_unit: str = "",
    chance: Chance | None = None,
    y_type: AxisType = "linear",
    smooth: float = 0.0,
) -> go.Figure:
    """``loss`` and ``validation/loss`` over training, with the chance level."""
    title = f"loss ({loss_unit})" if loss_unit else "loss (the task's own unit)"
    figure = base_figure(STEP_TITLE, title, y_type=y_type)
    span: list[float] = []
    if training := metrics.get("loss"):
        span += x_values(training, "step")
        name = said("training", smoothing_words(smooth))
        curve = Curve(name=name, color=color, series=training)
        add_curve(figure, curve, uid="training", smooth=smooth, y_type=y_type)
    if validation := metrics.get("validation/loss"):
        span += x_values(validation, "step")
        fresh = Curve(name="validation (fresh sequences)", color=companion(color), series=validation)
        add_curve(figure, fresh, uid="validation", markers=True, y_type=y_type)
    if not span:
        nothing_yet(figure, "The first losses appear here as soon as the run starts.")
    name_flags(figure)
    if chance is not None and span:
        reference_line(figure, span, chance.loss, f"chance {short(chance.loss)}", uid="chance")
    return figure


def error_figure(
    metrics: Mapping[str, Series], *, color: str, error_unit: str = "", chance: Chance | None = None
) -> go.Figure:
    """Share of wrong units at each validation (``validation/error``), in percent, with the chance level."""
    unit = error_unit or "wrong answers"
    figure = base_figure(STEP_TITLE, f"{unit} (%)")
    validation = metrics.get("validation/error")
    # As wide as the plot of the losses beside it.
    span = [
        at for key in ("loss", "validation/error") if key in metrics for at in x_values(metrics[key], "step")
    ]
    if validation:
        fresh = Curve(name="validation (fresh sequences)", color=companion(color), series=validation)
        add_curve(figure, fresh, uid="error", scale=100, markers=True, unit=" %")
    if not span:
        nothing_yet(figure, "The first validation appears here.")
    if chance is not None and chance.error is not None and span:
        percent = 100 * chance.error
        reference_line(figure, span, percent, f"chance {short(percent)} %", uid="chance")
    return figure
