"""What a run recorded of a view while it trained, as curves over training."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard.charts.recorded import recorded_figure
from dashboard.charts.style import AxisType
from dashboard.components.live_plot import live_plot
from dashboard.views.inside_parts import Look
from dashboard.views.parts import heading

POINTS = 600
"""Points per curve."""


def draw_over_training(
    look: Look,
    titles: Mapping[str, str],
    *,
    title: str,
    about: str,
    y_title: str,
    line: tuple[float, str],
    y_type: AxisType = "linear",
    colors: Mapping[str, str] | None = None,
) -> None:
    """One plot; nothing where the run recorded none of it.

    Args:
        look: the view.
        titles: what the legend calls each recorded metric.
        title: over the plot.
        about: under that.
        y_title: with its unit.
        line: a value to compare with, and its words.
        y_type: ``"log"`` for what spans powers of ten.
        colors: by the legend's names, where the page shows them elsewhere too.
    """
    found = look.service.metrics(look.run.id, list(titles), max_points=POINTS)
    curves = {titles[key]: found[key] for key in titles if key in found}
    if not curves:
        return
    heading(title, about)
    live_plot(
        recorded_figure(curves, y_title=y_title, color=look.color, colors=colors, y_type=y_type, line=line),
        key=f"plot-recorded-{look.entry.name}",
        description=f"{y_title}, over training",
        file_name=f"run-{look.run.number}-{look.entry.name}-over-training",
    )
