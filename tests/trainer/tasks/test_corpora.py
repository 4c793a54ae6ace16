"""Texts: the built-in one is there, and an upload that cannot be trained on is refused as it streams."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.corpora import MAX_BYTES, CorpusError, UploadCheck, builtin_corpora, describe, distinct

GOOD = "It was a dark and stormy night; the rain fell in torrents. " * 50


def check_upload(chunks: Iterable[bytes], limit: int = MAX_BYTES) -> str:
    """The text of an upload; no chunk is asked for after one that is refused."""
    check = UploadCheck(limit)
    for chunk in chunks:
        check.feed(chunk)
    return check.finish()


def refused(*chunks: bytes, limit: int = MAX_BYTES) -> CorpusError:
    with pytest.raises(CorpusError) as caught:
        check_upload(chunks, limit)
    assert caught.value.problem
    assert caught.value.remedy
    assert str(caught.value) == f"{caught.value.problem}; {caught.value.remedy}"
    return caught.value


def test_the_builtin_text_is_large_plain_english_and_the_same_each_time() -> None:
    info, text = builtin_corpora()["python-topics"]
    assert len(text) == info.characters > 200_000
    assert len(set(text)) == info.vocabulary < 200
    assert info.builtin
    assert text.startswith(info.preview)
    assert all(character == "\n" or character.isprintable() for character in text)
    assert "\n\n\n" not in text
    assert not any(line.endswith(" ") for line in text.split("\n"))
    assert text.count(" the ") > 1_000
    code = "from trainer.corpora import builtin_corpora as b; print(hash(b()['python-topics'].text))"
    seed = {"PYTHONHASHSEED": "0"}
    hashes = {subprocess.check_output([sys.executable, "-c", code], env=seed) for _ in range(2)}
    assert len(hashes) == 1


def test_the_builtin_text_passes_the_check_for_uploads() -> None:
    text = builtin_corpora()["python-topics"].text
    assert check_upload([text.encode()]) == text


def test_checking_texts_needs_no_torch() -> None:
    code = "import sys, trainer.corpora; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), max_size=200),
    cuts=st.lists(st.integers(0, 3_000), max_size=6),
)
def test_a_text_comes_out_as_it_went_in_wherever_the_chunks_break(text: str, cuts: list[int]) -> None:
    """Also inside a character of several bytes."""
    text = GOOD + text
    data = text.encode()
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    assert check_upload([data[a:b] for a, b in itertools.pairwise(edges)]) == text


def test_line_endings_become_line_feeds_and_a_byte_order_mark_goes() -> None:
    data = b"\xef\xbb\xbf" + GOOD.encode() + b"\r\none\rtwo\n\r\n"
    assert check_upload([data]) == GOOD + "\none\ntwo\n\n"
    assert check_upload([bytes([byte]) for byte in data]) == GOOD + "\none\ntwo\n\n"


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf"])
def test_an_empty_text_is_refused(data: bytes) -> None:
    assert "is empty" in refused(data).problem


def test_white_space_alone_is_refused() -> None:
    assert "4,000 characters of white space" in refused(b" \n\t\n" * 1_000).problem


def test_one_repeated_letter_is_refused() -> None:
    problem = refused(b"a" * 1_000_000).problem
    assert "only 1 distinct character ('a')" in problem


def test_four_letters_are_enough_and_three_are_not() -> None:
    assert check_upload([b"acgt" * 500]) == "acgt" * 500
    assert "only 3 distinct characters ('a', 'b', 'c')" in refused(b"abc" * 1_000).problem


def test_a_short_text_is_refused_with_its_size_and_the_least_one() -> None:
    error = refused(GOOD[:1_999].encode())
    assert "only 1,999 characters" in error.problem
    assert "2,000" in error.remedy
    assert len(check_upload([GOOD[:2_000].encode()])) == 2_000


@pytest.mark.parametrize(
    ("start", "place", "code"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00", 0, "0x89"),
        (b"%PDF-1.7\n\x00", 9, "0x00"),
        (b"\xff\xfeI\x00", 0, "0xff"),
        (b"caf\xe9 au lait", 3, "0xe9"),
        (b"fine \x1b[31mred", 5, "0x1b"),
        (b"half a \xe2\x82", 7, "0xe2"),
        (b"\xed\xa0\x80 surrogate", 0, "0xed"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 1_000])
def test_what_is_not_utf8_text_is_refused_at_its_first_bad_byte(
    start: bytes, place: int, code: str, size: int
) -> None:
    """However the bytes are cut into chunks, after a lead of good text with characters of two bytes."""
    lead = "é" * 10
    data = lead.encode() + start
    error = refused(*(data[at : at + size] for at in range(0, len(data), size)))
    assert f"byte {place + 20} " in error.problem
    assert code in error.problem
    assert "UTF-8" in error.remedy


def test_how_many_distinct_characters_are_too_many_is_for_the_task_to_say() -> None:
    many = "".join(chr(0x4E00 + place) for place in range(5_001))
    assert check_upload([many.encode()]) == many


@pytest.mark.parametrize("text", [GOOD * 40, "a,value\n" + "1,2.5\n2,3.5\n" * 200], ids=["text", "table"])
def test_a_text_is_kept_with_its_accents_composed(text: str) -> None:
    decomposed = text.replace("a", "u\u0308", 1)
    assert check_upload([decomposed.encode()]) == text.replace("a", "ü", 1)


def test_a_hundred_megabytes_are_refused_when_the_limit_is_passed_and_the_rest_is_never_asked_for() -> None:
    chunk = (GOOD * 23).encode()[:65_536]
    given_out = 0

    def upload() -> Iterator[bytes]:
        nonlocal given_out
        while given_out < 100_000_000:
            given_out += len(chunk)
            yield chunk

    with pytest.raises(CorpusError, match="larger than 20 MB"):
        check_upload(upload())
    assert 20_000_000 < given_out <= 20_000_000 + len(chunk)


def test_binary_is_refused_at_once_however_much_follows() -> None:
    chunks = iter([b"\x00" * 100, *([GOOD.encode()] * 10)])
    with pytest.raises(CorpusError, match="byte 0 is the control character 0x00"):
        check_upload(chunks)
    assert len(list(chunks)) == 10


def test_a_text_of_just_the_limit_is_taken() -> None:
    data = GOOD.encode()
    assert check_upload([data], limit=len(data)) == GOOD
    refused(data, b"!", limit=len(data))


def test_a_description_counts_characters_not_bytes() -> None:
    info = describe("id", "Été", "été" * 1_000)
    assert (info.characters, info.vocabulary, info.builtin) == (3_000, 2, False)
    assert len(info.preview) == 200


@pytest.mark.parametrize("at_once", [1, 3, 7, 100])
def test_the_characters_of_a_text_are_found_part_by_part(at_once: int) -> None:
    for text in ("", "a", "aбв😀 aб\n漢", "xyz" * 5):
        assert distinct(text, at_once) == set(text)
