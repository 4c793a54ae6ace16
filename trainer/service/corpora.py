"""Texts and tables to learn from: listed, uploaded, read by workers."""

from __future__ import annotations

import asyncio
from array import array
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter, ValidationError

from trainer import memory
from trainer.corpora import MAX_BYTES, CorpusError, UploadCheck, builtin_corpora
from trainer.errors import errors_of, nearest
from trainer.schema import (
    ColumnPlot,
    CorpusInfo,
    DecimalSign,
    FieldError,
    Name,
    Separator,
    TableReading,
    ThousandsSign,
    finite,
)
from trainer.service.answers import answer, plain_bytes, shaped
from trainer.service.auth import is_service, token_of
from trainer.service.bodies import check_length, sent_as
from trainer.service.errors import Refused, sentence, unprocessable
from trainer.service.parts import Given, Parts
from trainer.service.uploads import uploaded
from trainer.store import BadToken
from trainer.store.downsample import indices
from trainer.tables import MAX_NAME, SEPARATORS, Choice, Table, TableError
from trainer.tables.stored import to_bytes

router = APIRouter(prefix="/corpora", tags=["texts"])

ColumnName = Annotated[str | None, Query(max_length=MAX_NAME)]

_NAME: TypeAdapter[str] = TypeAdapter(Name)
UPLOAD_SECONDS = 120.0
"""In which an upload must have arrived, once it is its turn."""
_FORM_BYTES = 64 * 1024
"""What a form may add around the file."""


@router.get("", **shaped(list[CorpusInfo]))
def listed(parts: Given) -> Response:
    """The built-in texts and tables, then the uploaded ones."""
    builtin = [corpus.info for corpus in builtin_corpora().values()]
    return answer([*builtin, *parts.store.corpora()], list[CorpusInfo])


_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}},
}
_SENT = {"multipart/form-data": _FORM, "text/plain": {"type": "string"}}


@router.post("", **shaped(CorpusInfo, HTTPStatus.CREATED), openapi_extra=sent_as(_SENT))
async def upload(
    request: Request,
    parts: Given,
    name: Annotated[str | None, Query(max_length=1000)] = None,
    table: bool | None = None,
    decimal: DecimalSign | None = None,
    thousands: ThousandsSign | None = None,
    separator: Separator | None = None,
) -> Response:
    """Store a text or a CSV table: the body itself, or the field ``file`` of a multipart form.

    ``name`` defaults to the file's name. ``table`` declares what it is, and is believed: without it, a file
    that looks like a table is one. ``decimal``, ``thousands`` and ``separator`` declare a table's signs,
    which are found out otherwise. The same file twice, declared the same, is one corpus.
    """
    if name is not None:
        _checked(name)
    check_length(request, MAX_BYTES + _FORM_BYTES)
    check = UploadCheck(
        table=True if decimal or thousands or separator else table,
        choice=Choice(decimal, thousands),
        separator=SEPARATORS.get(separator or ""),
    )
    async with parts.uploads.turn():  # before the first byte is read: what waits, waits in the client
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                async for filename, piece in uploaded(request):
                    if name is None and filename is not None:
                        name = _checked(filename)
                    check.feed(piece)
        except TimeoutError:
            raise Refused(
                HTTPStatus.REQUEST_TIMEOUT,
                f"The upload did not arrive within {UPLOAD_SECONDS:.0f} s.",
                "Send it again; others waited for this one.",
            ) from None
        except CorpusError as error:
            raise _unusable(error) from None
        name = _checked(name or "Uploaded text")
        return await parts.checks.run(request, partial(_stored, parts, check, name))


def _stored(parts: Parts, check: UploadCheck, name: str) -> Response:
    try:
        text = check.finish()
        info = parts.store.add_corpus(name, text, check.table or False)
    except CorpusError as error:
        raise _unusable(error) from None
    finally:
        memory.give_back()
    return answer(info, status=HTTPStatus.CREATED)


def _unusable(error: CorpusError) -> Refused:
    return unprocessable([FieldError(field="file", problem=error.problem, remedy=error.remedy)])


@router.get(
    "/{corpus_id}/text", response_class=Response, responses={200: plain_bytes("text/plain", "The text.")}
)
async def text(corpus_id: str, request: Request, parts: Given) -> Response:
    """The whole text as UTF-8, for whoever has the service's token or that of an attempt under way."""

    def found() -> Response:
        _let_in(request, parts)
        return Response(parts.corpus(corpus_id), media_type="text/plain; charset=utf-8")

    return await parts.readings.run(request, found)


@router.get("/{corpus_id}/table", **shaped(TableReading))
async def table(corpus_id: str, request: Request, parts: Given) -> Response:
    """How a table was read: its signs, its columns, and why others are left out."""

    def found() -> Response:
        _let_in(request, parts)
        return answer(_table(parts, corpus_id).reading)

    return await parts.readings.run(request, found)


@router.get("/{corpus_id}/table/column", response_class=Response)
async def column(corpus_id: str, request: Request, parts: Given, name: ColumnName = None) -> Response:
    """A column as little-endian float64, NaN where a number is missing; without a name the first."""

    def found() -> Response:
        _let_in(request, parts)
        _, values = _column(parts, corpus_id, name)
        return Response(to_bytes(values), media_type="application/octet-stream")

    return await parts.readings.run(request, found)


@router.get("/{corpus_id}/table/plot", **shaped(ColumnPlot))
async def plot(
    corpus_id: str,
    request: Request,
    parts: Given,
    name: ColumnName = None,
    max_points: Annotated[int, Query(ge=10, le=5000)] = 400,
) -> Response:
    """A column as a plot of so many points shows it; without a name the first."""
    return await parts.readings.run(request, partial(_plotted, parts, corpus_id, name, max_points))


def _plotted(parts: Parts, corpus_id: str, name: str | None, max_points: int) -> Response:
    name, numbers = _column(parts, corpus_id, name)
    values = np.asarray(numbers)
    rows = np.arange(1, len(values) + 1)
    kept = indices(rows.astype(np.float64), values, max_points)
    if kept is not None:
        rows, values = rows[kept], values[kept]
    shown = [finite(value) for value in values.tolist()]
    return answer(ColumnPlot(name=name, rows=rows.tolist(), values=shown))


def _table(parts: Parts, corpus_id: str) -> Table:
    try:
        return parts.table(corpus_id)
    except TableError as error:
        message = f"This is no table: {error.problem}."
        raise Refused(HTTPStatus.CONFLICT, message, sentence(error.remedy)) from None


def _column(parts: Parts, corpus_id: str, name: str | None) -> tuple[str, array[float]]:
    found = _table(parts, corpus_id)
    name = next(iter(found.numbers)) if name is None else name
    if name not in found.numbers:
        wrong = FieldError(
            field="name",
            value=name,
            problem=found.others.get(name, "the table has no such column"),
            remedy=nearest(name, found.numbers),
        )
        raise unprocessable([wrong])
    return name, found.numbers[name]


def _let_in(request: Request, parts: Parts) -> None:
    if not is_service(request) and not parts.store.is_current_token(token_of(request)):
        raise BadToken("this token is not valid", "use the service's, or a running attempt's")


def _checked(name: str) -> str:
    try:
        return _NAME.validate_python(name)
    except ValidationError as error:
        raise unprocessable(errors_of(error, "name")) from None
