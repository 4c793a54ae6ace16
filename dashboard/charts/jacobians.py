"""Jacobians of the state: eigenvalues of Ws, singular values of a step and of many in a row, exponents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from dashboard.charts.style import GREY, TIMESTEP_TITLE, base_figure, nothing_yet, rounded
from dashboard.theme import RUN_COLORS
from trainer.schema import SpectrumBlock, Spread

CIRCLE = 120
"""Points that draw the unit circle."""


def eigenvalue_figure(
    now: Mapping[str, Sequence[SpectrumBlock]],
    start: Mapping[str, Sequence[SpectrumBlock]],
    *,
    step: int | None,
) -> go.Figure:
    """Eigenvalues in the complex plane with the unit circle; hollow ones are those of the start."""
    figure = base_figure("real part", "imaginary part", height=440)
    angles = [2 * math.pi * i / CIRCLE for i in range(CIRCLE + 1)]
    figure.add_scatter(
        x=[math.cos(a) for a in angles],
        y=[math.sin(a) for a in angles],
        mode="lines",
        name="unit circle",
        line={"color": GREY, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
        uid="circle",
    )
    place = 0
    for role, blocks in now.items():
        for number, block in enumerate(blocks):
            color = RUN_COLORS[place % len(RUN_COLORS)]
            layer = int(role.partition("/")[2]) + 1
            label = f"layer {layer}" + (f", gate {number + 1}" if len(blocks) > 1 else "")
            uid = f"{role.replace('/', '-')}-{number}"
            before = start.get(role, [])
            if number < len(before):
                _add(figure, before[number], color, f"{label}, before training", f"{uid}-start", hollow=True)
                figure.data[-1].showlegend = False
            when = f" at step {step:,}" if step is not None and place == 0 else ""
            _add(figure, block, color, f"{label}{when}", uid, hollow=False)
            place += 1
    if place:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name="hollow: before training",
            marker={"color": GREY, "symbol": "circle-open", "size": 8},
            uid="hollow",
        )
    else:
        nothing_yet(figure, "This network has no square state-to-state matrix.")
    legend = {"orientation": "v", "x": 1.0, "y": 1, "yanchor": "top"}  # beside a plot that is a square
    figure.update_layout(hovermode="closest", legend=legend)
    figure.update_xaxes(rangemode="normal", constrain="domain")
    figure.update_yaxes(rangemode="normal", scaleanchor="x", constrain="domain")
    return figure


def _add(figure: go.Figure, block: SpectrumBlock, color: str, name: str, uid: str, *, hollow: bool) -> None:
    figure.add_scatter(
        x=rounded(block.real),
        y=rounded(block.imaginary),
        mode="markers",
        name=name,
        marker={"color": color, "size": 6 if hollow else 7, "symbol": "circle-open" if hollow else "circle"},
        opacity=0.45 if hollow else 0.9,
        hovertemplate="%{x:.3f} %{y:+.3f} i<extra></extra>",
        uid=uid,
    )


def step_figure(spread: Spread, *, begin: int, color: str) -> go.Figure:
    """What each single step does to a gradient: singular values by timestep, on a log axis."""
    figure = base_figure(TIMESTEP_TITLE, "singular values of one step", height=400, y_type="log")
    figure.update_xaxes(rangemode="normal")
    timesteps = [begin + 1 + t for t in range(len(spread.largest))]
    _add_spread(figure, timesteps, spread, color, positive=True)
    _level(figure, timesteps, 1, "1: length kept")
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
    _level(figure, lags, 0, "0: length kept")
    return figure


def exponent_figure(exponents: Sequence[float | None], *, color: str) -> go.Figure:
    """The largest Lyapunov exponents: above 0 small changes grow, below 0 they fade."""
    figure = base_figure("direction (the fastest first)", "Lyapunov exponent (nats per timestep)", height=440)
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
            y=rounded([None if v is None or (positive and v <= 0) else v for v in values]),
            mode="lines",
            name=name,
            line={"color": color, "dash": dash, "width": width},
            hovertemplate="%{y:.3g}",
            uid=name,
        )


def _level(figure: go.Figure, x: Sequence[int], y: float, name: str) -> None:
    figure.add_scatter(
        x=[x[0], x[-1]] if x else [],
        y=[y, y] if x else [],
        mode="lines",
        name=name,
        line={"color": GREY, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
        uid="level",
    )
