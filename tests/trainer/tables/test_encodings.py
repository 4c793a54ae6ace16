"""Tables in the encodings that spreadsheets write, and bytes that are no table."""

from __future__ import annotations

import pytest

from trainer.corpora import CorpusError, UploadCheck

TEXT = "Tag;Höhe\n;°C\n" + "".join(f"{n:02d}.01.;{n % 7},{n % 10}5\n" for n in range(50))


def read(content: bytes, size: int = 1_000) -> UploadCheck:
    check = UploadCheck(table=True)
    for at in range(0, len(content), size):
        check.feed(content[at : at + size])
    assert check.finish() == TEXT
    return check


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16"), ("cp1252", "Windows-1252")],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_table_is_read_in_what_excel_writes(encoding: str, name: str, size: int) -> None:
    """However its bytes are cut into chunks."""
    found = read(TEXT.replace("\n", "\r\n").encode(encoding), size).table
    assert found is not None
    assert list(found.numbers) == ["Höhe"]
    assert found.reading.encoding == name
    assert found.reading.units == {"Höhe": "°C"}


def test_big_endian_utf_16_is_read() -> None:
    found = read(b"\xfe\xff" + TEXT.encode("utf-16-be")).table
    assert found is not None
    assert found.reading.encoding == "UTF-16"


@pytest.mark.parametrize(
    "content",
    [
        "Дата;Температура\n".encode("cp1251") + b"1;2,5\n" * 50,
        "日付;気温\n".encode("shift-jis") + b"1;2,5\n" * 50,
        b"\x81\x8d;x\n" + b"1;2,5\n" * 50,
        b"\xff\xfea",
        b"PK\x03\x04",
        b"a,b\n1,2\x00\n",
        "a\0b".encode("utf-16"),
    ],
)
def test_other_bytes_are_refused_with_what_to_do(content: bytes) -> None:
    with pytest.raises(CorpusError) as caught:
        read(content)
    assert "UTF-8" in caught.value.remedy
