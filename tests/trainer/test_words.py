"""Names and other people's words: what does not show is refused in the first and marked in the second."""

from __future__ import annotations

from datetime import UTC, datetime
from unicodedata import normalize
from uuid import uuid4

import pytest
from pydantic import TypeAdapter, ValidationError

from dashboard.text import plain
from trainer.errors import errors_of
from trainer.schema import CorpusInfo, Launch, LogLine, Name, Run, RunPatch, Tag, shown, shown_line
from trainer.schema.runs import Channel, ForecastSample, TextSample

HIDDEN = {
    "override": "\u202e",
    "embedding": "\u202a",
    "isolate": "\u2066",
    "pop": "\u2069",
    "right-to-left mark": "\u200f",
    "Arabic letter mark": "\u061c",
    "zero-width space": "\u200b",
    "joiner in Latin": "\u200d",
    "non-joiner in Latin": "\u200c",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "NUL": "\x00",
    "escape": "\x1b",
    "delete": "\x7f",
    "C1 control": "\x9b",
    "next line": "\x85",
    "tag": "\U000e0041",
    "Hangul filler": "\u3164",
    "lone surrogate": "\ud800",
}
GOOD = ["run 3", "Größe – 50%", "名前", "пример", "שלום", "مثال", "👩‍🔬 ❤️", "می‌خواهم", "a_b-c.d/e", "ทดสอบ"]


@pytest.mark.parametrize("kind", [Name, Tag])
@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_a_name_holds_nothing_that_does_not_show(kind: object, hidden: str) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(kind)
    with pytest.raises(ValidationError) as refused:
        adapter.validate_python(f"exe{hidden}txt")
    (error,) = errors_of(refused.value, "name")
    assert error.problem
    assert error.remedy
    if not "\ud800" <= hidden <= "\udfff":  # those are no text at all
        assert "what does not show" in error.remedy


@pytest.mark.parametrize("name", GOOD)
def test_names_of_all_scripts_are_taken_as_they_are(name: str) -> None:
    assert TypeAdapter(Name).validate_python(name) == name
    assert shown(name) == name


def test_names_that_look_the_same_are_the_same() -> None:
    launch = Launch.model_validate(
        {
            "config": {"model": {}, "task": {}},
            "name": normalize("NFD", "Größe"),
            "tags": [normalize("NFD", "é")],
        }
    )
    assert (launch.name, launch.tags) == ("Größe", ["é"])
    assert RunPatch(name=normalize("NFD", "Größe")).name == "Größe"


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_what_was_stored_or_written_by_others_is_shown_with_a_mark(hidden: str) -> None:
    """The types that cross the wire do it, so that page, terminal and files have it from there."""
    bad, good = f"exe{hidden}txt", "exe\ufffdtxt"
    assert shown(bad) == shown_line(bad) == good
    if "\ud800" <= hidden <= "\udfff":
        return  # no JSON brings one
    config = {"model": {"name": "gru"}, "task": {"name": "adding"}}
    now = datetime.now(UTC).isoformat()
    run = Run.model_validate(
        {
            "id": uuid4(),
            "number": 1,
            "name": bad,
            "tags": [bad],
            "state": "failed",
            "reason": bad,
            "attempt": 1,
            "step": 0,
            "config": config,
            "summary": {},
            "created_at": now,
            "started_at": None,
            "ended_at": None,
            "can_resume": True,
        }
    )
    assert (run.name, run.tags, run.reason) == (good, [good], good)
    assert LogLine(at=datetime.now(UTC), level="info", text=bad).text == good
    info = CorpusInfo(id="a", name=bad, characters=1, vocabulary=1, builtin=False, preview=bad)
    assert (info.name, info.preview) == (good, good)
    sample = TextSample(prompt=bad, text=bad, temperature=1)
    assert (sample.prompt, sample.text) == (good, good)
    assert Channel(name=bad, values=[bad]).model_dump() == {"name": good, "values": [good]}
    assert ForecastSample(name=bad, truth=[], one_ahead=[], alone=[], given=1).name == good
    if not hidden.isspace():  # a break between words, as any other
        assert plain(bad) == good


def test_lines_and_tabs_stay_in_a_text_and_become_spaces_in_a_line() -> None:
    assert shown("a\n\tb") == "a\n\tb"
    assert shown_line("a\r\n\tb") == "a b"


def test_a_joiner_beside_a_joiner_hides_as_well() -> None:
    assert shown("猫\u200d\u200d犬") == "猫\ufffd\ufffd犬"
