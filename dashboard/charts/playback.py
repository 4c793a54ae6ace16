"""The gradient through time, played over training: the heatmap, and beside it the curve at one recording.

The figure carries a frame for each recording, so that the browser plays them without asking anybody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from dashboard.charts.lines import as_line, said
from dashboard.charts.logs import AXIS_DECADES, log_range
from dashboard.charts.relative import Shown, shown
from dashboard.charts.style import (
    GREY,
    GRID,
    STEP_TITLE,
    TIMESTEP_TITLE,
    base_figure,
    mark_informative,
    nothing_yet,
    rounded,
    short,
    title,
)
from dashboard.charts.time_gradients import heatmap, norm_title, vector_line
from trainer.schema import DecaySeries, VectorSeries

HEIGHT = 500
FRAME_SECONDS = 0.12
"""How long each recording stands while it is played."""
DRAWN_DECADES = 16
"""Powers of ten below the largest norm that the curves' axis shows."""
BUTTONS = 130
"""Pixels beside the slider for what plays it."""
LEFT, RIGHT = (0.0, 0.46), (0.62, 1.0)
"""Where the heatmap and the curve stand, as shares of the width."""


def playback_figure(
    vectors: VectorSeries,
    *,
    name: str,
    color: str,
    fits: DecaySeries | None = None,
    informative: Mapping[int, int] | Sequence[int] = (),
    is_relative: bool = False,
) -> go.Figure:
    """Left: training across, timesteps up, colour log10 of the norm. Right: the norms at one recording.

    Args:
        vectors: what was recorded; norms by timestep.
        name: of the quantity, ``h/0``.
        color: of the curve.
        fits: exponentials fitted to the recordings; drawn where there is one for the recording's step.
        informative: timesteps, from 0, whose inputs decide the target, as ``mark_informative`` takes them.
        is_relative: divides each recording by its norm at the last timestep.
    """
    figure = base_figure(STEP_TITLE, TIMESTEP_TITLE, height=HEIGHT)
    if not any(vectors.norms):
        nothing_yet(figure, "The first recording of the gradient through time appears here.")
        return figure
    figure.add_trace(heatmap(vectors, name=name, is_relative=is_relative).data[0])
    figure.data[0].colorbar.update(x=LEFT[1] + 0.005, len=1.0, thickness=12)
    recordings = [shown(row, is_relative=is_relative) for row in vectors.norms]
    length = max(map(len, vectors.norms))
    _lay_out(figure, recordings, norm_title(name, is_relative=is_relative), length)
    frames = [
        _frame(vectors, place, found, fits, color, length, is_relative=is_relative)
        for place, found in enumerate(recordings)
    ]
    for trace in frames[-1].data:
        figure.add_trace(trace)
    mark_informative(figure, informative, plot="2")  # after the traces that frames count on
    figure.frames = frames
    add_controls(figure, vectors.steps)
    return figure


def decay_words(fits: DecaySeries | None, step: int) -> str:
    """``halves every 3.1 timesteps back (R² 0.98)``; empty where nothing was fitted at this step."""
    if fits is None or step not in fits.steps:
        return ""
    return fits.words[fits.steps.index(step)]


def _unfitted(fits: DecaySeries | None, step: int) -> str:
    """Why the legend has no words of a decay."""
    if fits is None or step not in fits.steps:
        return "no fit for this recording yet"
    return "no fit: too few norms are finite and above 0"


def has_pace(fits: DecaySeries) -> bool:
    """Whether any recording fades, or grows, evenly enough to say by how much a timestep."""
    return any(factor is not None for factor in fits.factor)


def fit_line(norms: Sequence[float | None], factor: float | None) -> list[float | None]:
    """The exponential with this factor per step back that is nearest to the norms: through their centroid.

    Args:
        norms: by timestep, of those that were fitted.
        factor: None draws nothing.
    """
    points = [(t, math.log(v)) for t, v in enumerate(norms) if v is not None and math.isfinite(v) and v > 0]
    if factor is None or factor <= 0 or len(points) < 2:
        return []
    slope = -math.log(factor)
    centre = sum(t for t, _ in points) / len(points)
    height = sum(log for _, log in points) / len(points)
    return [_exp(height + slope * (t - centre)) for t in range(len(norms))]


def _exp(exponent: float) -> float | None:
    return math.exp(exponent) if exponent < 700 else None


def _lay_out(figure: go.Figure, recordings: Sequence[Shown], y_title: str, length: int) -> None:
    positive = [math.log10(v) for found in recordings for v in found.values if v is not None and v > 0]
    _, top = log_range(v for found in recordings for v in found.values)
    low = min([top - AXIS_DECADES, *positive])
    axis = {"gridcolor": GRID, "zeroline": False, "ticks": "outside", "tickcolor": GRID, "ticklen": 4}
    figure.update_layout(
        hovermode="closest",
        margin={"b": 132, "r": 16},
        legend={"x": RIGHT[0] - 0.02},
        xaxis={"domain": list(LEFT), "rangemode": "normal"},
        xaxis2=axis
        | {
            "domain": list(RIGHT),
            "anchor": "y2",
            "title": title(TIMESTEP_TITLE),
            "range": [0.5, length + 0.5],
            "linecolor": GRID,
        },
        yaxis2=axis
        | {
            "anchor": "x2",
            "type": "log",
            "title": title(y_title),
            "uirevision": y_title,
            "nticks": 6,
            "exponentformat": "power",
            # One range for all recordings, or the playing curve would seem to stand still.
            "range": [max(low, top - DRAWN_DECADES) - 0.3, top + 0.3],
            "linecolor": GRID,
        },
    )


