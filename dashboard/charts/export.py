"""Charts and their numbers as files to keep."""

from __future__ import annotations

import copy
import csv
import io
from collections.abc import Mapping

import plotly.graph_objects as go

from dashboard.charts.curves import Curve


def standalone_html(figure: go.Figure) -> str:
    """The figure as one HTML file that needs nothing else: plotly.js is inside, on a white page."""
    kept = copy.deepcopy(figure)
    kept.update_layout(
        paper_bgcolor="#ffffff",
        plot_bgcolor="#ffffff",
        font={"family": "system-ui, sans-serif", "color": "#1d2733"},
    )
    # Without the last two, plotly.js offers a button that uploads the figure to Plotly's own service.
    config = {"displaylogo": False, "responsive": True, "showSendToCloud": False, "plotlyServerURL": ""}
    return str(kept.to_html(include_plotlyjs=True, full_html=True, config=config))


def curves_csv(curves: Mapping[str, Curve], metric: str) -> str:
    """The points of one metric, a line for each: run id, name, step, seconds, sequences, value.

    Values are those stored, not smoothed; one that was not finite is written as its flag (``nan``, ``inf``).
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run_id", "run", "step", "training_seconds", "sequences_seen", metric])
    for run_id, curve in curves.items():
        series = curve.series
        for step, value, seconds, sequences in zip(
            series.step, series.value, series.seconds, series.sequences, strict=True
        ):
            shown = series.flag.get(step, "nan") if value is None else value
            writer.writerow([run_id, harmless(curve.name), step, seconds, sequences, shown])
    return out.getvalue()


def harmless(text: str) -> str:
    """``text`` that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
