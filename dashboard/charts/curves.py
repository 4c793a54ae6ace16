"""Lines of metrics: what the loss, gradient and comparison charts are drawn with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from dashboard.charts.lines import as_line, gap_words, said
from dashboard.charts.smoothing import ema, ema_of_logarithms
from dashboard.charts.style import ALARM, STEP_TITLE, AxisType, faint, for_log_axis, plain, rounded
from trainer.schema import Series

XAxis = Literal["step", "seconds", "sequences"]
X_TITLES: dict[XAxis, str] = {
    "step": STEP_TITLE,
    "seconds": "training time (seconds)",
    "sequences": "training sequences seen",
}

FLAGS = "-flags"
"""Ends the uid of the crosses that stand for values which are not finite."""
FLAG_WORDS = {"nan": "not a number (NaN)", "inf": "+infinity", "-inf": "−infinity"}


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One metric of one run, with the name and looks that the run has on every plot."""

    name: str
    color: str
    """``#rrggbb``"""
    series: Series
    dash: str = "solid"


def x_values(series: Series, x: XAxis) -> list[float]:
    """Where a series' points lie on the chosen axis."""
    if x == "seconds":
        return [float(v) for v in series.seconds]
    if x == "sequences":
        return [float(v) for v in series.sequences]
    return [float(v) for v in series.step]


def add_curve(
    figure: go.Figure,
    curve: Curve,
    *,
    uid: str,
    x: XAxis = "step",
    smooth: float = 0.0,
    scale: float = 1.0,
    markers: bool = False,
    width: float = 2.0,
    unit: str = "",
    y_type: AxisType = "linear",
) -> None:
    """Draw a curve; where it is smoothed, the raw values stay visible, faint, behind it.

    Args:
        uid: which curve this is, the same at every update, so that a hidden one stays hidden. Letters, digits
            and hyphens only: Plotly makes a CSS selector of it.
        smooth: weight of the moving average for one update, 0 for none; the pointer finds both values.
        scale: values are multiplied by this (100 for a share shown in percent).
        y_type: of the axis. On a log axis the average is taken of the logarithms: that of the values would
            trail far behind a curve which falls by powers of ten. Zeros are not drawn there: the legend says
            how many there are.
    """
    across = rounded(x_values(curve.series, x), 7)
    raw: list[float | None] = [None if v is None else v * scale for v in curve.series.value]
    drawn, average, gaps = rounded(raw), ema, ""
    if y_type == "log":
        gaps = gap_words(raw, "points", missing=False)
        drawn, average = for_log_axis(raw), ema_of_logarithms
    hover = f"%{{y:.4g}}{unit}"
    if smooth > 0:
        figure.add_scatter(
            x=across,
            y=drawn,
            **as_line(drawn, size=4, color=faint(curve.color, 0.28)),
            line={"color": faint(curve.color, 0.28), "width": 1},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=uid,
            uid=f"{uid}-raw",
        )
        hover = f"measured %{{customdata:.4g}}{unit}, smoothed {hover}"
    figure.add_scatter(
        x=across,
        y=rounded(average(raw, smooth, curve.series.step)),
        customdata=drawn if smooth > 0 else None,
        **as_line(drawn, dots=markers, size=6, color=curve.color),
        name=plain(said(curve.name, gaps)),
        line={"color": curve.color, "width": width, "dash": curve.dash},
        connectgaps=False,
        hovertemplate=hover,
        legendgroup=uid,
        uid=uid,
    )
    _add_flags(figure, curve, drawn, uid=uid, x=x)


def _add_flags(figure: go.Figure, curve: Curve, drawn: Sequence[float | None], *, uid: str, x: XAxis) -> None:
    """A cross where a value was not finite, at the height of the last one that was; see ``name_flags``."""
    last = next((v for v in drawn if v is not None), 1.0)
    places, heights, words = [], [], []
    for place, step, value in zip(x_values(curve.series, x), curve.series.step, drawn, strict=True):
        last = last if value is None else value
        if step in curve.series.flag:
            places.append(place)
            heights.append(last)
            words.append(f"{FLAG_WORDS[curve.series.flag[step]]} at step {step:,}")
    if not words:
        return
    figure.add_scatter(
        x=places,
        y=heights,
        mode="markers",
        name=plain(f"{curve.name}: not finite"),
        marker={"color": ALARM, "symbol": "x", "size": 11},
        text=words,
        hovertemplate="%{text}",
        legendgroup=uid,
        showlegend=False,
        uid=f"{uid}{FLAGS}",
    )


def name_flags(figure: go.Figure) -> None:
    """Write beside the first cross of each curve what happened there; call it when all curves are drawn.

    The words lie inside the plot, whatever the curves: they run towards the wider half of it, at the top, a
    line for each curve.
    """
    crossed = [drawn for drawn in figure.data if (drawn.uid or "").endswith(FLAGS)]
    right = max((at for drawn in figure.data for at in drawn.x or () if at is not None), default=1.0)
    for line, drawn in enumerate(crossed):
        place, words = drawn.x[0], drawn.text[0]
        whose = f"{drawn.name.removesuffix(': not finite')}: " if len(crossed) > 1 else ""
        is_late = place > right / 2
        figure.add_annotation(
            text=f"{whose}{words}",
            x=place,
            xref="x",
            xanchor="right" if is_late else "left",
            xshift=-8 if is_late else 8,
            y=1,
            yref="y domain",
            yanchor="top",
            yshift=-16 * line,
            showarrow=False,
            font={"color": ALARM},
        )
