"""Two futures from one checkpoint: the loss and the gradient norm of each update."""

from __future__ import annotations

import plotly.graph_objects as go

from dashboard.charts.lines import as_line, gap_words, said
from dashboard.charts.style import (
    COOL,
    STEP_TITLE,
    WARM,
    AxisType,
    base_figure,
    for_log_axis,
    nothing_yet,
    rounded,
)
from trainer.schema import Future, RewindView

FAR = 30.0
"""How many times as large one loss may be as another before a log axis shows both."""
CLIPS = {"clip", "clip_at"}
"""Changes that are nothing where nothing is clipped."""
FUTURES = (("untouched", "as it was", COOL), ("changed", "changed", WARM))


def loss_figure(view: RewindView, *, unit: str) -> go.Figure:
    """The training loss of both futures, on the same batches."""
    losses = [loss for loss in (*view.untouched.loss, *view.changed.loss) if loss is not None]
    is_far = bool(losses) and min(losses) > 0 and max(losses) > FAR * min(losses)
    y_type: AxisType = "log" if is_far else "linear"
    said = f"training loss ({unit})" if unit else "training loss"
    figure = base_figure(STEP_TITLE, said, height=380, y_type=y_type)
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
            before = said(
                f"{label}, before the clip", gap_words(future.norm_before, "updates", missing=False)
            )
            drawn = for_log_axis(future.norm_before)
            _add(figure, view, drawn, before, color, f"{name}-before", "dot")
        after = said(label, gap_words(future.norm_after, "updates", missing=False))
        _add(figure, view, for_log_axis(future.norm_after), after, color, name)
    return figure


def parting_words(view: RewindView) -> str:
    """From where on the two futures differ: equal curves hide each other, so that it has to be said."""
    each = [
        list(zip(future.loss, future.norm_after, strict=False)) for future in (view.untouched, view.changed)
    ]
    both = zip(view.steps, *each, strict=False)
    parted = next((step for step, here, there in both if here != there), None)
    if parted is None and len(each[0]) == len(each[1]):
        idle = not any((*view.untouched.clipped, *view.changed.clipped))
        why = ": no gradient was so long that it was clipped" if idle and {*view.changes} <= CLIPS else ""
        made = len(each[0])
        over = "this one update" if made == 1 else f"these {made:,} updates"
        return f"Both futures were the same over {over}{why}." if made else ""
    if parted is None:
        return "Both futures were the same as far as both went."
    if parted == view.steps[0]:
        return f"They part at once, at step {parted:,}."
    return f"They are the same up to step {parted - 1:,} and part at step {parted:,}."


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
        **as_line(values, color=color),
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
