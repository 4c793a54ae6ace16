"""Where the commands write: never failing on a character, never cut where nobody sees an edge."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from io import TextIOWrapper

from pydantic import BaseModel
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment

from trainer.schema import shown

UNCUT = 100_000
"""Columns of a file or a pipe, which has no edge."""


class WordsConsole(Console):
    """Shows other people's words as they are: no command to the terminal, nothing cut in a pipe."""

    @property
    def is_seen(self) -> bool:
        """Whether somebody sits before it, and not another program or a file."""
        return self.file.isatty()

    @property
    def size(self) -> ConsoleDimensions:
        return super().size if self.is_seen else ConsoleDimensions(UNCUT, 25)

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._width, self._height = size

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=shown(segment.text))


def replace_what_cannot_be_shown() -> None:
    """Let stdout and stderr write a mark for a character that their encoding does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not where a test or a notebook put something else there
            stream.reconfigure(errors="replace")


def as_json(value: BaseModel) -> str:
    """One line of JSON; in ASCII alone where stdout could not write it, or not all of it would show."""
    text = value.model_dump_json()
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(json.loads(text))
    return text if shown(text) == text else json.dumps(json.loads(text))
