"""Texts and tables to learn from: the built-in ones, and the checks that an upload must pass.

No torch here: the service checks uploads as they arrive.
"""

from __future__ import annotations

import codecs
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from trainer.schema import CorpusInfo, composed
from trainer.tables import UNDECLARED, Choice, Table, TableError, decoded, guessed, is_wide, read_table

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


def describe(
    corpus_id: str, name: str, text: str, *, table: Table | None = None, builtin: bool = False
) -> CorpusInfo:
    """What a reader is told about a text, or about a table and its text."""
    return CorpusInfo(
        id=corpus_id,
        name=name,
        characters=len(text),
        vocabulary=len(distinct(text)),
        builtin=builtin,
        preview=text[:PREVIEW_CHARACTERS],
        kind="text" if table is None else "table",
        columns=[] if table is None else list(table.numbers),
    )


def distinct(text: str, at_once: int = 100_000) -> set[str]:
    """The characters of a text, found part by part.

    One ``set(text)`` of ten million takes up to two seconds, in which no other thread of the process runs.
    """
    found: set[str] = set()
    for start in range(0, len(text), at_once):
        found.update(text[start : start + at_once])
    return found


@cache
def builtin_corpora() -> dict[str, Corpus]:
    """The texts and tables that are always there, by id. Treat it as read-only: it is made once."""
    topics = _python_topics()
    sunspots = _sunspots()
    given = (
        ("python-topics", "Python help topics", topics, None),
        ("sunspots", "Sunspots, yearly, 1700 to 2008", sunspots, builtin_tables()["sunspots"]),
    )
    return {
        key: Corpus(describe(key, name, text, table=table, builtin=True), text)
        for key, name, text, table in given
    }


@cache
def builtin_tables() -> dict[str, Table]:
    """Those of them that are tables. Treat it as read-only: it is made once."""
    return {"sunspots": read_table(_sunspots())}


def _sunspots() -> str:
    return (Path(__file__).parent / "data" / "sunspots.csv").read_text(encoding="utf-8")


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

    def __init__(
        self,
        limit: int = MAX_BYTES,
        *,
        table: bool | None = None,
        choice: Choice = UNDECLARED,
        separator: str | None = None,
    ) -> None:
        """What was declared is believed.

        Args:
            limit: bytes.
            table: whether it is a table, or a text however much it looks like one; None: as it looks.
            choice: a table's decimal and thousands sign.
            separator: between a table's cells.
        """
        self.table: Table | None = None
        """What a table was found to hold, after ``finish``."""
        self._limit, self._declared = limit, table
        self._choice, self._separator = choice, separator
        self._bytes = 0
        self._raw = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._parts: list[str] = []

    def feed(self, chunk: bytes) -> None:
        if self._bytes + len(chunk) > self._limit:
            raise CorpusError(
                f"the text is larger than {self._limit / 1e6:g} MB",
                "upload a part of it: a network learns a lot from one or two megabytes",
            )
        if self._declared:
            self._feed_table(chunk)
            return
        control = _CONTROL.search(chunk)
        place = self._bytes + control.start() if control else 0
        self._decode(chunk[: control.end()] if control else chunk)  # what is not UTF-8 before it comes first
        if control:
            raise _not_text(place, control)

    def finish(self) -> str:
        """The text: line endings as line feeds, without a byte order mark. A table is then in ``table``."""
        if self._declared:
            return self._finish_table()
        self._decode(b"", final=True)
        text = as_kept("".join(self._parts))
        if not text or text.isspace():
            found = f"holds nothing but {len(text):,} characters of white space" if text else "is empty"
            raise CorpusError(f"the text {found}", f"upload one of at least {MIN_CHARACTERS:,} characters")
        if self._declared is None:
            self.table = guessed(text)
            if self.table is not None:
                return text  # a table may be shorter than a text to read
        found_ones = sorted(distinct(text))
        if len(found_ones) < MIN_DISTINCT:
            shown = ", ".join(map(repr, found_ones))
            plural = "s" if len(found_ones) > 1 else ""
            raise CorpusError(
                f"the text has only {len(found_ones)} distinct character{plural} ({shown}), "
                "so there is nothing to predict",
                f"upload a text with at least {MIN_DISTINCT} distinct characters",
            )
        if len(text) < MIN_CHARACTERS:
            raise CorpusError(
                f"the text has only {len(text):,} characters",
                f"upload one of at least {MIN_CHARACTERS:,}: the last tenth is kept for validation",
            )
        return text

    def _feed_table(self, chunk: bytes) -> None:
        """Bytes are kept as they are: what encoding they have is seen from all of them."""
        control = None if is_wide(self._raw[:2] or chunk) else _CONTROL.search(chunk)
        if control:
            raise _not_text(self._bytes + control.start(), control)
        self._bytes += len(chunk)
        self._raw += chunk

    def _finish_table(self) -> str:
        try:
            text, encoding = decoded(bytes(self._raw))
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            if not text or text.isspace():
                raise TableError("the table is empty", "upload a CSV file: one line for each timestep")
            self.table = read_table(text, self._choice, self._separator, encoding=encoding)
        except TableError as error:
            raise CorpusError(error.problem, error.remedy) from None
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


def _not_text(place: int, control: re.Match[bytes]) -> CorpusError:
    return CorpusError(
        f"byte {place} is the control character 0x{control[0].hex()}, so this is not plain text",
        "upload a plain text file saved as UTF-8, not a document, an image or an archive",
    )
