"""A sequence that is a picture, drawn as one."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.charts.style import base_figure, faint


def picture_figure(picture: Sequence[Sequence[float]], *, color: str) -> go.Figure:
    """Rows of brightness from the top down: 0 is the page itself, 1 the full colour."""
    figure = base_figure("", "", height=190)
    figure.update_layout(hovermode="closest", showlegend=False, margin={"t": 8, "b": 8, "l": 8, "r": 8})
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", constrain="domain")
    figure.add_heatmap(
        z=[[round(value, 3) for value in row] for row in picture],
        zmin=0,
        zmax=1,
        colorscale=[[0, faint(color, 0.08)], [1, color]],
        showscale=False,
        hovertemplate="row %{y}, column %{x}: %{z:.2f}<extra></extra>",
        x=list(range(1, max(map(len, picture), default=0) + 1)),
        y=list(range(1, len(picture) + 1)),
        uid="picture",
    )
    return figure
