"""A text that arrives, checked chunk by chunk: what cannot be used is refused before the rest is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import PurePosixPath

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from trainer.service.errors import Refused

MAX_HEADER = 8192
"""Bytes of one part's headers."""


async def uploaded(request: Request) -> AsyncIterator[tuple[str | None, bytes]]:
    """The file's name and its next bytes, as they come in.

    Takes a multipart form with one field called ``file``, or the text itself as the body.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        async for chunk in request.stream():
            yield None, chunk
        return
    form = _Form(options.get(b"boundary", b""))
    async for chunk in request.stream():
        for piece in form.feed(chunk):
            yield form.filename, piece
    if not form.seen:
        raise _malformed("no field called file came with it")


class _Form:
    """Picks the field ``file`` out of a multipart body, holding no more than a chunk of it."""

    def __init__(self, boundary: bytes) -> None:
        if not boundary:
            raise _malformed("its content type names no boundary")
        self.filename: str | None = None
        self.seen = False
        self._inside = False
        self._pieces: list[bytes] = []
        self._field, self._value, self._disposition, self._headers = b"", b"", b"", 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._open,
                "on_part_data": self._data,
                "on_part_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> list[bytes]:
        """The file's bytes in this chunk of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed(str(error)) from None
        pieces, self._pieces = self._pieces, []
        return pieces

    def _begin(self) -> None:
        self._disposition, self._headers = b"", 0

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]
        self._count(end - start)

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._count(end - start)

    def _count(self, size: int) -> None:
        self._headers += size
        if self._headers > MAX_HEADER:
            raise _malformed("the headers of a part are too long")

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._inside = options.get(b"name") == b"file" and not self.seen
        if self._inside:
            self.seen = True
            name = options.get(b"filename", b"").decode("utf-8", "replace")
            self.filename = PurePosixPath(name.replace("\\", "/")).name or None

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._pieces.append(data[start:end])

    def _end(self) -> None:
        self._inside = False


def _malformed(problem: str) -> Refused:
    return Refused(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"The upload cannot be read: {problem}.",
        "Send a multipart form with the text in its field `file`, or the text itself as the body.",
    )
