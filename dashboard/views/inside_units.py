"""The views of the page Inside that show units at work: gates, places in a text, surgery."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from dashboard.charts.coloured_text import between, coloured_text, largest_of, text_around
from dashboard.charts.gates import (
    Track,
    align,
    heatmaps,
    saturation_figure,
    tokens_of,
    track_figure,
    unit_title,
)
from dashboard.charts.samples import sequence_figure
from dashboard.charts.time_gradients import quantity_order, quantity_title
from dashboard.components.live_plot import live_plot
from dashboard.text import many, number, plain, share
from dashboard.theme import RUN_COLORS, run_color, run_dash
from dashboard.views.inside_parts import Look, choose
from dashboard.views.inside_samples import draw_samples, verdict, wrong_words
from dashboard.views.parts import heading, letters_of, task_entry
from trainer.schema import GatesView, Grid, PlacesView, SurgerySide, SurgeryView
from trainer.schema.standing import SPREADS

FIRST_SHOWN = 4
"""Heatmaps that are shown until the reader chooses."""


# --- Gates and states --------------------------------------------------------------------------------


def draw_gates(look: Look, found: GatesView) -> None:
    """The sequence, the heatmaps under it, one unit's track, and saturation."""
    tokens = tokens_of(found.sample.channels)
    lanes, titles = _lanes(found), _titles(look, found)
    length = max((len(rows) for rows in lanes.values()), default=1)
    task = task_entry(look.service, look.run)
    with st.container(gap=None):
        st.markdown(verdict(found.sample, task))
        wrong_words(task)
    if tokens is None:
        figure = sequence_figure(found.sample, color=look.color)
        align(figure, found.begin, length)
        live_plot(
            figure,
            key="plot-gates-input",
            description=f"Input of the sequence: target {found.sample.target}",
            file_name=f"run-{look.run.number}-input",
        )
    if not found.gates:
        st.info("This network has no gates; its states are shown.", icon=":material/info:")
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        shown = st.multiselect(
            "Show",
            list(lanes),
            default=list(lanes)[:FIRST_SHOWN],
            format_func=titles.__getitem__,
            key="gates-show",
            bind="query-params",
            width="stretch",
        )
        units = max((len(rows[0]) for rows in lanes.values() if rows), default=1)
        unit = st.number_input(
            "One unit",
            min_value=0,
            max_value=units - 1,
            value=0,
            key="gates-unit",
            bind="query-params",
            width=140,
        )
    live_plot(
        heatmaps(
            {name: lanes[name] for name in shown}, begin=found.begin, titles=titles, tokens=tokens, unit=unit
        ),
        key=f"plot-gates-{len(shown)}",
        description=f"{', '.join(titles[name] for name in shown)}: timesteps across, units down",
        file_name=f"run-{look.run.number}-gates",
    )
    _track(look, found, unit, tokens)
    if found.saturation:
        heading(
            "Saturated?",
            "Each dot is a unit. Bottom left: it uses its whole range. On the dashed line: it stands near an "
            "end of it all the time, where hardly any gradient passes. Near is within a tenth of the range: "
            "of a gate, below 0.1 (shut) or above 0.9 (open); of what goes from −1 to 1, beyond ±0.8.",
        )
        live_plot(
            saturation_figure(found.saturation, letters_of(look.service, look.run)),
            key="plot-saturation",
            description="Shares of the time at which each gate's units are near the ends of their range",
            file_name=f"run-{look.run.number}-saturation",
        )


def _lanes(found: GatesView) -> dict[str, Grid]:
    """Gates, then states, layer by layer, in the order in which a reader follows them."""
    states = {name: found.states[name] for name in sorted(found.states, key=quantity_order)}
    names = sorted([*found.gates, *states], key=lambda name: name.partition("/")[2])
    everything = {**found.gates, **states}
    return {name: everything[name] for name in names}


def _titles(look: Look, found: GatesView) -> dict[str, str]:
    """Of gates and states: one letter may stand for a gate in one network and for a state in another."""
    letters = letters_of(look.service, look.run)
    gates = {name: unit_title(name, letters) for name in found.gates}
    return {name: quantity_title(name) for name in found.states} | gates


def _track(look: Look, found: GatesView, unit: int, tokens: Sequence[str] | None) -> None:
    """One unit, through its gates and states; or the same unit of several runs."""
    layers = sorted({name.partition("/")[2] for name in found.states})
    layer = layers[0]
    if len(layers) > 1:
        layer = choose(
            "Layer of the unit",
            layers,
            key="gates-layer",
            words=lambda key: f"layer {int(key) + 1}",
            width=180,
        )
    titles = _titles(look, found)
    tracks = [
        Track(
            name=titles[name],
            color=RUN_COLORS[place % len(RUN_COLORS)],
            dash="solid" if name in found.states else "dot",
            values=[row[unit] for row in rows],
            panel=quantity_title(name.partition("/")[0]) if name in found.states else "gates",
        )
        for place, (name, rows) in enumerate(_lanes(found).items())
        if name.partition("/")[2] == layer and rows and unit < len(rows[0])
    ]
    dotted = "Dotted: its gates. " if found.gates else ""
    heading(f"Unit {unit}", f"{dotted}Solid: what it holds, each state on a scale of its own.")
    live_plot(
        track_figure(tracks, begin=found.begin, tokens=tokens, informative=found.sample.informative),
        key="plot-track",
        description=f"Gates and states of unit {unit} over the sequence",
        file_name=f"run-{look.run.number}-unit-{unit}",
    )
    held = min((name for name in found.states if name.endswith(f"/{layer}")), key=quantity_order)
    if tokens is not None:
        st.caption(f"The same sequence, coloured by {quantity_title(held)}: blue above 0, orange below.")
        values = [None] * found.begin + [row[unit] if unit < len(row) else None for row in found.states[held]]
        length = min(len(tokens), len(values))
        st.html(coloured_text(tokens[:length], values[:length], apart=between(tokens)))
    if look.beside:
        _beside(look, found, unit, held, tokens)


