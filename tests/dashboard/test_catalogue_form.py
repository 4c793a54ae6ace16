"""The form of every network, task and training setting there really is: calm, explained, no dead ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dashboard.fields import Field, read_fields
from dashboard.views.chooser import aligned, grouped
from trainer.config import catalog
from trainer.inspection import view_entries
from trainer.schema import CatalogEntry
from trainer.schema.effects import alternatives, path_of

CATALOG = catalog()
SECTIONS: dict[str, tuple[str, Mapping[str, Any]]] = {
    **{f"model {entry.name}": ("model", entry.json_schema) for entry in CATALOG.models},
    **{f"task {entry.name}": ("task", entry.json_schema) for entry in CATALOG.tasks},
    "training": ("training", CATALOG.training_schema),
    "analysis": ("analysis", CATALOG.analysis_schema),
}
VIEWS = {f"view {entry.name}": (entry.name, entry.json_schema) for entry in view_entries()}
ENTRIES = {entry.name: entry for entry in [*CATALOG.models, *CATALOG.tasks]}


def fields(section: str) -> list[Field]:
    prefix, schema = {**SECTIONS, **VIEWS}[section]
    return read_fields(schema, prefix)


@pytest.mark.parametrize("section", SECTIONS)
def test_no_section_puts_more_than_nine_settings_in_view(section: str) -> None:
    """The others fold away."""
    assert sum(not setting.advanced for setting in fields(section)) <= 9


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_explained_and_has_a_default_that_its_widget_can_show(section: str) -> None:
    for setting in fields(section):
        assert len(setting.help) > 15, setting.path
        assert setting.accepts(setting.default), setting.path
        assert len(setting.label) <= 32, f"{setting.path}: {setting.label!r} does not fit over its box"
        assert set(setting.labels) <= set(setting.choices), setting.path


@pytest.mark.parametrize("section", [*SECTIONS, *VIEWS])
def test_a_condition_names_a_setting_or_a_property_that_exists(section: str) -> None:
    """And values that it can have: a misspelt one would hide its setting for ever."""
    for setting in fields(section):
        rules = [setting.schema.get("only_if", {}), *setting.schema.get("choice_if", {}).values()]
        for conditions in (part for rule in rules for part in alternatives(rule)):
            for name, wanted in conditions.items():
                assert_exists(path_of(name, setting.path.partition(".")[0]), wanted, setting)
        assert set(setting.schema.get("choice_if", {})) <= set(setting.choices), setting.path


def assert_exists(path: str, wanted: Any, asking: Field) -> None:
    named = [field for section in (*SECTIONS, *VIEWS) for field in fields(section) if field.path == path]
    of_entry = path.partition(".")[2] in {*CatalogEntry.model_fields, "text"}
    assert named or of_entry, f"{asking.path}: {path}"
    if isinstance(wanted, list):
        assert all(any(field.accepts(value) for field in named) for value in wanted), asking.path


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_stands_in_a_group_and_is_told_in_a_line(name: str) -> None:
    entry = ENTRIES[name]
    assert entry.group
    assert 20 <= len(entry.summary) <= 100, entry.summary
    assert entry.summary.endswith(".")
    assert entry.source


@pytest.mark.parametrize("name", [task.name for task in CATALOG.tasks])
def test_every_task_says_which_loss_it_has_and_why(name: str) -> None:
    """The page shows the reason as it stands, so the reason has to name the loss."""
    entry = ENTRIES[name]
    kind = {"mse": "Squared error", "cross_entropy": "Cross-entropy"}[str(entry.loss_kind)]
    assert entry.loss_reason.startswith(f"{kind}: ")


@pytest.mark.parametrize("name", [model.name for model in CATALOG.models])
def test_equations_stand_under_each_other_at_their_first_sign(name: str) -> None:
    lines = aligned(ENTRIES[name].equations).split(r" \\ ")
    assert len(lines) == len(ENTRIES[name].equations.splitlines())
    assert all(line.count("&") == 1 for line in lines), lines


def test_equations_are_aligned_at_equals_or_element_of() -> None:
    assert aligned("y = a = b\n\\phi \\in \\{x = 1\\}") == (
        r"\begin{aligned} y &= a = b \\ \phi &\in \{x = 1\} \end{aligned}"
    )


def test_groups_keep_the_catalogues_order_and_what_has_none_comes_last() -> None:
    def entry(name: str, group: str) -> CatalogEntry:
        return CatalogEntry(name=name, title=name, summary="", group=group, source="", json_schema={})

    entries = [entry("a", "two"), entry("b", ""), entry("c", "one"), entry("d", "two")]
    found = {group: [member.name for member in members] for group, members in grouped(entries).items()}
    assert list(found.items()) == [("two", ["a", "d"]), ("one", ["c"]), ("Others", ["b"])]
