"""Pydantic's errors, retold for a person: the field, what was sent, what is wrong, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from trainer.schema import PLAIN, FieldError, SettingError

_SHOWN_CHARACTERS = 80


class ConfigError(ValueError):
    """A configuration that cannot be run; ``errors`` say why, one per field."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{e.field}: {e.problem}; {e.remedy}" for e in errors))
        self.errors = list(errors)


def shortened(value: Any) -> Any:
    """A value as an error message may show it: small, and of a type that JSON has."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """What to do about an unknown word: the one that was probably meant, or all that there are."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"choose one of: {', '.join(known)}"


def errors_of(error: ValidationError, *prefix: str, model: type[BaseModel] | None = None) -> list[FieldError]:
    """One FieldError per entry.

    Args:
        error: what pydantic raised.
        prefix: path of the validated object within the request.
        model: the class that was validated; lets an unknown field be answered with the nearest known one.
    """
    found = []
    for entry in error.errors(include_url=False):
        path = [*prefix, *(str(part) for part in entry["loc"])]
        raised = entry.get("ctx", {}).get("error")
        if isinstance(raised, SettingError):
            path.append(raised.field)
            problem, remedy, value = raised.problem, raised.remedy, raised.value
        else:
            problem, remedy = _explain(entry, model)  # type: ignore[arg-type]
            value = entry["input"]
        found.append(FieldError(field=".".join(path), value=shortened(value), problem=problem, remedy=remedy))
    return found


def _explain(entry: dict[str, Any], model: type[BaseModel] | None) -> tuple[str, str]:
    kind, ctx = entry["type"], entry.get("ctx", {})
    bounds = {
        "greater_than": ("gt", "is too small", "more than"),
        "greater_than_equal": ("ge", "is too small", "at least"),
        "less_than": ("lt", "is too large", "less than"),
        "less_than_equal": ("le", "is too large", "at most"),
    }
    if kind in bounds:
        key, problem, words = bounds[kind]
        return problem, f"give a number that is {words} {ctx[key]:,}"
    if kind == "extra_forbidden":
        known = _fields_at(model, entry["loc"][:-1])
        return "is not a setting", nearest(str(entry["loc"][-1]), known) if known else "leave it out"
    if kind == "missing":
        return "is missing", "add it"
    if kind == "literal_error":
        return "is not one of the choices", f"choose {ctx['expected']}"
    if kind in ("int_parsing", "int_type", "int_from_float"):
        return "is not a whole number", "give a whole number"
    if kind in ("float_parsing", "float_type", "finite_number"):
        return "is not a number", "give a number"
    if kind in ("bool_parsing", "bool_type"):
        return "is neither true nor false", "give true or false"
    if kind == "string_too_short":
        return "is empty", f"give at least {ctx['min_length']} character(s)"
    if kind == "string_pattern_mismatch":
        if ctx["pattern"] == PLAIN:
            return (
                "holds a character that is not allowed",
                "leave out <, >, line breaks, control characters and what does not show",
            )
        return "is not written as it should be", _way_to_write(model, entry["loc"])
    if kind in ("string_too_long", "too_long"):
        return "is too long", f"give at most {ctx['max_length']}"
    if kind == "json_invalid":
        return f"is not valid JSON ({ctx.get('error', '')})", "mend the JSON"
    return entry["msg"][0].lower() + entry["msg"][1:], "see the catalogue (GET /catalog) for what it takes"


def _way_to_write(model: type[BaseModel] | None, path: Sequence[Any]) -> str:
    """What the setting's description says of its form, in examples where it has some: ``such as 0, 3-5``."""
    field = model.model_fields.get(str(path[-1])) if model is not None and path else None
    about = " ".join((field.description or "").split()) if field is not None else ""
    example = re.search(r"\bsuch as ([^;:.]+)", about)
    if example:
        return f"write, say, {example.group(1)}"
    return about[:1].lower() + about[1:] if about else "see the catalogue (GET /catalog) for what it takes"


def _fields_at(model: type[BaseModel] | None, path: Sequence[Any]) -> list[str]:
    """Field names of the model that lies at ``path`` below ``model``; none where that is not a model."""
    for part in path:
        field = model.model_fields.get(part) if model is not None and isinstance(part, str) else None
        annotation = field.annotation if field is not None else None
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    return list(model.model_fields) if model is not None else []
