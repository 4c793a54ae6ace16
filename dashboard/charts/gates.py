"""Gates and states of one sequence: heatmaps under its tokens, one unit's track, and who is saturated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

import plotly.graph_objects as go

from dashboard.charts.lines import as_line
from dashboard.charts.style import (
    COOL,
    GREY,
    GRID,
    TIMESTEP_TITLE,
    WARM,
    base_figure,
    faint,
    mark_informative,
    nothing_yet,
    plain,
    rounded,
    title,
    with_layer,
)
from dashboard.charts.time_gradients import quantity_title
from dashboard.theme import RUN_COLORS, Dash
from trainer.schema import Channel, Letter, SaturationShares, percent

LANE = 150
"""Pixels of one heatmap."""
GAP = 26
"""Pixels between two of them, for the title of the one below."""
PANEL, PANEL_GAP = 170, 46
"""Pixels of one panel of a track, and of its title above it."""
OUTSIDE = 82
"""Above and below the heatmaps together."""
MOST_TOKENS = 60
"""More symbols than these do not fit side by side: then timesteps are numbered instead."""
SIGNED = [
    [0, WARM],
    [0.25, faint(WARM, 0.6)],
    [0.5, faint(WARM, 0)],
    [0.5, faint(COOL, 0)],
    [0.75, faint(COOL, 0.6)],
    [1, COOL],
]
"""Orange below 0, blue above, as in coloured text; 0 is the page itself, whether that is light or dark."""

Letters = Mapping[str, Letter]
"""What the letters of a network's equations stand for: the catalogue has them."""
NO_LETTERS: Letters = MappingProxyType({})
Rows = Sequence[Sequence[float | None]]
"""Rows are timesteps, columns units."""


def unit_title(name: str, letters: Letters) -> str:
    """``f/0`` in words, ``forget gate f (keeps), layer 1``; a state's, where the letter is no gate's."""
    letter, _, layer = name.partition("/")
    if letter not in letters:
        return quantity_title(name)
    found = letters[letter]
    return with_layer(f"{found.name} ({found.does})" if found.does else found.name, layer)


