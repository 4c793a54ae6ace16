"""Lines of metrics: what the loss, gradient and comparison charts are drawn with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from dashboard.charts.smoothing import ema, ema_of_logarithms
from dashboard.charts.style import ALARM, STEP_TITLE, AxisType, faint, plain, rounded
from trainer.schema import Series

XAxis = Literal["step", "seconds", "sequences"]
X_TITLES: dict[XAxis, str] = {
    "step": STEP_TITLE,
    "seconds": "training time (seconds)",
    "sequences": "training sequences seen",
}

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
        smooth: weight of the moving average, 0 for none.
        scale: values are multiplied by this (100 for a share shown in percent).
        y_type: on a log axis the average is taken of the logarithms: that of the values would trail far
            behind a curve which falls by powers of ten.
    """
    across = rounded(x_values(curve.series, x), 7)
    raw: list[float | None] = [None if v is None else v * scale for v in curve.series.value]
    if smooth > 0:
        figure.add_scatter(
            x=across,
            y=rounded(raw),
            mode="lines",
            line={"color": faint(curve.color, 0.28), "width": 1},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=uid,
            uid=f"{uid}-raw",
        )
    figure.add_scatter(
        x=across,
        y=rounded(ema_of_logarithms(raw, smooth) if y_type == "log" else ema(raw, smooth)),
        mode="lines+markers" if markers or len(across) == 1 else "lines",
        name=plain(curve.name),
        line={"color": curve.color, "width": width, "dash": curve.dash},
        marker={"color": curve.color, "size": 6},
        connectgaps=False,
        hovertemplate=f"%{{y:.4g}}{unit}",
        legendgroup=uid,
        uid=uid,
    )
    _add_flags(figure, curve, uid=uid, x=x, scale=scale)


def _add_flags(figure: go.Figure, curve: Curve, *, uid: str, x: XAxis, scale: float) -> None:
    """A cross, with words, where a value was not finite: at the height of the last one that was."""
    if not curve.series.flag:
        return
    across = x_values(curve.series, x)
    last = next((v * scale for v in curve.series.value if v is not None), 1.0)
    places, heights, words, labels = [], [], [], []
    for place, step, value in zip(across, curve.series.step, curve.series.value, strict=True):
        last = last if value is None else value * scale
        if step in curve.series.flag:
            places.append(place)
            heights.append(last)
            words.append(f"{FLAG_WORDS[curve.series.flag[step]]} at step {step:,}")
            labels.append("")
    if words:
        labels[0] = words[0]
    figure.add_scatter(
        x=places,
        y=heights,
        mode="markers+text",
        name=plain(f"{curve.name}: not finite"),
        marker={"color": ALARM, "symbol": "x", "size": 11},
        text=labels,
        # Towards the middle of the plot, where there is room for them.
        textposition="bottom left" if places and places[0] > max(across) / 2 else "bottom right",
        textfont={"color": ALARM},
        customdata=words,
        hovertemplate="%{customdata}",
        legendgroup=uid,
        showlegend=False,
        uid=f"{uid}-flags",
    )
