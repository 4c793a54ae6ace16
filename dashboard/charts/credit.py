"""Does credit reach the marker? Ratios of gradient norms, and the norms of one sequence by timestep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import plotly.graph_objects as go

from dashboard.charts.lines import as_line, gap_words, said
from dashboard.charts.style import (
    GREY,
    TIMESTEP_TITLE,
    base_figure,
    for_log_axis,
    mark_informative,
    nothing_yet,
    rounded,
)
from dashboard.charts.time_gradients import norm_symbol, quantity_order, quantity_title
from dashboard.theme import RUN_COLORS
from trainer.schema import CreditShare, CreditView


def ratio_figure(view: CreditView, *, color: str, step: int | None) -> go.Figure:
    """Informative ÷ distractors, now and before training; a line at 1, where both are heard alike."""
    figure = base_figure("gradient at informative ÷ at other timesteps", "", height=400)
    names = sorted(view.now, key=_order, reverse=True)
    now = {name: view.now[name].ratio for name in names}
    start = {name: view.at_start[name].ratio if name in view.at_start else None for name in names}
    if _is_empty(view):
        reasons = list(_reasons(view))
        nothing_yet(figure, reasons[0] if len(reasons) == 1 else "There is no ratio to show.")
        return figure
    words = [credit_title(name) for name in names]
    for name, word in zip(names, words, strict=True):
        if start[name] and now[name]:
            figure.add_scatter(
                x=[start[name], now[name]],
                y=[word, word],
                mode="lines",
                line={"color": GREY, "width": 1.5},
                hoverinfo="skip",
                showlegend=False,
                uid=f"from-{name.replace('/', '-')}",
            )
    for uid, label, values, look in (
        ("start", "before training", start, {"color": GREY, "symbol": "circle-open", "size": 12}),
        ("now", f"step {step:,}" if step is not None else "now", now, {"color": color, "size": 13}),
    ):
        figure.add_scatter(
            x=rounded([values[name] or None for name in names]),
            y=words,
            mode="markers",
            marker=look,
            name=label,
            hovertemplate="%{x:.3g} times",
            uid=uid,
        )
    figure.add_vline(x=1, line={"color": GREY, "dash": "dash", "width": 1.5}, layer="below")
    figure.update_layout(hovermode="closest", margin={"l": 190})
    figure.update_xaxes(type="log", nticks=6, tickformat="", rangemode="normal")
    figure.update_yaxes(type="category", rangemode="normal")
    return figure


def norms_figure(norms: Mapping[str, Sequence[float | None]], informative: Sequence[int]) -> go.Figure:
    """The gradient's norm at each timestep of one sequence, on a log axis; lines where its markers stand."""
    figure = base_figure(TIMESTEP_TITLE, "‖∂loss/∂·‖ (norm)", height=400, y_type="log")
    figure.update_xaxes(rangemode="normal")
    colors = credit_colors(norms)
    for name in sorted(norms, key=_order):
        y = for_log_axis(norms[name])
        figure.add_scatter(
            x=list(range(1, len(y) + 1)),
            y=y,
            **as_line(y, color=colors[name]),
            name=said(norm_symbol(name), gap_words(norms[name])),
            line={"color": colors[name], "width": 2},
            hovertemplate="%{y:.3g}",
            uid=name.replace("/", "-"),
        )
    mark_informative(figure, informative)
    return figure


def credit_colors(names: Iterable[str]) -> dict[str, str]:
    """A colour for the inputs and each state, the same wherever they are drawn."""
    return {name: RUN_COLORS[i % len(RUN_COLORS)] for i, name in enumerate(sorted(names, key=_order))}


def missing_words(view: CreditView) -> list[str]:
    """Which ratios the figure does not show, and why; empty where it shows all, or says itself why none."""
    return (
        []
        if len(reasons := _reasons(view)) == 1 and _is_empty(view)
        else [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
    )


def _is_empty(view: CreditView) -> bool:
    return not any(share.ratio for shares in (view.now, view.at_start) for share in shares.values())


def _reasons(view: CreditView) -> dict[str, list[str]]:
    """Which ratios cannot be drawn, by the reason."""
    found: dict[str, list[str]] = {}
    for shares, when in ((view.now, ""), (view.at_start, ", before training")):
        for name in sorted(shares, key=_order):
            if not shares[name].ratio:
                found.setdefault(_no_ratio_words(shares[name]), []).append(credit_title(name) + when)
    return found


def _no_ratio_words(share: CreditShare) -> str:
    if share.informative is None or share.distractors is None:
        return "The gradient is no finite number here: it has exploded."
    if share.informative:
        return "Only the timesteps that decide the target get a gradient."
    if share.distractors:
        return "Only the timesteps that do not decide the target get a gradient."
    return "No gradient arrives at any timestep."


def _order(name: str) -> tuple[bool, tuple[int, str, int]]:
    return name != "x", quantity_order(name)


def credit_title(name: str) -> str:
    """What the gradient is taken by: the inputs, or a part of the state."""
    return "inputs x" if name == "x" else quantity_title(name)
