"""Truncated gradients beside the full one: direction, length, and what each lag brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import plotly.graph_objects as go

from dashboard.charts.lines import as_line, gap_words, said
from dashboard.charts.style import (
    GREY,
    base_figure,
    for_log_axis,
    nothing_yet,
    reference_line,
    rounded,
)
from dashboard.charts.weights import role_colors, role_order, role_title
from dashboard.theme import Dash
from trainer.schema import Matches, TruncationView

K2_TITLE = "k2 (timesteps that the gradient runs back)"
Measure = Literal["cosine", "norm_ratio"]
TITLES: dict[Measure, str] = {
    "cosine": "cosine with the full gradient",
    "norm_ratio": "norm ÷ that of the full gradient",
}


def match_figure(view: TruncationView, measure: Measure) -> go.Figure:
    """Every reach k2, by weight matrix: solid for k1 = 1, dotted for the sweep, a star for the run's own.

    Solid lines of a stretch say so: they end at 1 where the stretch does, however much came before it.
    """
    figure = base_figure(K2_TITLE, TITLES[measure], height=400)
    figure.update_layout(legend={"y": 1.02})
    colors = role_colors(view.each_step)
    reaches = [lag + 1 for lag in view.lags]
    stretch = f" (last {len(view.lags):,} timesteps alone)" if _is_cut(view) else ""
    for role in sorted(view.each_step, key=role_order):
        name = role_title(role) + stretch
        _add(figure, reaches, view.each_step[role], measure, name, colors[role], role)
    for role in sorted(view.sweep, key=role_order):
        name = f"dotted: with k1 = {view.k1}"  # one entry stands for all of them
        _add(figure, view.k2, view.sweep[role], measure, name, colors[role], f"{role}-sweep", dash="dot")
        figure.data[-1].showlegend = role == "all"
    own = view.own.get("all")
    value = getattr(own, measure) if own is not None else None
    if value is not None and view.own_k1 is not None:
        figure.add_scatter(
            x=[min(view.own_k2 or view.length, view.length)],
            y=[value],
            mode="markers",
            marker={
                "symbol": "star",
                "size": 14,
                "color": colors["all"],
                "line": {"color": GREY, "width": 1},
            },
            name=f"this run: {_own_words(view)}",
            hovertemplate="%{y:.3f}",
            uid="own",
        )
    reference_line(figure, [1, view.length], 1, "1: the full gradient", uid="one")
    figure.update_yaxes(rangemode="normal")
    return figure


def lag_norm_figure(view: TruncationView) -> go.Figure:
    """What each lag alone brings to the full gradient, on a log axis."""
    figure = base_figure("lag (timesteps back)", "norm of its part of the gradient", height=400, y_type="log")
    colors = role_colors(view.each_step)
    for role in sorted(view.lag_norms, key=role_order):
        figure.add_scatter(
            x=view.lags,
            y=for_log_axis(view.lag_norms[role]),
            **as_line(for_log_axis(view.lag_norms[role]), color=colors[role]),
            name=said(role_title(role), gap_words(view.lag_norms[role], "lags", missing=False)),
            line={"color": colors[role], "width": 2},
            hovertemplate="%{y:.3g}",
            uid=role.replace("/", "-"),
        )
    if not any(v for values in view.lag_norms.values() for v in values):
        nothing_yet(figure, "There is no gradient here.")
    return figure


def _add(
    figure: go.Figure,
    x: Sequence[int],
    matches: Matches,
    measure: Measure,
    name: str,
    color: str,
    uid: str,
    dash: Dash = "solid",
) -> None:
    values = rounded(getattr(matches, measure))
    figure.add_scatter(
        x=list(x),
        y=values,
        **as_line(values, dots=dash != "solid", size=6, color=color),
        name=name,
        line={"color": color, "width": 3 if uid.startswith("all") else 1.6, "dash": dash},
        hovertemplate="%{y:.3f}",
        uid=uid.replace("/", "-"),
    )


def _own_words(view: TruncationView) -> str:
    if view.own_k2 is None:
        return f"k1 = {view.own_k1}, back to the first timestep"
    return f"k1 = {view.own_k1}, k2 = {view.own_k2}"


def words(view: TruncationView) -> list[str]:
    """What was found at the run's own truncation, and on what; empty where the run has none."""
    match = view.own.get("all")
    if match is None or match.cosine is None or match.norm_ratio is None:
        return []
    parts = [
        f"{role_title(role)} {view.own[role].cosine:.3f}"
        for role in sorted(view.own, key=role_order)
        if role.startswith(("Ws", "Wx")) and view.own[role].cosine is not None
    ]
    found = (
        f"At this run's own truncation, {_own_words(view)}, the cosine with the full gradient is "
        f"**{match.cosine:.3f}** over all matrices"
    )
    found += f" ({', '.join(parts)})" if parts else ""
    found += f"; its norm is **{match.norm_ratio:.3g}** times the full one's."
    many = f"{view.sequences:,} whole sequence{'s' * (view.sequences > 1)}"
    shorter = "" if view.shortest in (None, view.length) else f"{view.shortest:,} to "
    measured = f"Measured on {many} of {shorter}{view.length:,} timesteps"
    if view.losses_from:
        measured += f", with the losses from timestep {view.losses_from + 1:,} on"
    return [found, f"{measured}, with the weights chosen above."]


def lag_words(view: TruncationView) -> str:
    """On what the gradient was taken apart by lag; empty where that is whole sequences."""
    if not _is_cut(view):
        return ""
    which = f", from {view.begin + 1:,} on," if view.begin else " of each sequence,"
    return (
        f"Of the last {len(view.lags):,} timesteps{which} and of their own full gradient, as if nothing had "
        "come before."
    )


def _is_cut(view: TruncationView) -> bool:
    """Whether timesteps came before those that were taken apart by lag."""
    return bool(view.begin) or (view.stretch is not None and view.stretch.is_cut)
