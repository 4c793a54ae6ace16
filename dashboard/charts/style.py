"""What every figure shares: margins, fonts, grid, axis titles, and how numbers reach the browser.

Figures carry no text colour and a transparent background, so that one figure fits a light and a dark page:
whoever shows it (`components/live_plot.js`) fills in the page's own. Greys here are readable on both.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import plotly.graph_objects as go

GREY = "#7d8894"
"""Reference lines: chance, threshold. Contrast above 3:1 on both backgrounds."""
GRID = "rgba(128, 140, 152, 0.22)"
ALARM = "#d1495b"
"""What is wrong: values that are not finite."""
MARK = "#e09f3e"
"""Timesteps that decide the target."""
FAINTEST = 0.4
"""Opacity towards which a mark goes that stands for few of the sequences."""
WARM, COOL = "#d55e00", "#0072b2"

STEP_TITLE = "step (optimiser updates)"
TIMESTEP_TITLE = "timestep (1 = first)"

COUNTS = {"tickformat": ",.12~r", "hoverformat": ",.12~r"}
"""Counts written out, 20,000 and not 2×10⁴; a fraction keeps its digits."""
TOP = 34
"""Pixels above every plot: one line of legend, or the tool buttons."""

AxisType = Literal["linear", "log"]


def base_figure(
    x_title: str,
    y_title: str,
    *,
    height: int = 336,
    y_type: AxisType = "linear",
    x_revision: str = "x",
) -> go.Figure:
    """An empty figure with titled axes.

    ``uirevision`` stays the same through all updates, so the reader's zoom and hidden curves survive; an axis
    that changes its meaning (log instead of linear, seconds instead of steps) gets a revision of its own.
    """
    axis = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": GRID,
        "ticks": "outside",
        "tickcolor": GRID,
        "ticklen": 4,
        "exponentformat": "power",
        "tickfont": {"size": 12},
    }
    return go.Figure(
        layout={
            "template": go.layout.Template(),
            "height": height,
            "margin": {"l": 76, "r": 20, "t": TOP, "b": 52},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"size": 13},
            "hovermode": "x unified",
            "hoverlabel": {"namelength": 40},
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom"},
            "showlegend": True,
            "uirevision": "keep",
            "xaxis": axis
            | {"title": title(x_title), "uirevision": x_revision, "rangemode": "tozero"}
            | COUNTS,
            "yaxis": axis
            | {"title": title(y_title), "type": y_type, "uirevision": y_type}
            # Few ticks on a log axis: with more, Plotly labels every digit between two powers of ten.
            | ({"nticks": 5} if y_type == "log" else {"rangemode": "tozero"}),
        }
    )


def title(text: str) -> dict[str, Any]:
    return {"text": text, "standoff": 10, "font": {"size": 13}}


def companion(color: str) -> str:
    """For a second quantity beside a run's own colour: blue for a warm one, vermilion for a cool one."""
    red, _, blue = _channels(color)
    return COOL if red > blue else WARM


def plain(text: str) -> str:
    """``text`` as Plotly shall show it: letter for letter, since it reads names and hover texts as HTML."""
    return html.escape(text, quote=False)


def faint(color: str, alpha: float) -> str:
    """A ``#rrggbb`` colour made see-through."""
    red, green, blue = _channels(color)
    return f"rgba({red}, {green}, {blue}, {alpha})"


def _channels(color: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255.

    Raises ValueError for any notation but ``#rrggbb``: Plotly would draw in another colour without a word.
    """
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        raise ValueError(f"color: {color!r} is not of the form #rrggbb; give six hexadecimal digits")
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def short(value: float | None) -> str:
    """A number for a reader: ``0.0417``, ``2.3e-07``, ``–`` for none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3g}"


def rounded(values: Sequence[float | None], digits: int = 5) -> list[float | None]:
    """To ``digits`` significant digits, finer than any screen: halves what the browser is sent."""
    return [None if v is None or not math.isfinite(v) else float(f"{v:.{digits}g}") for v in values]


def for_log_axis(values: Sequence[float | None]) -> list[float | None]:
    """``rounded``, without what a log axis cannot show: zeros and below."""
    return rounded([v if v is not None and v > 0 else None for v in values])


def with_layer(words: str, layer: str) -> str:
    """``words, layer 1`` for the layer ``"0"`` of a name; the words alone where a name has none."""
    return f"{words}, layer {int(layer) + 1}" if layer.isdigit() else words


def mark_informative(
    figure: go.Figure, timesteps: Mapping[int, int] | Sequence[int], *, plot: str = ""
) -> None:
    """Dotted lines at the timesteps, from 0, whose inputs decide the target; and the legend says so.

    Args:
        figure: with timesteps from 1 across.
        timesteps: with a number of sequences each, the line is the fainter the fewer there are.
        plot: the number of the figure's axes, ``"2"`` for those of its second plot.
    """
    look = {"color": MARK, "width": 1.5, "dash": "dot"}
    counts = timesteps if isinstance(timesteps, Mapping) else dict.fromkeys(timesteps, 1)
    most = max(counts.values(), default=1)
    for t, count in counts.items():
        place = {"x0": t + 1, "x1": t + 1, "y0": 0, "y1": 1}
        figure.add_shape(
            type="line",
            xref=f"x{plot}",
            yref=f"y{plot} domain",
            **place,
            line=look,
            opacity=FAINTEST + (1 - FAINTEST) * count / most,
            layer="below",
        )
    if timesteps:
        figure.add_scatter(
            x=[None], y=[None], mode="lines", name="decides the target", line=look, uid="informative"
        )


def note(figure: go.Figure, text: str, *, inside: bool = False) -> None:
    """A few words above the plot's right end; ``inside``: in its lower right corner, under a long legend."""
    figure.add_annotation(
        text=plain(text),
        xref="paper",
        yref="paper",
        x=0.99 if inside else 1,
        y=0.02 if inside else 1.02,
        xanchor="right",
        yanchor="bottom",
        showarrow=False,
    )


def nothing_yet(figure: go.Figure, text: str) -> None:
    """Words in the middle of a plot without data; the axes keep their titles and lose the ticks."""
    figure.add_annotation(text=plain(text), xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False)
    figure.update_xaxes(showticklabels=False, showgrid=False, ticks="")
    figure.update_yaxes(showticklabels=False, showgrid=False, ticks="")


def reference_line(figure: go.Figure, x: Sequence[float], y: float, label: str, *, uid: str) -> None:
    """A dashed level at ``y`` across the span of ``x``, named in the legend.

    A curve and not a shape, so that the axis makes room for it and the legend can hide it.
    """
    figure.add_scatter(
        x=[min(x), max(x)],
        y=[y, y],
        mode="lines",
        name=plain(label),
        line={"color": GREY, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
        uid=uid,
    )
