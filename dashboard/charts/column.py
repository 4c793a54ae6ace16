"""A column of a table over its rows, as it was read: a misread file shows at a glance."""

from __future__ import annotations

import plotly.graph_objects as go

from dashboard.charts.lines import as_line
from dashboard.charts.style import base_figure, plain
from trainer.schema import ColumnPlot

HEIGHT = 190


def column_figure(column: ColumnPlot, *, color: str, unit: str = "") -> go.Figure:
    """The numbers by row, with gaps where they are missing.

    Args:
        column: thinned by the service.
        color: of the line.
        unit: as the file states it.
    """
    name = column.name if len(column.name) <= 24 else column.name[:23] + "…"
    title = f"{name} ({unit})" if unit else name
    figure = base_figure("row of the table", title, height=HEIGHT)
    figure.update_layout(showlegend=False, margin={"t": 12, "b": 44})
    figure.update_yaxes(rangemode="normal", nticks=5)
    figure.add_scatter(
        x=column.rows,
        y=column.values,
        **as_line(column.values, dots=len(column.rows) <= 60, size=4),
        line={"color": color, "width": 1.5},
        connectgaps=False,
        name=plain(name),
        uid="column",
    )
    return figure