def _frame(
    vectors: VectorSeries,
    place: int,
    found: Shown,
    fits: DecaySeries | None,
    color: str,
    length: int,
    *,
    is_relative: bool,
) -> go.Frame:
    step, row = vectors.steps[place], found.values
    words = decay_words(fits, step)
    factor = fits.factor[fits.steps.index(step)] if fits is not None and words else None
    # Without a line a point that is nowhere: Plotly tells no words of a trace without any.
    line = fit_line(row if fits is None else row[: fits.last + 1], factor) or [None]
    timesteps = list(range(1, len(row) + 1))
    return go.Frame(
        name=str(step),
        traces=[1, 2, 3],
        data=[
            go.Scatter(
                x=[step, step],
                y=[0.5, length + 0.5],
                mode="lines",
                line={"color": "#ffffff", "width": 2},
                hoverinfo="skip",
                showlegend=False,
                uid="now",
            ),
            vector_line(
                vectors.norms[place],
                name=said(f"step {step:,}", found.words),
                color=color,
                uid="chosen",
                is_relative=is_relative,
                width=2.2,
                xaxis="x2",
                yaxis="y2",
            ).update(hovertemplate="timestep %{x}: %{customdata}<extra></extra>"),
            go.Scatter(
                x=timesteps[: len(line)],
                y=rounded(line),
                xaxis="x2",
                yaxis="y2",
                mode="lines",
                name=words or _unfitted(fits, step),
                showlegend=fits is not None,
                line={"color": GREY, "width": 1.5, "dash": "dash"},
                hoverinfo="skip",
                uid="fit",
            ),
        ],
    )


def add_controls(figure: go.Figure, steps: Sequence[int]) -> None:
    """A slider over the figure's frames, which are named by their steps, and buttons that play them."""

    def moves(seconds: float) -> Mapping[str, object]:
        return {
            "mode": "immediate",
            "fromcurrent": True,
            "transition": {"duration": 0},
            "frame": {"duration": 1000 * seconds, "redraw": True},
        }

    figure.update_layout(
        sliders=[
            {
                "active": len(steps) - 1,
                "x": 0,
                "len": 1,
                "y": -0.24,
                "yanchor": "top",
                "pad": {"l": BUTTONS, "t": 0, "b": 0},
                "currentvalue": {"prefix": "step ", "xanchor": "left", "font": {"size": 13}},
                "bgcolor": GRID,
                "activebgcolor": GREY,
                "bordercolor": "rgba(0,0,0,0)",
                "tickcolor": GRID,
                "steps": [
                    {"label": f"{step:,}", "method": "animate", "args": [[str(step)], moves(0)]}
                    for step in steps
                ],
            }
        ],
        updatemenus=[
            {
                "type": "buttons",
                "direction": "right",
                "showactive": False,
                "x": 0,
                "xanchor": "left",
                "y": -0.27,
                "yanchor": "top",
                "bgcolor": "rgba(0,0,0,0)",
                "bordercolor": GREY,
                "buttons": [
                    {"label": "▶ Play", "method": "animate", "args": [None, moves(FRAME_SECONDS)]},
                    {"label": "❚❚", "method": "animate", "args": [[None], moves(0)]},
                ],
            }
        ],
    )


def factor_figure(fits: Mapping[str, DecaySeries], colors: Sequence[str], names: Sequence[str]) -> go.Figure:
    """What one timestep back multiplies the norm by, over training; 1 keeps it.

    Args:
        fits: one line each.
        colors: of the lines, in the same order.
        names: in the legend, in the same order.
    """
    figure = base_figure(STEP_TITLE, "factor per timestep back", height=280)
    figure.update_yaxes(rangemode="normal")
    for (uid, fit), color, label in zip(fits.items(), colors, names, strict=True):
        figure.add_scatter(
            x=fit.steps,
            y=rounded(fit.factor),
            **as_line(fit.factor, dots=len(fit.steps) < 30, size=6, color=color),
            name=label,
            line={"color": color, "width": 2},
            customdata=[[short(r)] for r in fit.r_squared],
            hovertemplate="%{y:.4g} (R² %{customdata[0]})",
            uid=uid,
        )
    steps = [step for fit in fits.values() for step in fit.steps]
    if steps:
        figure.add_scatter(
            x=[min(steps), max(steps)],
            y=[1, 1],
            mode="lines",
            name="1 keeps the gradient",
            line={"color": GREY, "dash": "dash", "width": 1.5},
            hoverinfo="skip",
            uid="one",
        )
    else:
        nothing_yet(figure, "Nothing was recorded that a line could be fitted to.")
    return figure
