"""A quantity that a run recorded beside its gradients, over training: one line for each part it has."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from dashboard.charts.curves import Curve, add_curve, name_flags, x_values
from dashboard.charts.style import STEP_TITLE, AxisType, base_figure, reference_line
from dashboard.theme import RUN_COLORS, RUN_DASHES
from trainer.schema import Series


def recorded_figure(
    curves: Mapping[str, Series],
    *,
    y_title: str,
    color: str,
    colors: Mapping[str, str] | None = None,
    y_type: AxisType = "linear",
    line: tuple[float, str] | None = None,
) -> go.Figure:
    """Curves by the names that the legend gives them.

    Args:
        curves: what was recorded.
        y_title: with its unit.
        color: the run's own, for the first curve; the others take the next of the colours.
        colors: by the same names, where the page draws what they stand for in colours of its own.
        y_type: ``"log"`` for what spans powers of ten.
        line: a value to compare with, and its words.
    """
    figure = base_figure(STEP_TITLE, y_title, height=360, y_type=y_type)
    palette = [color, *(other for other in RUN_COLORS if other != color)]
    span: list[float] = []
    for number, (name, series) in enumerate(curves.items()):
        span += x_values(series, "step")
        add_curve(
            figure,
            Curve(
                name=name,
                color=(colors or {}).get(name, palette[number % len(palette)]),
                series=series,
                dash="solid" if colors else RUN_DASHES[number // len(palette) % len(RUN_DASHES)],
            ),
            uid=f"recorded-{number}",
            y_type=y_type,
        )
    name_flags(figure)
    if line is not None and span:
        reference_line(figure, span, *line, uid="reference")
    return figure
