"""One letter, two spellings: what is typed finds what was learnt."""

from __future__ import annotations

from unicodedata import normalize

import pytest

from trainer.config import resolve
from trainer.inspection import gates, generate
from trainer.inspection.base import Recorded, Subject
from trainer.schema import Generation, RunConfig
from trainer.tasks.text_stream import TextStream

TEXT = "Müller fährt über die Brücke, Noël isst Crème brûlée, Åse liest. " * 60
TYPED = "Müller isst über"


def subject(task: str, text: str) -> Subject:
    config = RunConfig(model={"name": "gru", "hidden_size": 4}, task={"name": task, "corpus": "mine"})
    resolved = resolve(config, lambda _: text)
    return Subject(
        config=config,
        resolved=resolved,
        step=0,
        network=resolved.network().eval(),
        stored={},
        recorded=Recorded(),
    )


@pytest.mark.parametrize("task", ["characters", "words"])
@pytest.mark.parametrize("learnt", ["NFC", "NFD"])
@pytest.mark.parametrize("typed", ["NFC", "NFD"])
def test_a_text_is_known_however_its_accents_are_written(task: str, learnt: str, typed: str) -> None:
    """NFD is what an earlier version stored of a text from a Mac."""
    looked_at = subject(task, normalize(learnt, TEXT))  # type: ignore[arg-type]
    stream = looked_at.task
    assert isinstance(stream, TextStream)
    text = normalize(typed, TYPED)  # type: ignore[arg-type]
    assert stream.unknown_in(stream.as_written(text)) == 0
    made = generate.compute(looked_at, Generation(prompt=text, length=3))
    if (task, learnt) != ("words", "NFD"):  # of whose words a dot of its own is one
        assert normalize("NFC", made.prompt or "").casefold() == TYPED.casefold()
    seen = gates.compute(looked_at, gates.GatesSettings(text=text)).sample.channels[0].values
    assert len(seen) == len(stream.encode(normalize(learnt, TYPED)))  # type: ignore[arg-type]


def test_a_character_that_the_text_does_not_have_is_still_told() -> None:
    stream = subject("characters", TEXT).task
    assert isinstance(stream, TextStream)
    with pytest.raises(ValueError, match="'ß' at place 2"):
        stream.encode(stream.as_written("Müß"))


def test_a_text_that_mixes_both_spellings_is_read_as_it_stands() -> None:
    mixed = TEXT + normalize("NFD", "ñandú ") * 60
    stream = subject("characters", mixed).task
    assert isinstance(stream, TextStream)
    assert stream.as_written("Müller") == "Müller"
    assert stream.unknown_in(stream.as_written("ñ")) == 0
