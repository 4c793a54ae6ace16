"""Draws settings from JSON Schema. Knows no network, no task and no setting by name.

A `Draft` holds what the user has changed; everything else follows the defaults, which depend on the task. So
a change of task brings that task's defaults and keeps the user's own values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.fields import Field, error_path, read_fields, sentence
from dashboard.text import plain
from trainer.schema import FieldError, settle

PER_ROW = 4
"""Fields side by side."""
TOGGLE_DROP = 28
"""Pixels that bring a toggle down to where its neighbours, which have a label above, have their boxes."""
PER_ROW_FOLDED = 3
"""The same inside a fold, which is narrower and whose fields have longer names."""


@dataclass
class Draft:
    """A configuration in the making."""

    changed: dict[str, Any] = field(default_factory=dict)
    """The user's own values, by path."""

    def value(self, setting: Field, default: Any) -> Any:
        """What the setting's widget shows: the user's value where it fits the field, else the default."""
        if setting.path in self.changed and setting.accepts(self.changed[setting.path]):
            return setting.read(self.changed[setting.path])
        return default

    def change(self, setting: Field, value: Any) -> None:
        """Keep the user's value; a field that was emptied and must not be goes back to its default."""
        if setting.accepts(value):
            self.changed[setting.path] = setting.read(value)
        else:
            self.changed.pop(setting.path, None)

    def fill(self, section: str, values: Mapping[str, Any]) -> None:
        """Take every value of one section of a finished configuration as the user's own."""
        self.changed |= {f"{section}.{name}": value for name, value in values.items()}


@dataclass
class Cells:
    """Where each field was drawn, so that an error found later can appear beside it."""

    by_path: dict[str, DeltaGenerator] = field(default_factory=dict)
    folded: dict[str, str] = field(default_factory=dict)
    """The fields that are folded away, by path: their label and the fold's."""

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

    def hidden(self, errors: Iterable[FieldError]) -> list[str]:
        """Where those of the errors are that stand beside a field which is folded away."""
        paths = dict.fromkeys(error_path(error.field) for error in errors)
        return [self.folded[path] for path in paths if path in self.folded]


@dataclass(frozen=True, kw_only=True)
class Section:
    """The settings of one part of a configuration: which there are, what they hold, which are in view."""

    fields: Sequence[Field]
    """Those that have an effect, in the schema's order."""
    values: Mapping[str, Any]
    """Of all settings: one that has no effect has its schema's default."""
    defaults: Mapping[str, Any]
    """By name: what each field holds where the user has not changed it."""

    def with_(self, other: Section) -> Section:
        """Both sections' settings, to be drawn together."""
        return Section(
            fields=[*self.fields, *other.fields],
            values={**self.values, **other.values},
            defaults={**self.defaults, **other.defaults},
        )


def read_sections(
    schemas: Mapping[str, Mapping[str, Any]],
    draft: Draft,
    known: Mapping[str, Any],
    *,
    defaults: Mapping[str, Any] | None = None,
) -> dict[str, Section]:
    """What the sections of a configuration hold by the draft.

    They are read together, since a setting may have an effect with some settings of another section only.

    Args:
        schemas: of each section's settings, by the key of the configuration that they live under, such as
            ``training``; empty for its root.
        known: properties of the chosen entries, and settings that are not asked about, by path.
        defaults: values that go before the schemas' own defaults, by path.
    """
    fields = {name: read_fields(schema, name) for name, schema in schemas.items()}
    by_path = {setting.path: setting for part in fields.values() for setting in part}
    usual = {path: (defaults or {}).get(path, setting.default) for path, setting in by_path.items()}
    wanted = {path: draft.value(setting, usual[path]) for path, setting in by_path.items()}
    values, idle = settle({path: setting.schema for path, setting in by_path.items()}, wanted, known)
    known = {**known, **values}
    return {
        name: Section(
            fields=[setting.open_to(known) for setting in part if setting.path not in idle],
            values={setting.name: values[setting.path] for setting in part},
            defaults={setting.name: usual[setting.path] for setting in part},
        )
        for name, part in fields.items()
    }


def read_section(schema: Mapping[str, Any], name: str, draft: Draft, known: Mapping[str, Any]) -> Section:
    """``read_sections`` of a single one."""
    return read_sections({name: schema}, draft, known)[name]


def draw_section(
    section: Section, draft: Draft, cells: Cells, *, more: str, skip: Collection[str] = ()
) -> dict[str, Any]:
    """A grid of widgets for the settings of a section, then a fold with the advanced ones.

    Args:
        more: the fold's label.
        skip: names of settings that are drawn elsewhere; they are left out of what is returned.

    Returns:
        What the widgets hold, and the settings without an effect.
    """
    values = {name: value for name, value in section.values.items() if name not in skip}
    fields = [setting for setting in section.fields if setting.name not in skip]
    values |= draw_grid([s for s in fields if not s.advanced], section.values, draft, cells, PER_ROW)
    folded = [setting for setting in fields if setting.advanced]
    if not folded:
        return values
    changed = sum(section.values[s.name] != section.defaults[s.name] for s in folded)
    label = f"{more} ({changed} changed)" if changed else more
    with st.expander(label, icon=":material/tune:", key=f"launch.more:{more}"):
        topics: dict[str, list[Field]] = {}
        for setting in folded:
            topics.setdefault(setting.topic, []).append(setting)
            cells.folded[setting.path] = f"{setting.label}, under {more}"
        for topic, together in topics.items():
            if topic:
                st.caption(f"**{topic}**")
            values |= draw_grid(together, section.values, draft, cells, PER_ROW_FOLDED)
    return values


def draw_grid(
    settings: Sequence[Field], shown: Mapping[str, Any], draft: Draft, cells: Cells, per_row: int
) -> dict[str, Any]:
    """Widgets for the settings, ``per_row`` side by side; returns what they hold."""
    values = {}
    for begin in range(0, len(settings), per_row):
        row = settings[begin : begin + per_row]
        columns = st.columns(per_row, gap="medium", vertical_alignment="top")
        for column, setting in zip(columns, row, strict=False):
            cells.by_path[setting.path] = cell = column.container(gap="xxsmall")
            with cell:
                if setting.kind == "boolean" and any(other.kind != "boolean" for other in row):
                    st.space(TOGGLE_DROP)
                values[setting.name] = draw_field(setting, draft, shown[setting.name])
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
        return st.toggle(setting.label, **common)
    if setting.kind == "choice":
        options = [*([None] if setting.nullable else []), *setting.choices]
        return st.selectbox(
            setting.label,
            options,
            format_func=setting.choice_label,
            placeholder=setting.choice_label(None),
            **common,
        )
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