def align(figure: go.Figure, begin: int, length: int) -> None:
    """Give a figure the sides and the timesteps that all figures of one sequence have: they stand in columns.

    Args:
        figure: with timesteps from 1 across.
        begin: the first timestep to show, from 0.
        length: how many.
    """
    figure.update_layout(margin={"l": 76, "r": 84})
    figure.update_xaxes(range=[begin + 0.5, begin + length + 0.5], rangemode="normal")


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
    figure = base_figure(TIMESTEP_TITLE, "", height=OUTSIDE + LANE * count)
    figure.update_layout(hovermode="closest", showlegend=False, margin={"t": 30, "b": OUTSIDE - 30})
    if not lanes:
        nothing_yet(figure, "Choose what to show above.")
        return figure
    edges = [i / count for i in range(count + 1)]
    for place, ((name, rows), (low, high)) in enumerate(
        zip(lanes.items(), reversed(list(pairwise(edges))), strict=True)
    ):
        axis = "y" if place == 0 else f"y{place + 1}"
        top = high - GAP / (LANE * count)
        figure.update_layout(
            {
                f"yaxis{axis[1:]}": {
                    "domain": [low, top],
                    "title": title("unit"),
                    "anchor": "x",
                    "autorange": "reversed",
                    "showgrid": False,  # it would show through where a value is near 0
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
    figure.update_xaxes(anchor=last, showgrid=False)
    align(figure, begin, length)
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
        colorscale=SIGNED if signed else "Viridis",
        zmin=-largest if signed else 0,
        zmax=largest if signed else max(1.0, largest),
        text=[[plain(token) for token in read]] * units if read else None,
        hovertemplate=f"{plain(name)}, unit %{{y}}, timestep %{{x}} %{{text}}: %{{z:.3g}}<extra></extra>"
        if read
        else f"{plain(name)}, unit %{{y}}, timestep %{{x}}: %{{z:.3g}}<extra></extra>",
        colorbar={
            "x": 1,
            "xpad": 14,  # pixels, and not a share of the width: it must not push the plot from its column
            "thickness": 10,
            "outlinewidth": 0,
            "y": sum(domain) / 2,
            "len": domain[1] - domain[0],
            "nticks": 4,
            "tickfont": {"size": 11},
        },
        uid=name.replace("/", "-"),
    )


class Track(NamedTuple):
    """One unit of one gate or state, timestep by timestep."""

    name: str
    color: str
    dash: Dash
    values: Sequence[float | None]
    panel: str = ""
    """The title of the axis that it shares with all of the same one: a memory may be many times as large as a
    gate."""


def track_figure(
    tracks: Sequence[Track],
    *,
    begin: int,
    tokens: Sequence[str] | None = None,
    informative: Sequence[int] = (),
) -> go.Figure:
    """One unit over the sequence: a line for each of its gates and states, in panels on one time axis.

    Args:
        tracks: one line each; their panels stand one above the other, the first on top.
        begin: the timestep, from 0, of the first value.
        tokens: what was read, from the sequence's first timestep on.
        informative: timesteps, from 0, whose inputs decide the target.
    """
    panels = list(dict.fromkeys(track.panel for track in tracks))
    count = max(1, len(panels))
    inner = PANEL * count + PANEL_GAP * (count - 1)
    figure = base_figure(TIMESTEP_TITLE, "", height=inner + 130)
    figure.update_layout(margin={"t": 70})
    for place, panel in enumerate(panels):
        top = 1 - place * (PANEL + PANEL_GAP) / inner
        axis = {
            "domain": [max(0.0, top - PANEL / inner), top],
            "title": title(panel or "value of the unit"),
            "anchor": "x",
            "gridcolor": GRID,
            "zeroline": False,
            "nticks": 5,
            "tickfont": {"size": 12},
        }
        figure.update_layout({f"yaxis{place + 1 if place else ''}": axis})
    for track in tracks:
        length, place = len(track.values), panels.index(track.panel)
        shown = [visible(t) for t in tokens[begin : begin + length]] if tokens else [""] * length
        figure.add_scatter(
            x=[begin + 1 + t for t in range(length)],
            y=rounded(track.values),
            yaxis=f"y{place + 1 if place else ''}",
            **as_line(track.values, color=track.color),
            name=plain(track.name),
            line={"color": track.color, "width": 2, "dash": track.dash},
            customdata=[[plain(token)] for token in shown],
            hovertemplate="%{y:.3g} %{customdata[0]}",
            uid="".join(c if c.isalnum() else "-" for c in track.name),
        )
    mark_informative(figure, [t for t in informative if t >= begin])
    figure.update_xaxes(anchor=f"y{count if count > 1 else ''}")
    figure.update_layout(hoversubplots="axis")
    align(figure, begin, max((len(track.values) for track in tracks), default=1))
    return figure


def saturation_figure(shares: Mapping[str, SaturationShares], letters: Letters) -> go.Figure:
    """Each unit of each gate by the shares of the time at its ends (Karpathy, Johnson & Li 2015)."""
    figure = base_figure(
        "share of the time near the top of its range", "near the bottom of its range", height=400
    )
    for place, (name, share) in enumerate(shares.items()):
        figure.add_scatter(
            x=rounded(share.high, 3),
            y=rounded(share.low, 3),
            mode="markers",
            name=plain(unit_title(name, letters)),
            marker={"color": RUN_COLORS[place % len(RUN_COLORS)], "size": 9, "opacity": 0.65},
            customdata=[
                [unit, percent(high), percent(low)]
                for unit, (high, low) in enumerate(zip(share.high, share.low, strict=True))
            ],
            hovertemplate=(
                "unit %{customdata[0]}: near the top %{customdata[1]}, near the bottom %{customdata[2]}"
            ),
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
    figure.update_xaxes(range=[-0.04, 1.04], tickformat="~%", hoverformat="~%")
    figure.update_yaxes(range=[-0.04, 1.04], tickformat="~%")
    return figure
