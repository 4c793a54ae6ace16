"""Jacobians of the state: singular values of one step and of many in a row, Lyapunov exponents."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.charts.style import (
    GREY,
    TIMESTEP_TITLE,
    base_figure,
    for_log_axis,
    line_mode,
    reference_line,
    rounded,
)
from trainer.schema import Spread


def step_figure(spread: Spread, *, begin: int, color: str, of_stretch: bool = False) -> go.Figure:
    """What each single step does to a gradient: singular values by timestep, on a log axis.

    ``of_stretch``: timesteps are counted from where each sequence's own stretch begins.
    """
    title = "timestep of the stretch" if of_stretch else TIMESTEP_TITLE
    figure = base_figure(title, "singular values of one step", height=400, y_type="log")
    figure.update_xaxes(rangemode="normal")
    timesteps = [begin + 1 + t for t in range(len(spread.largest))]
    _add_spread(figure, timesteps, spread, color, positive=True)
    reference_line(figure, timesteps or [1], 1, "1: length kept", uid="level")
    return figure


def product_figure(spread: Spread, *, color: str) -> go.Figure:
    """What many steps in a row do: log10 of the singular values of their product, by lag."""
    figure = base_figure("lag (timesteps back from the last one)", "log₁₀ of the singular values", height=400)
    figure.update_yaxes(rangemode="normal")
    tens = Spread(
        **{
            name: [None if v is None else v / math.log(10) for v in getattr(spread, name)]
            for name in ("largest", "median", "smallest")
        }
    )
    lags = list(range(1, len(spread.largest) + 1))
    _add_spread(figure, lags, tens, color, positive=False)
    reference_line(figure, lags or [1], 0, "0: length kept", uid="level")
    return figure


def exponent_figure(exponents: Sequence[float | None], *, color: str) -> go.Figure:
    """The largest Lyapunov exponents: above 0 small changes grow, below 0 they fade."""
    figure = base_figure(
        "rank (1: what grows most, or fades least)",
        "Lyapunov exponent (natural logarithm, per timestep)",
        height=440,
    )
    figure.update_layout(showlegend=False, hovermode="closest")
    figure.update_xaxes(dtick=1, rangemode="normal")
    figure.update_yaxes(rangemode="tozero")
    figure.add_bar(
        x=list(range(1, len(exponents) + 1)),
        y=rounded(sorted((v for v in exponents if v is not None), reverse=True)),
        marker={"color": color},
        hovertemplate="%{y:.3g}<extra></extra>",
        uid="exponents",
    )
    figure.add_hline(y=0, line={"color": GREY, "width": 1.5})
    return figure


def _add_spread(figure: go.Figure, x: Sequence[int], spread: Spread, color: str, *, positive: bool) -> None:
    for name, dash, width in (("largest", "solid", 2.4), ("median", "dash", 1.6), ("smallest", "dot", 1.6)):
        values: Sequence[float | None] = getattr(spread, name)
        figure.add_scatter(
            x=list(x),
            y=for_log_axis(values) if positive else rounded(values),
            mode=line_mode(values),
            name=name,
            line={"color": color, "dash": dash, "width": width},
            hovertemplate="%{y:.3g}",
            uid=name,
        )
