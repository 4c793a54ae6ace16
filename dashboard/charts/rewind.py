"""Two futures from one checkpoint: the loss and the gradient norm of each update."""

from __future__ import annotations

import plotly.graph_objects as go

from dashboard.charts.style import COOL, STEP_TITLE, WARM, base_figure, nothing_yet, rounded
from trainer.schema import Future, RewindView

FUTURES = (("untouched", "as it was", COOL), ("changed", "changed", WARM))


def loss_figure(view: RewindView, *, unit: str) -> go.Figure:
    """The training loss of both futures, on the same batches."""
    figure = base_figure(STEP_TITLE, f"training loss ({unit})" if unit else "training loss", height=380)
    figure.update_xaxes(rangemode="normal")
    for name, label, color in FUTURES:
        future: Future = getattr(view, name)
        _add(figure, view, future.loss, label, color, name)
    if not any(view.untouched.loss) and not any(view.changed.loss):
        nothing_yet(figure, "Neither future made a single update.")
    return figure


def norm_figure(view: RewindView) -> go.Figure:
    """The gradient's norm before (dotted) and after (solid) the clip, on a log axis."""
    figure = base_figure(STEP_TITLE, "gradient norm (L2, all weights)", height=380, y_type="log")
    figure.update_xaxes(rangemode="normal")
    for name, label, color in FUTURES:
        future: Future = getattr(view, name)
        if any(future.clipped):
            before = [v or None for v in future.norm_before]
            _add(figure, view, before, f"{label}, before the clip", color, f"{name}-before", "dot")
        _add(figure, view, [v or None for v in future.norm_after], label, color, name)
    return figure


def _add(
    figure: go.Figure,
    view: RewindView,
    values: list[float | None],
    name: str,
    color: str,
    uid: str,
    dash: str = "solid",
) -> None:
    figure.add_scatter(
        x=view.steps[: len(values)],
        y=rounded(values),
        mode="lines",
        name=name,
        # The first drawn stays in sight beneath one that lies on it.
        line={
            "color": color,
            "width": 1.4 if dash == "dot" else 5 if uid == "untouched" else 2,
            "dash": dash,
        },
        opacity=0.6 if uid == "untouched" else 1,
        hovertemplate="%{y:.4g}",
        uid=uid,
    )
