"""The loss cliff of Pascanu, Mikolov & Bengio 2013, figure 6, and two descents on it."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.charts.style import COOL, WARM, base_figure, rounded
from trainer.schema import CliffPath, CliffView

LOOKS = {"free": ("without clipping", WARM, "x"), "clipped": ("with clipped steps", COOL, "circle")}
WHITE = "#ffffff"


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
        label, color, symbol = LOOKS[name]
        figure.add_scatter(
            x=rounded(path.w),
            y=rounded(path.b),
            mode="lines+markers",
            name=label,
            line={"color": color, "width": 2.4},
            marker={"color": color, "size": 8, "symbol": symbol, "line": {"color": WHITE, "width": 1}},
            customdata=[[i] for i in range(len(path.w))],
            hovertemplate="after %{customdata[0]} steps: w %{x:.3f}, b %{y:.3f}<extra></extra>",
            uid=name,
        )
    return figure


def descent_figure(view: CliffView, paths: Sequence[str]) -> go.Figure:
    """The loss along the chosen descents."""
    figure = base_figure("steps down", "loss after 50 timesteps", height=460)
    for name in paths:
        path: CliffPath = getattr(view, name)
        label, color, _ = LOOKS[name]
        figure.add_scatter(
            x=list(range(len(path.loss))),
            y=rounded(path.loss),
            mode="lines+markers",
            name=label,
            line={"color": color, "width": 2},
            marker={"size": 5},
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
