"""Which settings have an effect, by the rules in their schemas.

The form hides the others, the service refuses them.

A setting's ``only_if`` is a rule, and ``choice_if`` one for some of its choices; see ``ADVANCED``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.schema.catalog import Catalog, CatalogEntry
from trainer.schema.config import RunConfig

Rule = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""Conditions that must all hold, by what they are about; or a list of such, of which one must."""
_ROUNDS = 10
"""A chain of settings, each of which hangs on the next, is followed over so many."""


def alternatives(rule: Rule) -> Sequence[Mapping[str, Any]]:
    """The rule as a list of conditions, of which one must hold."""
    return [rule] if isinstance(rule, Mapping) else rule


def holds(rule: Rule, known: Mapping[str, Any], section: str = "") -> bool:
    """Whether a rule of a setting in ``section`` holds.

    Args:
        known: settings and properties of the chosen entries by path: ``training.k1``, ``task.streaming``.
    """
    return any(
        all(is_met(name, wanted, known, section) for name, wanted in conditions.items())
        for conditions in alternatives(rule)
    )


def is_met(name: str, wanted: Any, known: Mapping[str, Any], section: str = "") -> bool:
    """Whether one condition holds: what ``name`` stands for is as ``wanted``."""
    path = path_of(name, section)
    value = known.get(path)
    if isinstance(value, Mapping):  # a property that hangs on the entry's own settings
        value = holds(value, known, path.rpartition(".")[0])
    if isinstance(wanted, bool):
        return (value is not None and value is not False and value != "") == wanted
    if isinstance(wanted, Mapping):
        return isinstance(value, int | float) and value > wanted["above"]
    return value in wanted


def path_of(name: str, section: str) -> str:
    """A rule names other sections' settings by their path, and those of its own section without it."""
    return name if "." in name or not section else f"{section}.{name}"


def properties(section: str, entry: CatalogEntry) -> dict[str, Any]:
    """What the catalogue says of a chosen network or task, by path, for rules to hang on."""
    said = entry.model_dump(exclude={"json_schema"})
    said["text"] = entry.needs_corpus and not entry.needs_table
    return {f"{section}.{name}": value for name, value in said.items()}


def settle(
    schemas: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[dict[str, Any], set[str]]:
    """What is held once each setting without an effect has its schema's default, and which those are.

    A setting may hang on another that itself turns out to have no effect, so this goes on until nothing
    changes.

    Args:
        schemas: of the settings, by path.
        values: what they would be, by path.
        known: properties of the chosen entries, and settings that are not asked about, by path.
    """
    settled, idle = dict(values), set[str]()
    for _ in range(_ROUNDS):
        about = {**known, **settled}
        found = {path for path, schema in schemas.items() if not _matters(path, schema, about)}
        settled = {path: schemas[path].get("default") if path in found else values[path] for path in values}
        for path, schema in schemas.items():
            if path not in found and not is_open(path, schema, settled.get(path), about):
                settled[path] = schema.get("default")
        if found == idle and about == {**known, **settled}:
            break
        idle = found
    return settled, idle


def of_run(catalog: Catalog, config: RunConfig) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Schemas and values of a run's settings, and properties of its network and task, all by path.

    Of a network or task that the catalogue does not have nothing is told.
    """
    schemas: dict[str, Any] = {}
    values: dict[str, Any] = {}
    known: dict[str, Any] = {}
    written = {"training": config.training.model_dump(), "analysis": config.analysis.model_dump()}
    parts = {"training": catalog.training_schema, "analysis": catalog.analysis_schema}
    for section, given, entries in (
        ("model", config.model, catalog.models),
        ("task", config.task, catalog.tasks),
    ):
        entry = next((entry for entry in entries if entry.name == given.get("name")), None)
        if entry is not None:
            parts[section], written[section] = entry.json_schema, given
            known |= properties(section, entry)
    for section, schema in parts.items():
        for name, part in schema.get("properties", {}).items():
            path = f"{section}.{name}"
            schemas[path] = part
            values[path] = written[section].get(name, part.get("default"))
    return schemas, values, known


def without_effect(
    schemas: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any], known: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings that are not at their defaults though they have no effect, by path; as ``settle``."""
    settled, _ = settle(schemas, values, known)
    return {path: value for path, value in values.items() if settled[path] != value}


def is_open(path: str, schema: Mapping[str, Any], choice: Any, known: Mapping[str, Any]) -> bool:
    """Whether one of a setting's choices means anything here."""
    rule = schema.get("choice_if", {}).get(choice) if isinstance(choice, str) else None
    return rule is None or holds(rule, known, path.rpartition(".")[0])


def _matters(path: str, schema: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    return holds(schema.get("only_if", {}), known, path.rpartition(".")[0])
