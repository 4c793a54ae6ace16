"""The itemised triangle: what the loss at each timestep says to each step before it, and how that fades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard.charts.lines import as_line, gap_words, said
from dashboard.charts.logs import log_heatmap
from dashboard.charts.style import GREY, base_figure, for_log_axis, nothing_yet, plain
from dashboard.theme import Dash

Rows = Sequence[Sequence[float | None]]
"""Row t, column k; 0 above the diagonal."""
FEW = 3
"""With fewer losses than this, lines say more than a picture of their rows."""


def loss_rows(rows: Rows) -> list[int]:
    """The rows of the timesteps that have a loss at all."""
    return [t for t, row in enumerate(rows) if any(value != 0 for value in row)]


def triangle_figure(rows: Rows, *, begin: int, quantity: str, of_stretch: bool = False) -> go.Figure:
    """Down: the timestep of the loss. Across: the step that it speaks to. Colour: log10 of the norm.

    Args:
        rows: norms.
        begin: the timestep, from 0, that row 0 and column 0 stand for.
        quantity: what the norm is of, for the colour bar.
        of_stretch: whether timesteps are counted from where each sequence's own stretch begins.
    """
    timestep = "timestep of the stretch" if of_stretch else "timestep"
    across = f"step that the loss speaks to ({timestep})"
    down = "loss (timestep of the stretch)" if of_stretch else "timestep of the loss"
    figure = base_figure(across, down, height=460)
    figure.update_layout(hovermode="closest", showlegend=False, margin={"r": 8})
    present = loss_rows(rows)
    if not present:
        nothing_yet(figure, "No loss in this stretch has a gradient.")
        return figure
    shown = [[value if k <= t else None for k, value in enumerate(rows[t])] for t in present]
    figure.add_trace(
        log_heatmap(
            [begin + 1 + k for k in range(len(rows))],
            [begin + 1 + t for t in present],
            shown,
            quantity=quantity,
            hovertemplate="loss at %{y}, step %{x}: %{customdata}",
            hoverongaps=False,
            uid="triangle",
        )
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
    """How what losses say fades with the distance, on a log axis; the legend counts the zeros."""
    figure = base_figure("lag (timesteps back from the loss)", f"{quantity}, mean", height=460, y_type="log")
    for uid, curve in curves.items():
        figure.add_scatter(
            x=list(range(len(curve.values))),
            y=for_log_axis(curve.values),
            **as_line(for_log_axis(curve.values), color=curve.color),
            name=plain(said(curve.name, gap_words(curve.values, "lags", missing=False))),
            line={"color": curve.color, "width": 2, "dash": curve.dash},
            hovertemplate="%{y:.3g}",
            uid=uid,
        )
    if not any(v for curve in curves.values() for v in curve.values):
        nothing_yet(figure, "No loss in this stretch has a gradient.")
    return figure


def kept_curve(carried: Rows, rows: Rows) -> LagCurve:
    """What the gates alone would keep of what each loss says at its own timestep: by lag, the mean over the
    same losses as that of ``rows``.

    Args:
        carried: row t, column k: the product of the gates between k and t.
        rows: what was measured.
    """
    kept: Rows = [
        [None if of is None or value is None else of * value for of in gates]
        for t, gates in enumerate(carried)
        for value in [rows[t][t]]
    ]
    return LagCurve(name="what the gates alone keep (∏)", color=GREY, values=by_lag(kept), dash="dash")
