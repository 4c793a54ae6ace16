"""Gates and states of one sequence: heatmaps under its tokens, one unit's track, and who is saturated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import plotly.graph_objects as go

from dashboard.charts.style import GREY, GRID, TIMESTEP_TITLE, base_figure, nothing_yet, plain, rounded, title
from dashboard.theme import RUN_COLORS, Dash
from trainer.schema import Channel, SaturationShares

LANE = 150
"""Pixels of one heatmap."""
GAP = 0.045
"""Between two of them, as a share of the plot's height."""
MOST_TOKENS = 60
"""More symbols than these do not fit side by side: then timesteps are numbered instead."""
GATE_WORDS = {
    "i": "input gate i (lets in)",
    "f": "forget gate f (keeps)",
    "o": "output gate o (passes on)",
    "g": "candidate g (what is offered)",
    "r": "reset gate r",
    "z": "update gate z",
    "n": "candidate n (what is offered)",
}

Rows = Sequence[Sequence[float | None]]
"""Rows are timesteps, columns units."""


def gate_title(name: str) -> str:
    """``f/0`` in words: ``forget gate f (keeps), layer 1``."""
    letter, _, layer = name.partition("/")
    words = GATE_WORDS.get(letter, f"gate {letter}")
    return f"{words}, layer {int(layer) + 1}" if layer.isdigit() else words


def tokens_of(channels: Sequence[Channel]) -> list[str] | None:
    """The symbols that were read, where the sequence has any."""
    for channel in channels:
        if channel.values and isinstance(channel.values[0], str):
            return [str(value) for value in channel.values]
    return None


def heatmaps(
    lanes: Mapping[str, Rows],
    *,
    begin: int,
    titles: Mapping[str, str],
    tokens: Sequence[str] | None = None,
    unit: int | None = None,
) -> go.Figure:
    """One heatmap above the other, on one time axis: timesteps across, units down.

    Args:
        lanes: gates, 0 to 1, and states, which may be negative.
        begin: the timestep, from 0, that row 0 stands for.
        titles: of the lanes.
        tokens: what was read, from the sequence's first timestep on.
        unit: drawn with a frame around it.
    """
    count = max(1, len(lanes))
    figure = base_figure(TIMESTEP_TITLE, "", height=120 + LANE * count)
    figure.update_layout(hovermode="closest", showlegend=False, margin={"l": 64, "t": 30, "r": 90})
    if not lanes:
        nothing_yet(figure, "Choose what to show above.")
        return figure
    edges = [i / count for i in range(count + 1)]
    for place, ((name, rows), (low, high)) in enumerate(
        zip(lanes.items(), reversed(list(pairwise(edges))), strict=True)
    ):
        axis = "y" if place == 0 else f"y{place + 1}"
        top = high - GAP
        figure.update_layout(
            {
                f"yaxis{axis[1:]}": {
                    "domain": [low, top],
                    "title": title("unit"),
                    "anchor": "x",
                    "autorange": "reversed",
                    "gridcolor": GRID,
                    "zeroline": False,
                    "nticks": 4,
                    "tickfont": {"size": 12},
                }
            }
        )
        figure.add_annotation(
            text=plain(titles[name]),
            xref="paper",
            yref="paper",
            x=0,
            y=top,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 13},
        )
        read = [visible(token) for token in (tokens or [])[begin : begin + len(rows)]]
        _add_lane(figure, name, rows, begin, axis, (low, top), read)
        if unit is not None:
            figure.add_shape(
                type="rect",
                xref="paper",
                yref=axis,
                x0=0,
                x1=1,
                y0=unit - 0.5,
                y1=unit + 0.5,
                line={"color": GREY, "width": 1.5},
            )
    length = max(len(rows) for rows in lanes.values())
    last = "y" if count == 1 else f"y{count}"
    figure.update_xaxes(anchor=last, range=[begin + 0.5, begin + length + 0.5], rangemode="normal")
    shown = tokens[begin : begin + length] if tokens is not None else []
    if shown and len(shown) <= MOST_TOKENS:
        figure.update_xaxes(
            title=title("what was read, timestep by timestep"),
            tickmode="array",
            tickvals=[begin + 1 + t for t in range(len(shown))],
            ticktext=[plain(visible(token)) for token in shown],
            tickangle=0,
        )
    return figure


