"""Truncated gradients beside the full one: direction, length, and what each lag brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import plotly.graph_objects as go

from dashboard.charts.style import GREY, base_figure, nothing_yet, rounded
from dashboard.charts.weights import role_colors, role_order, role_title
from trainer.schema import Matches, TruncationView

K2_TITLE = "k2 (timesteps that the gradient runs back)"
Measure = Literal["cosine", "norm_ratio"]
TITLES: dict[Measure, str] = {
    "cosine": "cosine with the full gradient",
    "norm_ratio": "norm ÷ that of the full gradient",
}


def match_figure(view: TruncationView, measure: Measure) -> go.Figure:
    """Every reach k2, by weight matrix: solid for k1 = 1, dashed for the sweep, a star for the run's own."""
    figure = base_figure(K2_TITLE, TITLES[measure], height=400)
    figure.update_layout(legend={"y": 1.02})
    colors = role_colors(view.each_step)
    reaches = [lag + 1 for lag in view.lags]
    for role in sorted(view.each_step, key=role_order):
        _add(figure, reaches, view.each_step[role], measure, role_title(role), colors[role], role)
    for role in sorted(view.sweep, key=role_order):
        name, uid = f"{role_title(role)}, k1 = {view.k1}", f"{role}-sweep"
        _add(figure, view.k2, view.sweep[role], measure, name, colors[role], uid, dash="dot")
        figure.data[-1].showlegend = role == "all"
        figure.data[-1].name = f"dotted: the same with k1 = {view.k1}"
    own = view.own.get("all")
    value = getattr(own, measure) if own is not None else None
    if value is not None and view.own_k1 is not None:
        figure.add_scatter(
            x=[min(view.own_k2 or view.own_k1, view.length)],
            y=[value],
            mode="markers",
            marker={
                "symbol": "star",
                "size": 14,
                "color": colors["all"],
                "line": {"color": GREY, "width": 1},
            },
            name=f"this run: k1 = {view.own_k1}, k2 = {view.own_k2 or view.own_k1}",
            hovertemplate="%{y:.3f}",
            uid="own",
        )
    _one(figure, [1, view.length], "1: the full gradient")
    figure.update_yaxes(rangemode="normal")
    return figure


def lag_norm_figure(view: TruncationView) -> go.Figure:
    """What each lag alone brings to the full gradient, on a log axis."""
    figure = base_figure("lag (timesteps back)", "norm of its part of the gradient", height=400, y_type="log")
    colors = role_colors(view.each_step)
    for role in sorted(view.lag_norms, key=role_order):
        figure.add_scatter(
            x=view.lags,
            y=rounded([v if v is not None and v > 0 else None for v in view.lag_norms[role]]),
            mode="lines",
            name=role_title(role),
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
    dash: str = "solid",
) -> None:
    figure.add_scatter(
        x=list(x),
        y=rounded(getattr(matches, measure)),
        mode="lines+markers" if dash != "solid" else "lines",
        name=name,
        line={"color": color, "width": 3 if uid.startswith("all") else 1.6, "dash": dash},
        hovertemplate="%{y:.3f}",
        uid=uid.replace("/", "-"),
    )


def _one(figure: go.Figure, span: Sequence[float], name: str) -> None:
    figure.add_scatter(
        x=list(span),
        y=[1] * len(span),
        mode="lines",
        name=name,
        line={"color": GREY, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
        uid="one",
    )


def words(view: TruncationView) -> str:
    """The finding at the run's own truncation, in a sentence; empty where it has none."""
    match = view.own.get("all")
    if match is None or match.cosine is None or match.norm_ratio is None:
        return ""
    return (
        f"At this run's own k1 = {view.own_k1} and k2 = {view.own_k2 or view.own_k1} the cosine with the "
        f"full gradient is {match.cosine:.2f}, and the norm {match.norm_ratio:.2f} times the full one's."
    )
