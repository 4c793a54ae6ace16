"""Every 4xx and 5xx answer: one sentence of what is wrong, and what to do now."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import InitErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from trainer.errors import ConfigError, errors_of
from trainer.schema import ErrorBody, FieldError, shown_line
from trainer.store import (
    BadCursor,
    BadReport,
    BadToken,
    Conflict,
    CorpusNotFound,
    CorruptCheckpoint,
    RunNotFound,
    StaleAttempt,
    StoreAway,
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreLost,
    StoreOwned,
)

logger = logging.getLogger(__name__)

CLIENT_LEFT = 499
"""What web servers write down of a request whose sender went away; HTTP has no number for it."""

_STATUS: dict[type[StoreError], int] = {
    BadCursor: HTTPStatus.UNPROCESSABLE_ENTITY,
    BadReport: HTTPStatus.UNPROCESSABLE_ENTITY,
    BadToken: HTTPStatus.UNAUTHORIZED,
    Conflict: HTTPStatus.CONFLICT,
    CorpusNotFound: HTTPStatus.NOT_FOUND,
    CorruptCheckpoint: HTTPStatus.INTERNAL_SERVER_ERROR,
    RunNotFound: HTTPStatus.NOT_FOUND,
    StaleAttempt: HTTPStatus.CONFLICT,
    StoreAway: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreDamaged: HTTPStatus.INTERNAL_SERVER_ERROR,
    StoreForeign: HTTPStatus.INTERNAL_SERVER_ERROR,
    StoreFull: HTTPStatus.INSUFFICIENT_STORAGE,
    StoreLost: HTTPStatus.CONFLICT,  # also what tells a worker to end
    StoreOwned: HTTPStatus.CONFLICT,
}


class Refused(Exception):  # noqa: N818  what happened to the request
    """A request that the service itself turns down."""

    def __init__(
        self, status: int, message: str, remedy: str, errors: list[FieldError] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.remedy, self.errors = status, message, remedy, errors or []


def install(app: FastAPI) -> None:
    """Make every exception an answer in ErrorBody's shape."""
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(StoreError, of_store)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(HTTPException, _routing)
    app.add_exception_handler(Exception, _unexpected)


def answer(status: int, message: str, remedy: str = "", errors: list[FieldError] | None = None) -> Response:
    """An error answer with an ErrorBody."""
    body = ErrorBody(message=message, remedy=remedy, errors=errors or [])
    # What a sender got wrong may hold lone surrogates, which UTF-8 cannot write.
    content = json.dumps(body.model_dump(), ensure_ascii=False).encode("utf-8", "replace")
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    return Response(content, status, headers, media_type="application/json")


def unprocessable(errors: list[FieldError]) -> Refused:
    """A 422 that names the fields."""
    count = f"{len(errors)} settings are" if len(errors) > 1 else "one setting is"
    message = f"The request cannot be carried out: {count} wrong."
    if len(errors) == 1:
        message = f"{errors[0].field}: {errors[0].problem}."
    return Refused(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        message,
        sentence(errors[0].remedy) if len(errors) == 1 else "",
        errors,
    )


def from_config(error: ConfigError) -> Refused:
    """A configuration's errors, their fields dotted from the request's root."""
    return unprocessable([e.model_copy(update={"field": f"config.{e.field}"}) for e in error.errors])


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return answer(error.status, error.message, error.remedy, error.errors)


def of_store(_request: Request, error: Exception) -> Response:
    """What the store refused, or could not do."""
    assert isinstance(error, StoreError)
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    # A database that is away is in the log already, once a minute and not once a request.
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, StoreAway):
        logger.error("%s", error.message)
    return answer(status, sentence(error.message), sentence(error.remedy))


def _parameters(_request: Request, error: Exception) -> Response:
    """Path, query and header values that do not parse."""
    assert isinstance(error, RequestValidationError)
    entries = error.errors()
    if any(entry["loc"][0] == "path" for entry in entries):
        return answer(HTTPStatus.NOT_FOUND, "There is nothing at this address.", "Check the id in it.")
    details: list[InitErrorDetails] = [
        {"type": e["type"], "loc": tuple(e["loc"][1:]), "input": e["input"], "ctx": e.get("ctx", {})}
        for e in entries
    ]
    refused = unprocessable(errors_of(ValidationError.from_exception_data("request", details)))
    return _refused(_request, refused)


def _gone(_request: Request, _error: Exception) -> Response:
    """Whoever sent this left before all of it was here: nobody reads the answer, and nothing has failed."""
    return Response(status_code=CLIENT_LEFT)


def _routing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {
        HTTPStatus.NOT_FOUND: ("There is nothing at this address.", "GET /openapi.json lists what there is."),
        HTTPStatus.METHOD_NOT_ALLOWED: (
            f"{request.method} is not possible here.",
            "GET /openapi.json lists what is.",
        ),
    }
    message, remedy = texts.get(HTTPStatus(error.status_code), (sentence(str(error.detail)), ""))
    response = answer(error.status_code, message, remedy)
    response.headers.update(error.headers or {})
    return response


def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed", request.method, shown_line(request.url.path), exc_info=error)
    return answer(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        f"The service failed on this request ({type(error).__name__}).",
        "Its log says more. Other requests go on.",
    )


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return "" if not text else text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def schema_of_errors() -> dict[int | str, dict[str, Any]]:
    """For the OpenAPI description of every route."""
    return {"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}}