def visible(token: str) -> str:
    """A space or a line's end as something that can be seen."""
    return {" ": "␣", "\n": "↵", "\t": "⇥"}.get(token, token)


def _add_lane(
    figure: go.Figure,
    name: str,
    rows: Rows,
    begin: int,
    axis: str,
    domain: tuple[float, float],
    read: Sequence[str],
) -> None:
    values = [v for row in rows for v in row if v is not None]
    signed = any(v < 0 for v in values)
    largest = max((abs(v) for v in values), default=1.0) or 1.0
    units = max(map(len, rows), default=0)
    figure.add_heatmap(
        x=[begin + 1 + t for t in range(len(rows))],
        y=list(range(units)),
        z=[rounded([row[u] for row in rows], 3) for u in range(units)],
        yaxis=axis,
        # Red and blue around white for what may be negative; dark to light for what goes from 0 on.
        colorscale="RdBu" if signed else "Viridis",
        zmin=-largest if signed else 0,
        zmax=largest if signed else max(1.0, largest),
        text=[[plain(token) for token in read]] * units if read else None,
        hovertemplate=f"{plain(name)}, unit %{{y}}, timestep %{{x}} %{{text}}: %{{z:.3g}}<extra></extra>"
        if read
        else f"{plain(name)}, unit %{{y}}, timestep %{{x}}: %{{z:.3g}}<extra></extra>",
        colorbar={
            "thickness": 10,
            "outlinewidth": 0,
            "y": sum(domain) / 2,
            "len": domain[1] - domain[0],
            "nticks": 4,
            "tickfont": {"size": 11},
        },
        uid=name.replace("/", "-"),
    )


def track_figure(
    tracks: Mapping[str, tuple[str, Dash, Sequence[float | None]]],
    *,
    begin: int,
    tokens: Sequence[str] | None = None,
    informative: Sequence[int] = (),
) -> go.Figure:
    """One unit over the sequence: a line for each of its gates and states.

    Args:
        tracks: by name: colour, line style, and a value for each timestep.
        begin: the timestep, from 0, of the first value.
        tokens: what was read, from the sequence's first timestep on.
        informative: timesteps, from 0, whose inputs decide the target.
    """
    figure = base_figure(TIMESTEP_TITLE, "value of the unit", height=340)
    figure.update_yaxes(rangemode="normal")
    figure.update_xaxes(rangemode="normal")
    for name, (color, dash, values) in tracks.items():
        shown = [visible(t) for t in tokens[begin : begin + len(values)]] if tokens else [""] * len(values)
        figure.add_scatter(
            x=[begin + 1 + t for t in range(len(values))],
            y=rounded(values),
            mode="lines",
            name=plain(name),
            line={"color": color, "width": 2, "dash": dash},
            customdata=[[plain(token)] for token in shown],
            hovertemplate="%{y:.3g} %{customdata[0]}",
            uid="".join(c if c.isalnum() else "-" for c in name),
        )
    for t in informative:
        figure.add_vline(x=t + 1, line={"color": GREY, "width": 1, "dash": "dot"}, layer="below")
    return figure


def saturation_figure(shares: Mapping[str, SaturationShares]) -> go.Figure:
    """Each unit of each gate by the shares of the time it is open and shut (Karpathy, Johnson & Li 2015)."""
    figure = base_figure("share of the time open or high (above 0.9)", "shut or low (below 0.1)", height=400)
    for place, (name, share) in enumerate(shares.items()):
        figure.add_scatter(
            x=rounded(share.high, 3),
            y=rounded(share.low, 3),
            mode="markers",
            name=plain(gate_title(name)),
            marker={"color": RUN_COLORS[place % len(RUN_COLORS)], "size": 9, "opacity": 0.65},
            customdata=[[unit] for unit in range(len(share.high))],
            hovertemplate="unit %{customdata[0]}: open %{x:.0%}, shut %{y:.0%}",
            uid=name.replace("/", "-"),
        )
    figure.add_scatter(
        x=[0, 1],
        y=[1, 0],
        mode="lines",
        name="always at one of its ends",
        line={"color": GREY, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
        uid="ends",
    )
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(range=[-0.04, 1.04], tickformat=".0%", hoverformat=".0%")
    figure.update_yaxes(range=[-0.04, 1.04], tickformat=".0%")
    return figure
