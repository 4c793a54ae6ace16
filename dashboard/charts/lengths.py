"""The generalisation curve: how a trained network does on sequences longer than those it was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from dashboard.charts.style import (
    GREY,
    MARK,
    AxisType,
    base_figure,
    nothing_yet,
    plain,
    reference_line,
    rounded,
    short,
)
from trainer.schema import LengthVerdict, error_standing, percent, standing

LENGTH_TITLE = "length of the test sequences (the task's setting)"


@dataclass(frozen=True, kw_only=True)
class LengthCurve:
    """The tests of one run at growing lengths."""

    name: str
    color: str
    verdicts: Sequence[LengthVerdict]
    trained: tuple[int, int] | None
    """The shortest and the longest length that it was trained on."""
    dash: str = "solid"


def has_errors(curves: Mapping[str, LengthCurve]) -> bool:
    """Whether every test tells right from wrong, so that error rates can be drawn; else losses are."""
    return all(verdict.error is not None for curve in curves.values() for verdict in curve.verdicts)


def length_figure(
    curves: Mapping[str, LengthCurve],
    *,
    unit: str,
    chance: float | None = None,
    y_type: AxisType = "linear",
) -> go.Figure:
    """Error rate, or loss where a task has no right and wrong, against length, a curve per run.

    Args:
        curves: by run id.
        unit: of what is drawn: what the error rate counts, or what the loss is measured in.
        chance: the error (0 to 1) or loss of a blind guess at the training length, where all runs share it:
            for tests that do not hold that of each length.
        y_type: of the axis of losses; error rates have a linear one, from 0 to 100.
    """
    errors = has_errors(curves)
    title = f"{unit} (%)" if errors else f"test loss ({unit})"
    figure = base_figure(LENGTH_TITLE, title, y_type="linear" if errors else y_type)
    # Ticks at 1, 2 and 5 times a power of ten: lengths are read off as numbers.
    figure.update_xaxes(type="log", rangemode="normal", dtick="D2", tickformat=",d", hoverformat=",d")
    lengths = [verdict.length for curve in curves.values() for verdict in curve.verdicts]
    if not lengths:
        nothing_yet(figure, "The test on longer sequences comes after the last update.")
        return figure
    figure.update_xaxes(range=[math.log10(min(lengths)) - 0.05, math.log10(max(lengths)) + 0.05])
    for uid, curve in curves.items():
        verdicts = sorted(curve.verdicts, key=lambda verdict: verdict.length)
        values = [_value(verdict, errors) for verdict in verdicts]
        figure.add_scatter(
            x=[verdict.length for verdict in verdicts],
            y=rounded(values),
            customdata=[f"{v.wrong:,} wrong of {v.total:,}, loss {short(v.loss)}" for v in verdicts],
            mode="lines+markers",
            name=plain(curve.name),
            line={"color": curve.color, "width": 2, "dash": curve.dash},
            marker={"color": curve.color, "size": 6},
            hovertemplate="%{y:.5g} %: %{customdata}" if errors else "%{y:.3g}: %{customdata}",
            uid=uid,
        )
    _mark_training(figure, {curve.trained for curve in curves.values() if curve.trained})
    levels = _chance_at(curves, errors)
    if levels:
        figure.add_scatter(
            x=list(levels),
            y=rounded(list(levels.values())),
            mode="lines" if len(levels) > 1 else "markers",
            name="chance at each length",
            line={"color": GREY, "dash": "dash", "width": 1.5},
            hovertemplate="%{y:.3g} %" if errors else "%{y:.3g}",
            uid="chance",
        )
    elif chance is not None:
        told = percent(chance, 3) if errors else short(chance)
        level = 100 * chance if errors else chance
        reference_line(figure, lengths, level, f"chance at the training length {told}", uid="chance")
    return figure


def _chance_at(curves: Mapping[str, LengthCurve], errors: bool) -> dict[int, float]:
    """What a blind guess scores at each length at which all runs have the same, the shortest first."""
    found: dict[int, set[float | None]] = {}
    for curve in curves.values():
        for verdict in curve.verdicts:
            blind = verdict.chance
            level = None if blind is None else blind.error if errors else blind.loss
            found.setdefault(verdict.length, set()).add(level)
    shared = {length: next(iter(levels)) for length, levels in sorted(found.items()) if len(levels) == 1}
    return {length: 100 * level if errors else level for length, level in shared.items() if level is not None}


def is_at_chance(curve: LengthCurve) -> bool:
    """Whether the network does no better than a blind guess at the shortest length that was tested."""
    verdict = min(curve.verdicts, key=lambda verdict: verdict.length, default=None)
    if verdict is None or verdict.chance is None:
        return False
    chance = verdict.chance
    by_error = error_standing(verdict.error, verdict.total, chance.error)
    return (by_error or standing(verdict.loss, chance.loss)) in ("at chance", "worse")


def rule_words(curves: Mapping[str, LengthCurve]) -> str:
    """What the curves' shape means; a network at chance has found nothing, however flat its curve is."""
    guessing = [curve for curve in curves.values() if is_at_chance(curve)]
    if len(guessing) == len(curves) == 1:
        return "It is at chance at the length that it was trained on: it guesses, there and at any other."
    if guessing and len(guessing) == len(curves):
        return (
            "All are at chance at the length that they were trained on: they guess, there and at any other."
        )
    words = (
        "Low and flat means that the rule was found, rising that the length was learnt as well, flat at "
        "chance that nothing was."
    )
    names = ", ".join(curve.name for curve in guessing)
    return f"{words} At chance from the beginning: {names}." if guessing else words


def _value(verdict: LengthVerdict, errors: bool) -> float | None:
    if errors and verdict.error is not None:
        return 100 * verdict.error
    return verdict.loss


def _mark_training(figure: go.Figure, trained: set[tuple[int, int]]) -> None:
    """A dotted line at the length that all runs were trained on, or a band over the lengths."""
    if len(trained) != 1:
        return
    shortest, longest = trained.pop()
    if shortest == longest:
        figure.add_vline(x=shortest, line={"color": MARK, "width": 1.5, "dash": "dot"}, layer="below")
        words = f"trained at {shortest:,}"
    else:
        figure.add_vrect(x0=shortest, x1=longest, fillcolor=MARK, opacity=0.15, line_width=0, layer="below")
        words = f"trained at {shortest:,} to {longest:,}"
    figure.add_scatter(  # stands for the line in the legend
        x=[None],
        y=[None],
        mode="lines",
        name=words,
        line={"color": MARK, "dash": "dot", "width": 1.5},
        uid="trained",
    )
