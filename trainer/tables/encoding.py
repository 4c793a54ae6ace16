"""The text of a table's bytes: UTF-8, UTF-16 with its mark, or what Excel in Western Europe writes."""

from __future__ import annotations

import codecs
import re

from trainer.tables.errors import TableError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
WINDOWS = "Windows-1252"
_WESTERN = "À-ÿŒœŠšŽžŸƒ"
_SIGNS = "°µ²³¹¼½¾€£§·«»„“”‘’‚–—…‰™©®±×÷¿¡ºª¨´¸\u00a0"
_FOREIGN = re.compile(rf"[^\x00-\x7f{_WESTERN}{_SIGNS}]|[{_WESTERN}]{{3}}")
"""What no Western word has: then the bytes are of another alphabet."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
REMEDY = "save the file as “CSV UTF-8” and upload it again"


def is_wide(start: bytes | bytearray) -> bool:
    """Whether a file begins with UTF-16's mark, so that half of its bytes may be zero."""
    return start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def decoded(data: bytes) -> tuple[str, str]:
    """The text, and the name of its encoding.

    Raises:
        TableError: it is none of these encodings, or no text.
    """
    for mark, codec, name in MARKS:
        if data.startswith(mark):
            try:
                return _plain(data.decode(codec)), name
            except UnicodeDecodeError as error:
                raise TableError(
                    f"the file begins as {name}, but byte {error.start} is not", REMEDY
                ) from None
    try:
        return _plain(data.decode("utf-8")), "UTF-8"
    except UnicodeDecodeError as error:
        place = f"byte {error.start} (0x{data[error.start]:02x}) is not UTF-8"
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise TableError(place, REMEDY) from None
    foreign = _FOREIGN.search(text)
    if foreign:
        raise TableError(place, REMEDY)
    return _plain(text), WINDOWS


def _plain(text: str) -> str:
    control = _CONTROL.search(text)
    if control:
        raise TableError(
            f"character {control.start()} is the control character 0x{ord(control.group()):02x}, so this is "
            "not plain text",
            "upload a plain CSV file saved as UTF-8, not a spreadsheet, a document or an archive",
        )
    return text
