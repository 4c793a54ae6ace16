"""What no text of a request may hold: NUL, which PostgreSQL cannot store, and what is not UTF-8.

Refused here for every route alike, so that an address means the same on either database.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from trainer.errors import shortened
from trainer.schema import FieldError
from trainer.service.errors import answer, sentence

REMEDY = "leave out NUL and other control characters, and send whole characters in UTF-8"


def fault(text: str) -> str | None:
    """What is wrong with a text; None where nothing is."""
    if "\x00" in text:
        return "has a NUL character in it"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "has half a character in it (a lone surrogate)"
    return None


def faults(value: Any, field: str = "") -> list[FieldError]:
    """The texts of a JSON value that cannot be taken, keys and values; the first of them."""
    stack: list[tuple[str, Any]] = [(field, value)]
    while stack:
        name, item = stack.pop()
        if isinstance(item, str) and (problem := fault(item)):
            return [FieldError(field=name or "body", value=shortened(item), problem=problem, remedy=REMEDY)]
        if isinstance(item, list):
            stack += [(f"{name}.{place}" if name else str(place), part) for place, part in enumerate(item)]
        if isinstance(item, dict):
            stack += [(name or "body", key) for key in item]
            stack += [(f"{name}.{key}" if name else key, part) for key, part in item.items()]
    return []


class PlainText:
    """Answers 422 to a query with such a text, and 404 to a path.

    Args:
        app: what is behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and b"%" in scope["query_string"] + scope.get("raw_path", b"%"):
            if fault(scope["path"]) or "\ufffd" in scope["path"]:
                refusal = answer(
                    HTTPStatus.NOT_FOUND, "There is nothing at this address.", "Check the id in it."
                )
                await refusal(scope, receive, send)
                return
            if (wrong := _wrong(scope["query_string"])) is not None:
                refusal = answer(
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    f"{wrong.field}: {wrong.problem}.",
                    sentence(wrong.remedy),
                    [wrong],
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _wrong(query: bytes) -> FieldError | None:
    # Bytes that are no UTF-8 become lone surrogates, and so do those that UTF-8 forbids for being one.
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="surrogateescape"):
        problem = fault(name) or fault(value)
        if problem is not None:
            shown = shortened(value.encode("utf-8", "replace").decode())
            return FieldError(
                field=name.encode("utf-8", "replace").decode(), value=shown, problem=problem, remedy=REMEDY
            )
    return None
