"""The base of every type that crosses the wire, and how an error is told."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """Base of everything here: frozen, unknown keys refused, docstrings become descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SettingError(ValueError):
    """One setting is wrong: for use in validators, whose errors ``trainer.errors`` takes apart again."""

    def __init__(self, field: str, value: Any, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem}; {remedy}")
        self.field, self.value, self.problem, self.remedy = field, value, problem, remedy


class FieldError(Wire):
    """What is wrong with one field of a request."""

    field: str
    """Dotted path from the request's root, without list positions of unions: ``config.training.k2``."""
    value: Any = None
    """What was sent, shortened."""
    problem: str
    remedy: str


class ErrorBody(Wire):
    """The body of every 4xx and 5xx answer."""

    message: str
    """One sentence for a person."""
    remedy: str = ""
    """What to do now."""
    errors: list[FieldError] = []
    """One per field, for a 422."""


def finite(value: float) -> float | None:
    """The value, or None where JSON has no way to write it."""
    return value if math.isfinite(value) else None
