"""The loss a run trains on, its validation on other sequences, and its error rate, each beside chance."""

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
from trainer.schema import Chance, Series, percent


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
        others = Curve(name=_validation(chance), color=companion(color), series=validation)
        add_curve(figure, others, uid="validation", markers=True, y_type=y_type)
    if not span:
        nothing_yet(figure, "The first losses appear here as soon as the run starts.")
    name_flags(figure)
    if chance is not None and span:
        for uid, (level, data) in chance_lines(chance).items():
            reference_line(figure, span, level, f"chance in {data} {short(level)}", uid=uid)
    return figure


def chance_lines(chance: Chance) -> dict[str, tuple[float, str]]:
    """Levels of a blind guess's loss by line, each with the data it is of; one line where both are alike."""
    trained = chance.training_loss
    if trained is not None and short(trained) == short(chance.loss):
        return {"chance": (chance.loss, "training and validation")}
    lines = {"chance": (chance.loss, "validation")}
    return lines if trained is None else {"chance-training": (trained, "training"), **lines}


def _validation(chance: Chance | None) -> str:
    """The name of a validation's curve, with what it is measured on."""
    data = "" if chance is None else chance.data
    return f"validation ({data})" if data else "validation"


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
        others = Curve(name=_validation(chance), color=companion(color), series=validation)
        add_curve(figure, others, uid="error", scale=100, markers=True, unit=" %")
    if not span:
        nothing_yet(figure, "The first validation appears here.")
    if chance is not None and chance.error is not None and span:
        words = f"chance in validation {percent(chance.error, 3)}"
        reference_line(figure, span, 100 * chance.error, words, uid="chance")
    return figure
