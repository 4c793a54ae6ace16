"""The itemised triangle: what the loss at each timestep says to each step before it, and how that fades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard.charts.logs import log_range, log_rows, worded
from dashboard.charts.style import GREY, base_figure, for_log_axis, line_mode, nothing_yet, plain
from dashboard.theme import Dash

Rows = Sequence[Sequence[float | None]]
"""Row t, column k; 0 above the diagonal."""
FEW = 3
"""With fewer losses than this, lines say more than a picture of their rows."""


def loss_rows(rows: Rows) -> list[int]:
    """The rows of the timesteps that have a loss at all."""
    return [t for t, row in enumerate(rows) if any(value != 0 for value in row)]


def triangle_figure(rows: Rows, *, begin: int, quantity: str) -> go.Figure:
    """Down: the timestep of the loss. Across: the step that it speaks to. Colour: log10 of the norm.

    Args:
        rows: norms.
        begin: the timestep, from 0, that row 0 and column 0 stand for.
        quantity: what the norm is of, for the colour bar.
    """
    figure = base_figure("step that the loss speaks to (timestep)", "timestep of the loss", height=460)
    figure.update_layout(hovermode="closest", showlegend=False, margin={"r": 8})
    present = loss_rows(rows)
    if not present:
        nothing_yet(figure, "No loss in this stretch has a gradient.")
        return figure
    shown = [[value if k <= t else None for k, value in enumerate(rows[t])] for t in present]
    bottom, top = log_range(value for row in shown for value in row)
    figure.add_heatmap(
        x=[begin + 1 + k for k in range(len(rows))],
        y=[begin + 1 + t for t in present],
        z=log_rows(shown, bottom),
        customdata=worded(shown),
        hovertemplate="loss at %{y}, step %{x}: %{customdata}<extra></extra>",
        hoverongaps=False,
        colorscale="Viridis",
        zmin=bottom,
        zmax=top,
        colorbar={
            "title": {"text": f"log₁₀ {plain(quantity)}", "side": "right", "font": {"size": 13}},
            "thickness": 14,
            "outlinewidth": 0,
        },
        uid="triangle",
    )
    figure.update_yaxes(autorange="reversed", rangemode="normal")
    figure.update_xaxes(rangemode="normal")
    return figure


def by_lag(rows: Rows) -> list[float | None]:
    """The mean over all losses of what they say ``lag`` steps back; index 0 is the loss's own timestep."""
    present, means = loss_rows(rows), list[float | None]()
    for lag in range(len(rows)):
        heard = [v for t in present if t >= lag if (v := rows[t][t - lag]) is not None]
        means.append(sum(heard) / len(heard) if heard else None)
    return means


@dataclass(frozen=True, kw_only=True)
class LagCurve:
    """One way in which a gradient travels back."""

    name: str
    color: str
    values: Sequence[float | None]
    dash: Dash = "solid"


def lag_figure(curves: Mapping[str, LagCurve], *, quantity: str) -> go.Figure:
    """How what losses say fades with the distance, on a log axis; zeros are not drawn."""
    figure = base_figure("lag (timesteps back from the loss)", f"{quantity}, mean", height=460, y_type="log")
    for uid, curve in curves.items():
        figure.add_scatter(
            x=list(range(len(curve.values))),
            y=for_log_axis(curve.values),
            mode=line_mode(for_log_axis(curve.values)),
            name=plain(curve.name),
            line={"color": curve.color, "width": 2, "dash": curve.dash},
            hovertemplate="%{y:.3g}",
            uid=uid,
        )
    if not any(v for curve in curves.values() for v in curve.values):
        nothing_yet(figure, "No loss in this stretch has a gradient.")
    return figure


def kept_curve(carried: Rows, rows: Rows) -> LagCurve:
    """What the gates alone would keep, by lag: the mean over the same losses as that of ``rows``.

    Args:
        carried: row t, column k: the product of the gates between k and t.
        rows: what was measured; the curve is made to begin where the mean of that does.
    """
    present, begin = loss_rows(rows), next((v for v in by_lag(rows) if v), 1.0)
    means = list[float | None]()
    for lag in range(len(carried)):
        kept = [carried[t][t - lag] or 0.0 for t in present if t >= lag]
        means.append(begin * sum(kept) / len(kept) if kept else None)
    return LagCurve(name="what the gates alone keep (∏), scaled", color=GREY, values=means, dash="dash")
