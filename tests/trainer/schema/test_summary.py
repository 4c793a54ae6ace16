"""A run's results in words, alike in a terminal and on a page."""

from __future__ import annotations

import pytest

from trainer.schema import Chance, Summary


@pytest.mark.parametrize(
    ("held_back", "words"),
    [
        ("", "1,234 wrong of 10,000 fresh ones"),
        ("the 360 images held back", "1,234 wrong of 10,000 drawn from the 360 images held back"),
        (None, "1,234 wrong of 10,000"),  # a run of an earlier version, of which that is not known
    ],
)
def test_only_what_was_made_anew_for_the_closing_test_is_called_fresh(
    held_back: str | None, words: str
) -> None:
    chance = Chance(loss=1.0, held_back=held_back)
    assert Summary(test_wrong=1234, test_total=10_000, chance=chance).test_words == words


def test_before_the_closing_test_there_is_nothing_to_tell() -> None:
    assert Summary().test_words == ""
    assert Summary(test_wrong=3, test_total=9).test_words == "3 wrong of 9"
