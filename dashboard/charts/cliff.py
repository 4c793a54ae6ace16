"""The loss cliff of Pascanu, Mikolov & Bengio 2013, figure 6, and two descents on it."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.charts.style import COOL, WARM, base_figure, rounded
from trainer.schema import CliffPath, CliffView

LOOKS = {"free": ("without clipping", WARM, 8.0), "clipped": ("with clipped steps", COOL, 2.0)}
"""Name, colour, and width: while nothing is clipped both go the same way, and the first stays in sight."""
WHITE, BLACK = "#ffffff", "#000000"


def cliff_figure(view: CliffView, paths: Sequence[str]) -> go.Figure:
    """The loss over weight and bias as colour, and the places that the chosen descents went to.

    Args:
        view: surface and both descents.
        paths: which of ``free`` and ``clipped`` to draw.
    """
    figure = base_figure("w (weight of the unit)", "b (bias of the unit)", height=460)
    figure.update_layout(hovermode="closest")
    figure.add_heatmap(
        x=rounded(view.w),
        y=rounded(view.b),
        z=view.loss,
        colorscale="Cividis",
        zsmooth="best",
        hovertemplate="w %{x:.3f}, b %{y:.3f}: loss %{z:.3g}<extra></extra>",
        colorbar={
            "title": {"text": "loss after 50 timesteps", "side": "right", "font": {"size": 13}},
            "thickness": 14,
            "outlinewidth": 0,
        },
        uid="surface",
    )
    # The axes keep to the surface: a descent that is thrown out of it leaves the plot.
    figure.update_xaxes(range=[min(view.w), max(view.w)], rangemode="normal")
    figure.update_yaxes(range=[min(view.b), max(view.b)], rangemode="normal")
    for name in paths:
        path: CliffPath = getattr(view, name)
        label, color, width = LOOKS[name]
        figure.add_scatter(
            x=rounded(path.w),
            y=rounded(path.b),
            mode="lines+markers",
            name=label,
            line={"color": color, "width": width},
            marker={"color": color, "size": width + 4, "line": {"color": WHITE, "width": 0.5}},
            customdata=[[i] for i in range(len(path.w))],
            hovertemplate="after %{customdata[0]} steps: w %{x:.3f}, b %{y:.3f}<extra></extra>",
            uid=name,
        )
        _add_mark(figure, path.w[-1], path.b[-1], color, "square", "end", f"{name}-end")
    if paths:  # both begin at the same place
        path = getattr(view, paths[0])
        _add_mark(figure, path.w[0], path.b[0], WHITE, "star", "start", "start")
    for mark in [drawn for drawn in figure.data if drawn.name == "end"][1:]:
        mark.showlegend = False  # the legend says it once, whosever end it is
    return figure


def _add_mark(
    figure: go.Figure, w: float | None, b: float | None, color: str, symbol: str, words: str, uid: str
) -> None:
    """A place of its own on the surface; nothing where it lies outside."""
    (left, right), (bottom, top) = figure.layout.xaxis.range, figure.layout.yaxis.range
    if w is None or b is None or not (left <= w <= right and bottom <= b <= top):
        return
    figure.add_scatter(
        x=rounded([w]),
        y=rounded([b]),
        mode="markers",
        name=words,
        marker={"color": color, "size": 15, "symbol": symbol, "line": {"color": BLACK, "width": 1.5}},
        hovertemplate=f"{words}: w %{{x:.3f}}, b %{{y:.3f}}<extra></extra>",
        uid=uid,
    )


def descent_figure(view: CliffView, paths: Sequence[str]) -> go.Figure:
    """The loss along the chosen descents."""
    figure = base_figure("steps down", "loss after 50 timesteps", height=460)
    for name in paths:
        path: CliffPath = getattr(view, name)
        label, color, width = LOOKS[name]
        figure.add_scatter(
            x=list(range(len(path.loss))),
            y=rounded(path.loss),
            mode="lines+markers",
            name=label,
            line={"color": color, "width": 0.6 * width + 1},
            marker={"size": 0.6 * width + 4},
            customdata=[[n] for n in rounded(path.norm)],
            hovertemplate="%{y:.3g} (gradient norm %{customdata[0]:.3g})",
            uid=name,
        )
    return figure


def out_of_sight(view: CliffView, path: CliffPath) -> int | None:
    """After how many steps a descent first leaves the surface that is drawn; None where it stays."""
    for place, (w, b) in enumerate(zip(path.w, path.b, strict=True)):
        if w is None or b is None:
            return place
        if not (min(view.w) <= w <= max(view.w) and min(view.b) <= b <= max(view.b)):
            return place
    return None
