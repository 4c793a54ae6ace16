"""Draws settings from JSON Schema. Knows no network, no task and no setting by name.

A `Draft` holds what the user has changed; everything else follows the defaults, which depend on the task. So
a change of task brings that task's defaults and keeps the user's own values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.fields import Field, choice_label, error_path, read_fields, sentence
from dashboard.text import plain
from trainer.schema import FieldError


@dataclass
class Draft:
    """A configuration in the making."""

    changed: dict[str, Any] = field(default_factory=dict)
    """The user's own values, by path."""

    def value(self, setting: Field, defaults: Mapping[str, Any]) -> Any:
        """What the setting's widget shows: the user's value where it fits the field, else the default."""
        if setting.path in self.changed and setting.accepts(self.changed[setting.path]):
            return self.changed[setting.path]
        return defaults.get(setting.name, setting.default)

    def change(self, setting: Field, value: Any) -> None:
        """Keep the user's value; a field that was emptied and must not be goes back to its default."""
        if setting.accepts(value):
            self.changed[setting.path] = value
        else:
            self.changed.pop(setting.path, None)

    def fill(self, section: str, values: Mapping[str, Any]) -> None:
        """Take every value of one section of a finished configuration as the user's own."""
        self.changed |= {f"{section}.{name}": value for name, value in values.items()}


@dataclass
class Cells:
    """Where each field was drawn, so that an error found later can appear beside it."""

    by_path: dict[str, DeltaGenerator] = field(default_factory=dict)

    def show(self, errors: Iterable[FieldError]) -> list[FieldError]:
        """Write each error under its field; returns those whose field is not on the page."""
        homeless = []
        for error in errors:
            cell = self.by_path.get(error_path(error.field))
            if cell is None:
                homeless.append(error)
            else:
                cell.markdown(f":small[:red[:material/error: {plain(sentence(error))}]]")
        return homeless


def draw_section(
    schema: Mapping[str, Any],
    section: str,
    draft: Draft,
    cells: Cells,
    *,
    defaults: Mapping[str, Any] | None = None,
    only: Iterable[str] | None = None,
    skip: Collection[str] = (),
    per_row: int = 4,
) -> dict[str, Any]:
    """A grid of widgets for the fields of one schema; returns what they hold.

    Args:
        section: the key of the configuration that these settings live under, such as ``training``; empty for
            those at its root.
        defaults: values that go before the schema's own defaults.
        only: names to draw, in this order; None draws all.
        skip: names to leave out.
    """
    settings = {setting.name: setting for setting in read_fields(schema, section) if setting.name not in skip}
    names = [name for name in (settings if only is None else only) if name in settings]
    values = {}
    for begin in range(0, len(names), per_row):
        columns = st.columns(per_row, gap="medium", vertical_alignment="top")
        for column, name in zip(columns, names[begin : begin + per_row], strict=False):
            setting = settings[name]
            cells.by_path[setting.path] = cell = column.container(gap="xxsmall")
            with cell:
                values[name] = draw_field(setting, draft, draft.value(setting, defaults or {}))
    return values


def draw_field(setting: Field, draft: Draft, value: Any) -> Any:
    """One widget holding ``value``; a change goes into the draft."""
    key = f"{'optional' if setting.nullable else 'field'}:{setting.path}"  # style.css tells them apart
    st.session_state[key] = setting.cast(value)

    def remember() -> None:
        draft.change(setting, st.session_state[key])

    empty = setting.when_empty if setting.nullable else None
    common: dict[str, Any] = {"key": key, "help": setting.help or None, "on_change": remember}
    if setting.kind == "boolean":
        st.space("small")  # down to where its neighbours, which have a label above, have their boxes
        return st.toggle(setting.label, **common)
    if setting.kind == "choice":
        options = [*([None] if setting.nullable else []), *setting.choices]
        return st.selectbox(setting.label, options, format_func=choice_label, **common)
    if setting.kind == "text":
        return st.text_input(setting.label, placeholder=empty, **common)
    return st.number_input(
        setting.label,
        value=None,  # the session holds the value; a number that is wiped out comes back as its default
        step=setting.step,
        format="%d" if setting.kind == "integer" else "%g",
        placeholder=empty,
        **common,
    )