def _beside(look: Look, found: GatesView, unit: int, held: str, tokens: Sequence[str] | None) -> None:
    names, tracks = look.names, []
    for run in (look.run, *look.beside):
        result: object = found
        if run.id != look.run.id:
            kept = look.service.checkpoints(run.id)
            if not kept:
                st.caption(f"{plain(names[run.id])} has no checkpoint.")
                continue
            result = look.of(run, max(info.step for info in kept)).inspect().result
        rows = result.states.get(held) if isinstance(result, GatesView) else None
        if not rows or unit >= len(rows[0]):
            st.caption(f"{plain(names[run.id])} has no unit {unit} of {quantity_title(held)}.")
            continue
        tracks.append(
            Track(
                name=names[run.id],
                color=run_color(run.number),
                dash=run_dash(run.number),
                values=[row[unit] for row in rows],
            )
        )
    heading(
        "The same unit in several runs",
        "They read the same sequence where task, length and seed are the same: set a seed above, under more "
        "settings. What a unit means differs from run to run.",
    )
    live_plot(
        track_figure(tracks, begin=found.begin, tokens=tokens, informative=found.sample.informative),
        key="plot-track-beside",
        description=f"{quantity_title(held)} of unit {unit} in {len(tracks)} runs",
        file_name=f"unit-{unit}-in-several-runs",
    )


# --- Places in the text ------------------------------------------------------------------------------


def draw_places(look: Look, found: PlacesView) -> None:
    """Where the unit is highest and lowest, as text around each place."""
    del look  # a state is called the same in every network
    state, _, unit = found.unit.partition(" ")
    st.markdown(f"Unit {plain(unit)} of the {plain(quantity_title(state))}, over {found.read:,} symbols.")
    largest = largest_of(place.value for place in (*found.highest, *found.lowest))
    for column, title, places in zip(
        st.columns(2, gap="large"), ("Highest", "Lowest"), (found.highest, found.lowest), strict=True
    ):
        with column:
            heading(title)
            apart = between([place.symbol for place in places])
            lines = (
                text_around(
                    place.before, place.symbol, place.after, place.value, largest=largest, apart=apart
                )
                for place in places
            )
            st.html("".join(lines))
    st.caption("Blue above 0, orange below, and the stronger the larger: on one scale for all lines.")


# --- Surgery -----------------------------------------------------------------------------------------


def draw_surgery(look: Look, found: SurgeryView) -> None:
    """The untouched network and the one with a clamp, side by side."""
    letters, task = letters_of(look.service, look.run), task_entry(look.service, look.run)
    held = found.clamped.replace(found.target, unit_title(found.target, letters), 1)
    with st.container(gap=None):
        st.markdown(f"Held: **{plain(held)}**. {change_words(found)}")
        chance = f" A blind guess has a loss of {number(found.chance.loss)}." if found.chance else ""
        st.caption(
            f"Measured on {many(found.sequences, 'sequence')}, the same for both; ± is the standard error: "
            f"how far the numbers would differ on other sequences.{chance}"
        )
        wrong_words(task)
    sides = (("Untouched", "untouched", found.untouched), ("With the clamp", "changed", found.changed))
    for column, (title, key, side) in zip(st.columns(2, gap="large"), sides, strict=True):
        with column:
            heading(title)
            _side(side)
            draw_samples(
                side.samples,
                task=task,
                color=look.color,
                key=f"surgery-{key}",
                per_row=1,
                file_name=f"surgery-{key}",
            )


STANDING = {
    "at chance": ":orange-badge[at chance: no better than guessing]",
    "worse": ":orange-badge[worse than chance]",
}
"""What is said of a loss that is not better than that of a blind guess."""


def _side(side: SurgerySide) -> None:
    st.markdown(side_words(side))


def side_words(side: SurgerySide) -> str:
    """Loss and wrong answers, each with its spread, and how many were judged; and whether that is chance."""
    judged = f" ({side.wrong:,} of {side.total:,})" if side.total else ""
    line = (
        f"Loss **{number(side.loss)}**{_spread(side.loss_spread)} · wrong **{share(side.error)}**"
        f"{_spread(side.error_spread, share)}{judged}"
    )
    return " ".join(filter(None, (line, STANDING.get(side.standing or ""))))


def change_words(found: SurgeryView) -> str:
    """What holding it did to the loss, sequence by sequence, and whether that is more than their spread."""
    before, after = found.untouched.loss, found.changed.loss
    if before is None or after is None:
        return "The loss is no number any more."
    change, spread = found.loss_change, found.loss_change_spread
    if change is None:
        change = after - before
    if change == 0:
        return "It changes nothing: the loss is the same."
    told = f"Change of the loss {change:+.3g}{_spread(spread)}"
    if spread is not None and abs(change) <= SPREADS * spread:
        return f"{told}: on so few sequences not told from none."
    return f"{told}."


def _spread(value: float | None, words: Callable[[float | None], str] = number) -> str:
    return "" if value is None else f" ± {words(value)}"
