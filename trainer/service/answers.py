"""Answers as JSON bytes, straight from pydantic's serialiser: large curves are not walked through twice."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any

from fastapi import Response
from pydantic import TypeAdapter


def answer(value: Any, kind: Any = None, status: int = HTTPStatus.OK) -> Response:
    """``value`` as JSON; ``kind`` is its type where it is no model."""
    content = (
        value.__pydantic_serializer__.to_json(value) if kind is None else _adapter(kind).dump_json(value)
    )
    return Response(content, status, media_type="application/json")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def shaped(model: Any, status: int = HTTPStatus.OK, *also: int) -> dict[str, Any]:
    """What OpenAPI says of an answer: its model and status, and other statuses that may come instead."""
    statuses = {int(code): {"model": model} for code in (status, *also)}
    return {"responses": statuses, "status_code": int(status)}


def plain_bytes(kind: str, description: str) -> dict[str, Any]:
    """What OpenAPI says of an answer that is no JSON."""
    content = {kind: {"schema": {"type": "string", "format": "binary"}}}
    return {"description": description, "content": content}
