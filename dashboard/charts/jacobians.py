"""Jacobians of the state: singular values of one step and of many in a row, Lyapunov exponents."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.charts.lines import as_line
from dashboard.charts.style import (
    GREY,
    TIMESTEP_TITLE,
    base_figure,
    for_log_axis,
    reference_line,
    rounded,
    short,
)
from trainer.schema import Exponents, Spread


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


def exponent_figure(found: Exponents, *, color: str) -> go.Figure:
    """The largest Lyapunov exponents, with bars from the lowest to the highest start.

    Above 0 small changes grow, below 0 they fade; one that is −∞ is written at the bottom.
    """
    figure = base_figure(
        "rank (1: what grows most, or fades least)",
        "Lyapunov exponent (natural logarithm, per timestep)",
        height=440,
    )
    figure.update_layout(showlegend=False, hovermode="closest")
    figure.update_xaxes(dtick=1, range=[0.4, len(found.mean) + 0.6])
    figure.update_yaxes(rangemode="tozero")
    ranks = [rank for rank, value in enumerate(found.mean, start=1) if value is not None]
    values = [value for value in found.mean if value is not None]
    lowest, highest = ([end[rank - 1] or 0.0 for rank in ranks] for end in (found.lowest, found.highest))
    figure.add_scatter(
        x=ranks,
        y=rounded(values),
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [high - value for high, value in zip(highest, values, strict=True)],
            "arrayminus": [value - low for low, value in zip(lowest, values, strict=True)],
            "color": color,
        },
        mode="markers",
        marker={"color": color, "size": 9},
        customdata=[[short(low), short(high)] for low, high in zip(lowest, highest, strict=True)],
        hovertemplate="%{y:.3g}; starts from %{customdata[0]} to %{customdata[1]}<extra></extra>",
        uid="exponents",
    )
    for rank, value in enumerate(found.mean, start=1):
        if value is None:
            figure.add_annotation(x=rank, y=0, yref="paper", yanchor="bottom", text="−∞", showarrow=False)
    figure.add_hline(y=0, line={"color": GREY, "width": 1.5})
    return figure


def exponent_words(found: Exponents | None) -> str:
    """What was measured, how well it is known, and what it says: of a window, and of no more than that."""
    if found is None:
        return (
            "The state of this network grows beyond all numbers before exponents can be measured: "
            "small changes of it may grow as well."
        )
    how = (
        "Rates at which small changes of the state grow (above 0) or fade (below 0), measured over a window "
        f"of {found.timesteps:,} timesteps, after {found.warm_up:,} that do not count: fresh sequences one "
        f"after another, the state never reset. Bars: lowest to highest of {found.starts} starts."
    )
    if all(value is None for value in found.mean):
        return f"{how} All are −∞: no small change of the state is left after some timesteps."
    first = found.mean[0]
    half = [
        (high - low) / 2
        for low, high in zip(found.lowest, found.highest, strict=True)
        if low is not None and high is not None
    ]
    known = (
        "They have settled, to 5% or 0.002 per timestep."
        if found.has_settled
        else f"**They have not settled**: starts differ by up to ±{short(max(half, default=None))}, so take "
        "them as those of this window and not of the long run."
    )
    largest = "" if first is None else f" The largest is {short(first)} ± {short(half[0])}."
    lost = sum(count > 0 for count in found.wiped_out)
    wiped = (
        f" {lost} of these {len(found.mean)} are −∞: nothing of a change in such a direction can be told "
        "from rounding."
        if lost
        else ""
    )
    return f"{how} {known}{largest}{wiped}"


def hidden_words(spread: Spread) -> str:
    """Says which singular values of a step a log axis cannot show; empty where it shows all."""
    gone = [
        name
        for name in ("largest", "median", "smallest")
        if spread.largest and all(value is None for value in getattr(spread, name))
    ]
    if not gone:
        return ""
    return f" Not drawn, as 0 or not to be told from it: the {' and the '.join(gone)}."


def _add_spread(figure: go.Figure, x: Sequence[int], spread: Spread, color: str, *, positive: bool) -> None:
    for name, dash, width in (("largest", "solid", 2.4), ("median", "dash", 1.6), ("smallest", "dot", 1.6)):
        values = for_log_axis(getattr(spread, name)) if positive else rounded(getattr(spread, name))
        figure.add_scatter(
            x=list(x),
            y=values,
            **as_line(values, color=color),
            name=name,
            line={"color": color, "dash": dash, "width": width},
            hovertemplate="%{y:.3g}",
            uid=name,
        )
