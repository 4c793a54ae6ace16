"""What workers say and ask: only with their own attempt's token."""

from __future__ import annotations

import struct
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from trainer.errors import errors_of
from trainer.schema import Report, ReportReply
from trainer.service.answers import answer, plain_bytes, shaped
from trainer.service.auth import token_of
from trainer.service.bodies import read, sent_as
from trainer.service.errors import Refused, unprocessable
from trainer.service.parts import Given

router = APIRouter(prefix="/runs/{run_id}/attempts/{number}", tags=["worker"])

MAX_REPORT = 512 * 2**20
"""Bytes, checkpoint included."""
_LENGTH = struct.Struct(">I")


_FRAMED: dict[str, Any] = {"type": "string", "format": "binary"}


@router.post("/reports", **shaped(ReportReply), openapi_extra=sent_as({"application/octet-stream": _FRAMED}))
async def report(run_id: UUID, number: int, request: Request, parts: Given) -> Response:
    """Store all of a report or nothing. The body: 4 bytes big-endian length, JSON, checkpoint bytes."""
    token = token_of(request)
    # Before the body is read: a stranger may not make the service hold half a gigabyte.
    await run_in_threadpool(parts.store.authorize, run_id, number, token)
    body = await read(request, MAX_REPORT)

    def store() -> ReportReply:
        sent, checkpoint = unframe(body)
        return parts.store.accept(run_id, number, token, sent, checkpoint)

    return answer(await run_in_threadpool(store))


def unframe(body: bytes) -> tuple[Report, bytes | None]:
    """The report and the checkpoint's bytes of one post."""
    end = _LENGTH.size + (_LENGTH.unpack_from(body)[0] if len(body) >= _LENGTH.size else 0)
    if end == _LENGTH.size or end > len(body):
        raise Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The report is cut off.",
            "Send 4 bytes with the length of the JSON, the JSON, then the checkpoint's bytes.",
        )
    try:
        return Report.model_validate_json(body[_LENGTH.size : end]), body[end:] or None
    except ValidationError as error:
        raise unprocessable(errors_of(error, model=Report)) from None


@router.get(
    "/checkpoint",
    response_class=Response,
    responses={
        200: plain_bytes("application/octet-stream", "The checkpoint."),
        204: {"description": "There is none."},
    },
)
def checkpoint(run_id: UUID, number: int, request: Request, parts: Given) -> Response:
    """The newest checkpoint's bytes, its step and SHA-256 in the headers; 204 where there is none."""
    found = parts.store.attempt_checkpoint(run_id, number, token_of(request))
    if found is None:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    headers = {"X-Unfold-Step": str(found.step), "X-Unfold-Sha256": found.sha256}
    return Response(found.data, headers=headers, media_type="application/octet-stream")
