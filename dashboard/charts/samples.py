"""One input sequence with what it asks: a lane for each channel, the deciding timesteps marked."""

from __future__ import annotations

from itertools import pairwise

import plotly.graph_objects as go

from dashboard.charts.style import GRID, MARK, TIMESTEP_TITLE, base_figure, faint, plain, title
from trainer.schema import Channel, SequenceSample


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
