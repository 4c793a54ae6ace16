"""Settings that would have no effect are refused, so that no run says that it was trained with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from trainer.errors import shortened
from trainer.schema import Catalog, FieldError, RunConfig, of_run, settle
from trainer.schema.effects import Rule, alternatives, is_met, path_of

PROPERTIES: dict[tuple[str, bool], str] = {
    ("model.keeps_state", True): "a network that carries a state",
    ("model.recurrent_weights", True): "a network with weights from state to state, such as Elman's",
    ("task.streaming", True): "a task that is one long stream, such as a text",
    ("task.streaming", False): "a task that is no stream",
    ("task.length", True): "a task with sequences of a length",
    ("task.solvable", True): "a task that has a rule for when it is solved",
    ("task.asks_once", True): "a task that asks once, at the end of a sequence",
    ("task.asks_once", False): "a task that asks more than once",
    ("task.text", True): "a run on text",
    ("task.text", False): "a run on another task than text",
}
"""What rules ask of networks and tasks, in words."""
MORE_THAN = {"model.state_parts": "a network whose state has several parts, such as an LSTM's h and c"}
"""The same where they ask for a number."""


def idle_in_run(catalog: Catalog, config: RunConfig) -> list[FieldError]:
    """The settings of a valid configuration that have no effect, though they are not at their defaults."""
    schemas, values, known = of_run(catalog, config)
    return [*_told(schemas, values, known), *_k1_alone(values, {**known, **values})]


def _k1_alone(values: Mapping[str, Any], known: Mapping[str, Any]) -> list[FieldError]:
    """Windows of which the last alone is scored, and from which the gradient may travel back to the start.

    No rule beside k1 can say so: its own asks for k1, and each would hide the other.
    """
    k1, scored_throughout = values.get("training.k1"), values.get("training.loss_at") == "all"
    if k1 is None or values.get("training.k2") is not None or scored_throughout:
        return []
    if not is_met("task.asks_once", True, known, "training"):
        return []
    return [
        FieldError(
            field="training.k1",
            value=k1,
            problem="has no effect here without k2: this task asks once, at the end, and from there an "
            "unlimited gradient travels back through all windows",
            remedy="leave it out, so that it is empty, or set k2 as well",
        )
    ]


def idle_in_view(
    catalog: Catalog, schema: Mapping[str, Any], settings: Mapping[str, Any], config: RunConfig
) -> list[FieldError]:
    """The same of the settings of a view, for one run."""
    _, of_config, known = of_run(catalog, config)
    schemas = {f"settings.{name}": part for name, part in schema.get("properties", {}).items()}
    values = {f"settings.{name}": value for name, value in settings.items()}
    return _told(schemas, values, {**known, **of_config})


def _told(
    schemas: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any], known: Mapping[str, Any]
) -> list[FieldError]:
    settled, idle = settle(schemas, values, known)
    known = {**known, **settled}
    found = []
    for path, value in values.items():
        if settled[path] != value:
            rule = schemas[path]["only_if"] if path in idle else schemas[path]["choice_if"][value]
            found.append(_error(path, value, schemas[path].get("default"), missing(rule, known, path)))
    return found


def _error(path: str, value: Any, default: Any, wanted: str) -> FieldError:
    usual = "empty" if default is None else json.dumps(default).strip('"')
    return FieldError(
        field=path,
        value=shortened(value),
        problem=f"has no effect here: it acts only with {wanted}",
        remedy=f"leave it out, so that it is {usual}, or choose {wanted}",
    )


def missing(rule: Rule, known: Mapping[str, Any], path: str) -> str:
    """What a rule of the setting at ``path`` asks for and does not find: ``update_every above 1, or k1``."""
    section = path.rpartition(".")[0]
    return ", or ".join(
        " and ".join(
            _condition(name, wanted, section)
            for name, wanted in conditions.items()
            if not is_met(name, wanted, known, section)
        )
        for conditions in alternatives(rule)
    )


def _condition(name: str, wanted: Any, section: str) -> str:
    path = path_of(name, section)
    if isinstance(wanted, Mapping):
        return MORE_THAN.get(path) or f"{name} above {wanted['above']}"
    if isinstance(wanted, bool):
        return PROPERTIES.get((path, wanted)) or f"{name} {'on' if wanted else 'off'}"
    return f"{name} {' or '.join(map(_word, wanted))}"


def _word(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
