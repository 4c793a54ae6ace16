"""Request bodies: read with a limit, parsed strictly, their errors told by field."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from trainer.errors import errors_of
from trainer.service.errors import Refused, unprocessable
from trainer.service.plain_text import faults

MAX_JSON = 2**20
"""Bytes. A launch needs about one thousand."""

Model = TypeVar("Model", bound=BaseModel)


async def read(request: Request, limit: int) -> bytes:
    """The body, or a 413 as soon as it is known to be larger than ``limit`` bytes."""
    check_length(request, limit)
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        parts.append(chunk)
    return b"".join(parts)


def check_length(request: Request, limit: int) -> None:
    """Refuse by the announced length, before a byte is read."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise too_large(limit)


def too_large(limit: int) -> Refused:
    """The refusal of a body over ``limit`` bytes."""
    return Refused(
        413,
        f"The request is larger than {limit / 1e6:.3g} MB.",
        "Send less.",
    )


def body(model: type[Model]) -> Callable[[Request], Awaitable[Model]]:
    """A dependency that gives the JSON body as ``model``."""

    async def parse(request: Request) -> Model:
        content = strict_json(await read(request, MAX_JSON))
        try:
            return model.model_validate(content)
        except ValidationError as error:
            raise unprocessable(errors_of(error, model=model)) from None

    return parse


def strict_json(content: bytes) -> Any:
    """JSON as its standard has it: Python's own reader takes NaN and Infinity as well."""
    try:
        found = json.loads(content, parse_constant=_no_constant)
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError as error:  # also of bytes that are not UTF-8, and of numbers with thousands of digits
        problem = str(error)
    else:
        if wrong := faults(found):
            raise unprocessable(wrong)
        return found
    raise Refused(
        HTTPStatus.UNPROCESSABLE_ENTITY, f"The body is not JSON: {problem}.", "Mend it and send it again."
    )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


def described(model: type[BaseModel]) -> dict[str, Any]:
    """What OpenAPI says of a body that ``body`` reads."""
    return sent_as({"application/json": inlined(model.model_json_schema())})


def sent_as(kinds: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """What OpenAPI says of a body that a route reads by itself: its schema by content type."""
    content = {kind: {"schema": schema} for kind, schema in kinds.items()}
    return {"requestBody": {"required": True, "content": content}}


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with each definition where it is used.

    A reference to ``$defs`` is looked up from the root of the document, where OpenAPI has none. A model that
    holds itself cannot be told so.
    """
    definitions = schema.get("$defs", {})

    def put_in(part: Any) -> Any:
        if isinstance(part, list):
            return [put_in(each) for each in part]
        if not isinstance(part, dict):
            return part
        given = {key: put_in(value) for key, value in part.items() if key != "$ref"}
        return put_in(definitions[part["$ref"].removeprefix("#/$defs/")]) | given if "$ref" in part else given

    return put_in({key: value for key, value in schema.items() if key != "$defs"})  # type: ignore[no-any-return]
