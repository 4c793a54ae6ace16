"""Scripts that put no spaces between words, and the texts of which a task cannot tell the symbols."""

from __future__ import annotations

import re
from typing import NamedTuple

from trainer.schema import SettingError


class _Scripts(NamedTuple):
    """Scripts whose words have about the same number of characters."""

    run: re.Pattern[str]
    """Characters of theirs in a row."""
    longest: float
    """Characters to a word, on average, that a text with spaces between its words does not have."""


_SPACELESS = (
    # Han, kana, bopomofo: one or two characters to a word
    _Scripts(
        re.compile(
            r"[\u3005-\u3007\u3021-\u3029\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f"
            r"\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
            r"\U00020000-\U0003ffff]+"
        ),
        3,
    ),
    # Thai, Lao, Tibetan, Burmese, Khmer, Tai Le to Tai Tham, Yi, Javanese, Tai Viet: some five, marks counted
    _Scripts(
        re.compile(
            r"[\u0e00-\u0e7f\u0e80-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf"
            r"\ua000-\ua4cf\ua980-\ua9df\ua9e0-\ua9ff\uaa60-\uaadf]+"
        ),
        8,
    ),
)
_LETTER = re.compile(r"[^\W\d_]")
LOOKED_AT = 100_000
"""Characters that are looked at, from the beginning of a text and from its middle."""
_SHARE = 0.2
"""Of a text's letters, that may be of such a script: a foreign name, a quotation."""
MOST_CHARACTERS = 2_000
"""Distinct ones that the task Characters takes: one-hot, each costs a row of input and of output weights."""


def words_are_apart(text: str) -> bool:
    """Whether the words of a text, or most of them, can be told by the spaces and signs between them.

    Not by the script alone: a text may have been cut into words, with spaces between them.
    """
    middle = max(LOOKED_AT, len(text) // 2)
    text = f"{text[:LOOKED_AT]} {text[middle : middle + LOOKED_AT]}"
    letters = len(_LETTER.findall(text))
    joined = 0
    for scripts in _SPACELESS:
        runs = [len(run) for run in scripts.run.findall(text)]
        if runs and sum(runs) / len(runs) > scripts.longest:
            joined += sum(runs)
    return joined <= _SHARE * max(letters, joined)


def check_words_apart(corpus: str, text: str) -> None:
    """Raises SettingError (of ``corpus``) for a text that gives whole clauses in place of words."""
    if words_are_apart(text):
        return
    many = len(set(text)) > MOST_CHARACTERS
    first = f" with its rare characters replaced (it takes {MOST_CHARACTERS:,})" if many else ""
    raise SettingError(
        "corpus",
        corpus,
        "this script does not separate words by spaces, so that whole clauses would be taken for words",
        f"choose the task Characters{first}, or put spaces between the words of the text",
    )


def check_characters(corpus: str, characters: str) -> None:
    """Raises SettingError (of ``corpus``) for more distinct characters than can be told apart one-hot."""
    if len(characters) > MOST_CHARACTERS:
        raise SettingError(
            "corpus",
            corpus,
            f"the text has {len(characters):,} distinct characters; this task takes {MOST_CHARACTERS:,}",
            "replace its rare characters, or choose the task Words where spaces separate its words",
        )
