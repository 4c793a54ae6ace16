"""Other people's words: what a name may hold, and how any text is made safe to be shown.

Some characters do not show, or turn round the order of those after them: a name with one looks like another
name, a log line reads as something that it does not say, a terminal takes a command.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

_HIDDEN = (
    r"\u0000-\u0008\u000b-\u001f\u007f-\u009f"  # controls, but for tab and line feed
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ufeff\uffa0\ufff9-\ufffb"
)
"""Controls, marks of direction, separators of lines, and what takes no room, as in a regular expression."""
_UNSHOWN = re.compile(
    rf"[{_HIDDEN}\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"
    # Joiners belong inside emoji and between letters of some scripts; beside Latin ones they only hide.
    r"|(?<![^\u0000-\u02ff\u200b-\u200f])[\u200c\u200d]|[\u200c\u200d](?![^\u0000-\u02ff\u200b-\u200f])"
)
PLAIN = rf"^[^\t\n<>{_HIDDEN}]*$"
"""No markup and nothing that does not show: names end up in pages, terminals and file names."""


def shown(text: str) -> str:
    """The text with a mark in the place of each character that does not show; lines and tabs stay."""
    return _UNSHOWN.sub("\ufffd", text)


def shown_line(text: str) -> str:
    """The same as one line."""
    return shown(re.sub(r"[\t\r\n]+", " ", text))


def composed(text: str) -> str:
    """The text in Unicode's form NFC, as keyboards write it: ü as one character, not as u and two dots."""
    return unicodedata.normalize("NFC", text)


def _plain_name(name: str) -> str:
    if _UNSHOWN.search(name):
        raise PydanticCustomError(
            "string_pattern_mismatch", "holds a character that does not show", {"pattern": PLAIN}
        )
    return composed(name)


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=PLAIN),
    AfterValidator(_plain_name),
]
Tag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=40, pattern=PLAIN),
    AfterValidator(_plain_name),
]
Shown = Annotated[str, AfterValidator(shown)]
"""Words that somebody else chose, of any number of lines."""
ShownLine = Annotated[str, AfterValidator(shown_line)]
"""The same, of one line."""
