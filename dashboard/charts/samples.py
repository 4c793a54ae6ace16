"""Samples drawn: an input sequence with a lane for each channel, and a series beside its forecasts."""

from __future__ import annotations

from itertools import pairwise

import plotly.graph_objects as go

from dashboard.charts.lines import as_line
from dashboard.charts.style import (
    GREY,
    GRID,
    MARK,
    TIMESTEP_TITLE,
    base_figure,
    companion,
    faint,
    plain,
    rounded,
    title,
)
from trainer.schema import Channel, ForecastSample, SequenceSample

ROOM = 0.5
"""How far a forecast may leave the true values' range and still be seen, as a share of that range."""


def sequence_figure(sample: SequenceSample, *, color: str) -> go.Figure:
    """The input channels of ``sample`` over its timesteps; shaded where the input decides the target."""
    lanes = max(1, len(sample.channels))
    figure = base_figure(TIMESTEP_TITLE, "", height=100 + 110 * lanes)
    figure.update_layout(hovermode="x unified", showlegend=False, margin={"t": 26, "l": 84})
    length = max((len(channel.values) for channel in sample.channels), default=1)
    last = "y" if lanes == 1 else f"y{lanes}"
    figure.update_xaxes(range=[0.4, length + 0.6], rangemode="normal", anchor=last)
    edges = [i / lanes for i in range(lanes + 1)]
    for index, (channel, (low, high)) in enumerate(
        zip(sample.channels, reversed(list(pairwise(edges))), strict=False)
    ):
        axis = "y" if index == 0 else f"y{index + 1}"
        margin = 0.0 if lanes == 1 else 0.03
        figure.update_layout(
            {
                "yaxis" + axis[1:]: {
                    "domain": [low + margin, high - margin],
                    "title": title(plain(channel.name)),
                    "gridcolor": GRID,
                    "zeroline": False,
                    "anchor": "x",
                    "nticks": 3,
                    "fixedrange": True,
                    "tickfont": {"size": 12},
                }
            }
        )
        _add_channel(figure, channel, axis=axis, color=color, uid=f"channel-{index}")
    for t in sample.informative:
        figure.add_shape(
            type="rect",
            x0=t + 0.5,
            x1=t + 1.5,
            y0=0,
            y1=1,
            yref="paper",
            fillcolor=faint(MARK, 0.4),
            line_width=0,
            layer="below",
        )
    return figure


def _add_channel(figure: go.Figure, channel: Channel, *, axis: str, color: str, uid: str) -> None:
    timesteps = list(range(1, len(channel.values) + 1))
    if channel.values and isinstance(channel.values[0], str):
        symbols = [plain(str(v)) for v in channel.values]
        figure.add_scatter(
            x=timesteps,
            y=symbols,
            yaxis=axis,
            mode="markers",
            marker={"color": color, "size": 8, "symbol": "square"},
            hovertemplate="%{y}<extra></extra>",
            uid=uid,
        )
        figure.update_layout(
            {"yaxis" + axis[1:]: {"type": "category", "categoryorder": "category descending", "dtick": 1}}
        )
        return
    figure.add_bar(
        x=timesteps,
        y=[round(float(v), 4) for v in channel.values],
        yaxis=axis,
        marker={"color": color},
        hovertemplate=f"{plain(channel.name)} %{{y:.3g}}<extra></extra>",
        uid=uid,
    )


def forecast_figure(sample: ForecastSample, *, color: str) -> go.Figure:
    """The true values, each forecast one timestep ahead, and the network going on alone.

    The axis keeps to the true values: a network that runs away alone leaves the plot.
    """
    figure = base_figure(TIMESTEP_TITLE, plain(sample.name), height=300)
    timesteps = list(range(1, len(sample.truth) + 1))
    low, high = min(sample.truth, default=0.0), max(sample.truth, default=1.0)
    room = ROOM * ((high - low) or 1.0)
    figure.update_xaxes(range=[0.4, len(timesteps) + 0.6], rangemode="normal")
    figure.update_yaxes(range=[low - room, high + room], rangemode="normal")
    # What was made last lies on top, but the truth must stay visible beneath a perfect forecast.
    for uid, name, values, line in (
        ("truth", "true", sample.truth, {"color": GREY, "width": 5}),
        ("ahead", "one ahead", sample.one_ahead, {"color": color, "width": 1.6}),
        ("alone", "alone", sample.alone, {"color": companion(color), "width": 2.2, "dash": "dot"}),
    ):
        figure.add_scatter(
            x=timesteps,
            y=rounded(values),
            **as_line(values),
            name=name,
            line=line,
            opacity=0.5 if uid == "truth" else 1.0,
            hovertemplate="%{y:.3g}",
            uid=uid,
        )
    figure.add_vline(x=sample.given + 0.5, line={"color": GREY, "width": 1, "dash": "dash"})
    return figure
