"""Reads JSON Schema: which fields a form has, what they are called, what they may hold. No streamlit here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import ValidationError

from trainer.schema import FieldError, SettingError, is_open

Kind = Literal["integer", "number", "boolean", "choice", "text"]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One setting, as its schema describes it."""

    name: str
    path: str
    """Dotted from the run's configuration: ``training.learning_rate``."""
    label: str
    help: str
    kind: Kind
    nullable: bool
    default: Any
    choices: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """Words for those choices whose own do not speak for themselves."""
    advanced: bool = False
    """Whether the form folds it away."""
    topic: str = ""
    """Heading that it stands under where it is folded away."""
    schema: Mapping[str, Any] = field(default_factory=dict)
    """What was read."""

    def choice_label(self, choice: str | None) -> str:
        """An option as a reader sees it."""
        return choice_label(choice) if choice is None else self.labels.get(choice, choice_label(choice))

    def open_to(self, known: Mapping[str, Any]) -> Field:
        """The field with those of its choices that mean anything where ``known`` holds."""
        kept = tuple(choice for choice in self.choices if is_open(self.path, self.schema, choice, known))
        return replace(self, choices=kept)

    @property
    def when_empty(self) -> str:
        """What an empty field means, by its description: "empty records none" gives "records none"."""
        found = re.search(r"\bempty(?: is|:)? ([^.;:,(]+)", self.help, re.IGNORECASE)
        return found.group(1).strip() if self.nullable and found else "off"

    @property
    def step(self) -> float | int:
        """What one press of + adds: for a small number the default's power of ten, else a tenth of it."""
        size = abs(self.default) if isinstance(self.default, int | float) and self.default else 1
        power = math.floor(math.log10(size))
        if self.kind == "integer":
            return int(10 ** max(power - 1, 0))
        return float(10.0 ** (power if size < 1 else power - 1))

    def accepts(self, value: Any) -> bool:
        """Whether a widget of this field can show the value.

        One out of range counts: it is shown, with the service's words about it beside the field. A widget
        with limits of its own would keep it in the browser, and the form would go on with the value before.
        """
        if value is None:
            return self.nullable
        if self.kind == "choice":
            return value in self.choices
        if self.kind == "boolean":
            return isinstance(value, bool)
        if self.kind == "text":
            return isinstance(value, str)
        if isinstance(value, bool) or not isinstance(value, int if self.kind == "integer" else int | float):
            return False
        return math.isfinite(value)

    def read(self, value: Any) -> Any:
        """What a widget's value means: a text box that was emptied holds "", where the setting has none."""
        return None if self.nullable and value == "" else value

    def cast(self, value: Any) -> Any:
        """The value in the type that the widget wants: an int for a number field becomes a float."""
        return float(value) if self.kind == "number" and value is not None else value


def read_fields(schema: Mapping[str, Any], prefix: str = "") -> list[Field]:
    """The fields of an object schema, in its order; ``prefix`` is the path of the object itself.

    Raises ValueError for a property that no widget can show: the catalogue must not hold one.
    """
    definitions = schema.get("$defs", {})
    return [
        _field(name, f"{prefix}.{name}" if prefix else name, _resolved(part, definitions), definitions)
        for name, part in schema.get("properties", {}).items()
    ]


def with_choices(schema: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """The schema, with the keys of ``labels`` as the choices of one setting, the first as its default."""
    part = {key: value for key, value in schema["properties"][name].items() if key != "anyOf"}
    part |= {"type": "string", "enum": list(labels), "labels": dict(labels), "default": next(iter(labels))}
    return {**schema, "properties": {**schema["properties"], name: part}}


def _field(name: str, path: str, part: Mapping[str, Any], definitions: Mapping[str, Any]) -> Field:
    options = [_resolved(option, definitions) for option in part.get("anyOf", [part])]
    kinds = [option for option in options if option.get("type") != "null"]
    if len(kinds) != 1:
        raise ValueError(
            f"{path}: {len(kinds)} types in one field have no widget; give it one, or one and null"
        )
    kind = kinds[0]
    choices = tuple(kind["enum"]) if "enum" in kind else (kind["const"],) if "const" in kind else ()
    return Field(
        name=name,
        path=path,
        label=label_of(name, part.get("title")),
        help=" ".join(part.get("description", "").split()),
        kind="choice" if choices else _KINDS[kind.get("type", "")],
        nullable=len(options) > len(kinds),
        default=part.get("default"),
        choices=choices,
        labels=part.get("labels", {}),
        advanced=part.get("advanced", False),
        topic=part.get("topic", ""),
        schema=part,
    )


_KINDS: dict[str, Kind] = {"integer": "integer", "number": "number", "boolean": "boolean", "string": "text"}


def _resolved(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = part.get("$ref")
    if reference is None:
        return part
    target = definitions[reference.rpartition("/")[2]]
    return {**target, **{key: value for key, value in part.items() if key != "$ref"}}


def label_of(name: str, title: str | None = None) -> str:
    """``learning_rate`` reads "Learning rate"; a title that was written by hand stands as it is."""
    words = name.replace("_", " ")
    if title and title.casefold() != words.casefold():
        return title
    return words[:1].upper() + words[1:]


def choice_label(choice: str | None) -> str:
    """An option as a reader sees it; abbreviations keep their capitals."""
    if choice is None:
        return "Off"
    known = {"sgd": "SGD", "rmsprop": "RMSprop", "adamw": "AdamW", "cpu": "CPU", "gpu": "GPU", "mps": "MPS"}
    known |= {"32": "32 bit", "64": "64 bit", "bf16": "bfloat16", "relu": "ReLU", "pytorch": "PyTorch"}
    return known.get(choice, choice.replace("_", " ").capitalize())


def errors_of(error: ValidationError) -> list[FieldError]:
    """What pydantic found wrong before anything was sent, one entry per field, in the service's own form."""
    found = []
    for item in error.errors():
        path = [str(part) for part in item["loc"]]
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, SettingError):
            path, value = [*path, cause.field], cause.value
            problem, remedy = cause.problem, cause.remedy
        else:
            value, problem, remedy = item["input"], item["msg"], _REMEDIES.get(item["type"], "change it")
        found.append(FieldError(field=".".join(path), value=value, problem=problem, remedy=remedy))
    return found


_REMEDIES = {
    "string_pattern_mismatch": "leave out <, >, control characters and what does not show",
    "string_too_long": "make it shorter",
    "too_long": "use fewer",
}


def error_path(field: str) -> str:
    """The path of the widget that an error belongs to: the service counts from its request's root.

    An error in one item of a list belongs to the widget that holds the list.
    """
    return re.sub(r"\.\d+$", "", field.removeprefix("config."))


def sentence(error: FieldError) -> str:
    """What is wrong and what to do, as two sentences."""
    parts = (part.strip().rstrip(".") for part in (error.problem, error.remedy))
    return " ".join(f"{_capital(part)}." for part in parts if part)


def _capital(text: str) -> str:
    """With a capital letter first, unless it begins with a name such as k2 or hidden_size."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0].rstrip(",").isalpha() else text
