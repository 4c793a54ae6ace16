"""Texts and tables to learn from: listed, uploaded, read by workers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from trainer.corpora import MAX_BYTES, CorpusError, UploadCheck, builtin_corpora
from trainer.errors import errors_of
from trainer.schema import CorpusInfo, FieldError, Name
from trainer.service.answers import answer, plain_bytes, shaped
from trainer.service.auth import is_service, token_of
from trainer.service.bodies import check_length, sent_as
from trainer.service.errors import unprocessable
from trainer.service.parts import Given
from trainer.service.uploads import uploaded
from trainer.store import BadToken

router = APIRouter(prefix="/corpora", tags=["texts"])

_NAME: TypeAdapter[str] = TypeAdapter(Name)
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
    table: bool = False,
) -> Response:
    """Store a UTF-8 text or CSV table: the body itself, or the field ``file`` of a multipart form.

    ``name`` defaults to the file's name. ``table`` refuses what has no column of numbers. The same text twice
    is one corpus.
    """
    if name is not None:
        _checked(name)
    check_length(request, MAX_BYTES + _FORM_BYTES)
    check = UploadCheck(table=table)
    try:
        async for filename, piece in uploaded(request):
            if name is None and filename is not None:
                name = _checked(filename)
            check.feed(piece)
        text = await run_in_threadpool(check.finish)
    except CorpusError as error:
        wrong = FieldError(field="file", problem=error.problem, remedy=error.remedy)
        raise unprocessable([wrong]) from None
    info = await run_in_threadpool(parts.store.add_corpus, _checked(name or "Uploaded text"), text)
    return answer(info, status=HTTPStatus.CREATED)


@router.get(
    "/{corpus_id}/text", response_class=Response, responses={200: plain_bytes("text/plain", "The text.")}
)
def text(corpus_id: str, request: Request, parts: Given) -> Response:
    """The whole text as UTF-8, for whoever has the service's token or that of an attempt under way."""
    if not is_service(request) and not parts.store.is_current_token(token_of(request)):
        raise BadToken("this token is not valid", "use the service's, or a running attempt's")
    return Response(parts.corpus(corpus_id), media_type="text/plain; charset=utf-8")


def _checked(name: str) -> str:
    try:
        return _NAME.validate_python(name)
    except ValidationError as error:
        raise unprocessable(errors_of(error, "name")) from None
