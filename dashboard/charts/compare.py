"""Many runs on one plot: any metric over training, and the gradient through time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard.charts.curves import X_TITLES, Curve, XAxis, add_curve, name_flags, x_values
from dashboard.charts.lines import said
from dashboard.charts.relative import shown
from dashboard.charts.smoothing import smoothing_words
from dashboard.charts.style import (
    TIMESTEP_TITLE,
    AxisType,
    base_figure,
    mark_informative,
    nothing_yet,
    reference_line,
    short,
)
from dashboard.charts.time_gradients import keep_even, norm_title, vector_line
from trainer.schema import Chance, VectorSeries, percent


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric as the reader meets it."""

    title: str
    """Axis title without the unit."""
    unit: str
    scale: float = 1.0
    """What stored values are multiplied with to be in that unit."""
    log: bool = False
    """Whether a log axis suits it."""
    sparse: bool = False
    """Few points, so each gets a marker."""


METRICS: dict[str, Metric] = {
    "loss": Metric(title="training loss", unit="", log=True),
    "validation/loss": Metric(title="validation loss", unit="", log=True, sparse=True),
    "validation/error": Metric(title="validation error", unit="%", scale=100, sparse=True),
    "gradient_norm/before_clip": Metric(title="gradient norm before the clip", unit="L2", log=True),
    "gradient_norm/after_clip": Metric(title="gradient norm after the clip", unit="L2", log=True),
    "learning_rate": Metric(title="learning rate", unit="at each update", log=True),
    "omega": Metric(title="Ω", unit="0: the gradient keeps its length", log=True),
    "steps_per_second": Metric(title="speed", unit="updates per second"),
    "sequences_per_second": Metric(title="speed", unit="sequences per second"),
}


def metric_title(key: str, loss_units: Sequence[str] = ()) -> str:
    """The axis title of a metric with its unit; losses take the unit of the runs' tasks, where they agree."""
    metric = METRICS[key]
    unit = metric.unit
    if not unit:
        units = sorted({u for u in loss_units if u})
        unit = units[0] if len(units) == 1 else "each task's own unit"
    return f"{metric.title} ({unit})"


def metric_figure(
    curves: Mapping[str, Curve],
    *,
    metric: str,
    x: XAxis = "step",
    smooth: float = 0.0,
    y_type: AxisType = "linear",
    loss_units: Sequence[str] = (),
    chances: Sequence[Chance] = (),
) -> go.Figure:
    """One metric of every run, by run id, in the order given; the chance level where all runs share one."""
    about = METRICS[metric]
    title = ", ".join(filter(None, (metric_title(metric, loss_units), smoothing_words(smooth))))
    figure = base_figure(X_TITLES[x], title, height=440, y_type=y_type, x_revision=x)
    figure.update_yaxes(uirevision=f"{metric} {y_type}")
    for uid, curve in curves.items():
        add_curve(
            figure,
            curve,
            uid=uid,
            x=x,
            smooth=smooth,
            scale=about.scale,
            markers=about.sparse,
            y_type=y_type,
        )
    span = [v for curve in curves.values() for v in x_values(curve.series, x)]
    if not span:
        nothing_yet(figure, "No run here has recorded this metric yet.")
    name_flags(figure)
    level, data = _shared_chance(chances, metric)
    if level is not None and span:
        told = percent(level, 3) if about.unit == "%" else short(level)
        reference_line(figure, span, level * about.scale, f"chance in {data} {told}", uid="chance")
    return figure


@dataclass(frozen=True, kw_only=True)
class GradientCurve:
    """One per-timestep quantity of one run."""

    name: str
    color: str
    vectors: VectorSeries
    dash: str = "solid"


def time_gradient_figure(
    curves: Mapping[str, GradientCurve],
    *,
    quantity: str,
    is_relative: bool = False,
    informative: Mapping[int, int] | Sequence[int] = (),
) -> go.Figure:
    """The gradient's norm at each timestep at every run's last recording; the legend tells of its gaps.

    Args:
        curves: by run id.
        quantity: whose gradient, ``h/0``.
        is_relative: divides each run's norms by that at its last timestep.
        informative: timesteps, from 0, whose inputs decide the target, where they are the same for all runs.
    """
    title = norm_title(quantity, is_relative=is_relative)
    figure = base_figure(TIMESTEP_TITLE, title, height=400, y_type="log")
    figure.update_layout(yaxis={"uirevision": title})
    figure.update_xaxes(rangemode="normal")
    for uid, curve in curves.items():
        if not curve.vectors.steps:
            continue
        norms = curve.vectors.norms[-1]
        name = f"{curve.name}, step {curve.vectors.steps[-1]:,}"
        figure.add_trace(
            vector_line(
                norms,
                name=said(name, shown(norms, is_relative=is_relative).words),
                color=curve.color,
                dash=curve.dash,
                uid=uid,
                is_relative=is_relative,
            )
        )
    if not figure.data:
        nothing_yet(figure, "No run here has recorded this quantity yet.")
        return figure
    mark_informative(figure, informative)
    keep_even(figure)
    return figure


def _shared_chance(chances: Sequence[Chance], metric: str) -> tuple[float | None, str]:
    """The chance level of ``metric`` if every run has the same, else None: no single line would be true; and
    the data that it is of."""
    data, levels = "validation", set[float | None]()
    if metric == "validation/error":
        levels = {c.error for c in chances}
    elif metric == "loss" and any(c.training_loss is not None for c in chances):
        data, levels = "training", {c.training_loss for c in chances}
    elif metric in ("loss", "validation/loss"):  # earlier versions told of no other loss
        levels = {c.loss for c in chances}
    return (levels.pop() if len(levels) == 1 else None), data
