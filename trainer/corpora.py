"""Texts and tables to learn from: the built-in ones, and the checks that an upload must pass.

No torch here: the service checks uploads as they arrive.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from trainer.csv_table import TableError, column_names, read_table
from trainer.schema import CorpusInfo, composed

MAX_BYTES = 20_000_000
MIN_CHARACTERS = 2_000
"""So that the tenth of a text that is kept for validation holds a sequence of the default length."""
MIN_DISTINCT = 4
"""The alphabet of DNA passes."""
PREVIEW_CHARACTERS = 200

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
"""Bytes that plain text does not hold; tab, line feed, form feed and carriage return do occur.

In UTF-8 a byte under 0x80 is always a whole character, so this may look at bytes before they are decoded.
"""


class CorpusError(ValueError):
    """A text that cannot be trained on: what was found, and what to do about it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class Corpus(NamedTuple):
    """A text, which may be that of a table, and what a reader is told about it."""

    info: CorpusInfo
    text: str


def describe(corpus_id: str, name: str, text: str, *, builtin: bool = False) -> CorpusInfo:
    """What a reader is told about a text."""
    return CorpusInfo(
        id=corpus_id,
        name=name,
        characters=len(text),
        vocabulary=len(set(text)),
        builtin=builtin,
        preview=text[:PREVIEW_CHARACTERS],
        columns=column_names(text),
    )


@cache
def builtin_corpora() -> dict[str, Corpus]:
    """The texts and tables that are always there, by id. Treat it as read-only: it is made once."""
    sunspots = (Path(__file__).parent / "data" / "sunspots.csv").read_text(encoding="utf-8")
    given = (
        ("python-topics", "Python help topics", _python_topics()),
        ("sunspots", "Sunspots, yearly, 1700 to 2008", sunspots),
    )
    return {key: Corpus(describe(key, name, text, builtin=True), text) for key, name, text in given}


def _python_topics() -> str:
    """The English reference that every CPython carries for ``help()``: about 470,000 characters in 3.11.

    Topics in the order of their names, one blank line between; no white space at the ends of lines and
    never two blank lines together. Each version of Python words its topics a little differently.
    """
    from pydoc_data.topics import topics

    text = "\n\n".join(topics[name].expandtabs().strip("\n") for name in sorted(topics))
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \r]+\n", "\n", text)) + "\n"


def as_kept(text: str) -> str:
    """A text as it is stored: line feeds end its lines, no byte order mark, accents composed."""
    return composed(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))


class UploadCheck:
    """Checks a text or a table while it arrives, and refuses it at the first byte that rules it out.

    ``feed`` every chunk, then take the text from ``finish``. Either raises CorpusError. After a refusal the
    rest need not be read.
    """

    def __init__(self, limit: int = MAX_BYTES, *, table: bool = False) -> None:
        """``table`` refuses a text without a column of numbers. Without it, both kinds are taken."""
        self._limit, self._table = limit, table
        self._bytes = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._parts: list[str] = []

    def feed(self, chunk: bytes) -> None:
        if self._bytes + len(chunk) > self._limit:
            raise CorpusError(
                f"the text is larger than {self._limit / 1e6:g} MB",
                "upload a part of it: a network learns a lot from one or two megabytes",
            )
        control = _CONTROL.search(chunk)
        place = self._bytes + control.start() if control else 0
        self._decode(chunk[: control.end()] if control else chunk)  # what is not UTF-8 before it comes first
        if control:
            raise CorpusError(
                f"byte {place} is the control character 0x{control[0].hex()}, so this is not plain text",
                "upload a plain text file saved as UTF-8, not a document, an image or an archive",
            )

    def finish(self) -> str:
        """The text: line endings as line feeds, without a byte order mark."""
        self._decode(b"", final=True)
        text = as_kept("".join(self._parts))
        if not text or text.isspace():
            found = f"holds nothing but {len(text):,} characters of white space" if text else "is empty"
            raise CorpusError(f"the text {found}", f"upload one of at least {MIN_CHARACTERS:,} characters")
        try:
            read_table(text)
        except TableError as error:
            if self._table:
                raise CorpusError(error.problem, error.remedy) from None
        else:
            return text  # a table may be shorter than a text to read
        distinct = sorted(set(text))
        if len(distinct) < MIN_DISTINCT:
            shown = ", ".join(map(repr, distinct))
            plural = "s" if len(distinct) > 1 else ""
            raise CorpusError(
                f"the text has only {len(distinct)} distinct character{plural} ({shown}), "
                "so there is nothing to predict",
                f"upload a text with at least {MIN_DISTINCT} distinct characters",
            )
        if len(text) < MIN_CHARACTERS:
            raise CorpusError(
                f"the text has only {len(text):,} characters",
                f"upload one of at least {MIN_CHARACTERS:,}: the last tenth is kept for validation",
            )
        return text

    def _decode(self, chunk: bytes, final: bool = False) -> None:
        held = len(self._decoder.getstate()[0])  # bytes of a character that the last chunk broke off
        try:
            part = self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            place = self._bytes - held + error.start
            raise CorpusError(
                f"byte {place} (0x{error.object[error.start]:02x}) is not UTF-8",
                "upload a plain text file saved as UTF-8",
            ) from None
        self._bytes += len(chunk)
        self._parts.append(part)


def check_upload(chunks: Iterable[bytes], limit: int = MAX_BYTES) -> str:
    """The text of an upload, or CorpusError; chunks after the one that is refused are never asked for."""
    check = UploadCheck(limit)
    for chunk in chunks:
        check.feed(chunk)
    return check.finish()
