"""Next-word prediction: read a text word by word, and after each guess the one that follows."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.tasks.base import TaskConfig, TaskSpec
from trainer.tasks.scripts import check_words_apart
from trainer.tasks.text_stream import TextStream, small_integer, training_part

UNKNOWN = "<unk>"
"""Stands for every word outside the vocabulary; some texts, such as the Penn Treebank's, come with it."""
PROMPT_WORDS = 8

_WORD = re.compile(rf"{UNKNOWN}|\w+(?:['’-]\w+)*|([^\w\s])\1*")
_LONGEST_RUN = 3
_NO_SPACE_BEFORE = frozenset(".,;:!?)]}%…’")
_NO_SPACE_AFTER = frozenset("([{‘¿¡")


class WordsConfig(TaskConfig):
    """Settings of next-word prediction."""

    corpus: str = Field(default="python-topics", min_length=1, max_length=100)
    """Which text to read: the built-in one, Python's own help pages, or one that you uploaded."""
    vocabulary: int = Field(default=1000, ge=10, le=20_000)
    """How many words the network knows, the commonest ones; all others become one, the unknown word."""
    length: int = Field(default=35, ge=2, le=1000)
    """Words that each lane of the stream reads per batch, so timesteps."""


class Words(TextStream):
    """Next-word prediction over the commonest words of a text.

    A word is a run of letters, digits and underscores, with apostrophes and hyphens inside it (``don't``,
    ``built-in``), in small letters. So is a punctuation mark; one repeated counts once, and is cut to three
    (``----`` becomes ``---``). White space only separates.

    The vocabulary is the V commonest words of the training part, the commonest first, equals in the order of
    their code points, behind the unknown word, which has id 0. The unknown word is a word like any other: it
    is read, predicted and scored, as in the usual preparation of the Penn Treebank.
    """

    loss_unit = "nats per word"
    error_unit = "wrong words"
    symbol = "word"
    sample_length = 60

    words: tuple[str, ...]
    """The unknown word, then the commonest ones; ids are places in it."""

    def __init__(self, config: WordsConfig, text: str) -> None:
        distinct, places = _numbered(text)
        counts = torch.bincount(places[: training_part(len(places))], minlength=len(distinct)).tolist()
        seen = Counter({w: n for w, n in zip(distinct, counts, strict=True) if n and w != UNKNOWN})
        common = sorted(seen, key=lambda word: (-seen[word], word))[: config.vocabulary]
        self.words = (UNKNOWN, *common)
        self._ids = {word: place for place, word in enumerate(self.words)}
        table = torch.tensor(
            [self._ids.get(word, 0) for word in distinct], dtype=small_integer(len(self.words))
        )
        super().__init__(table[places], len(self.words), config.length)

    def encode(self, text: str) -> Tensor:
        """The (T,) int64 ids of a text's words. Raises ValueError where it has none."""
        ids = [self._ids.get(word, 0) for word in _words(text)]
        if not ids:
            raise ValueError("there is no word in it; write at least one")
        return torch.tensor(ids)

    def unknown_in(self, text: str) -> int:
        return sum(word not in self._ids for word in _words(text))

    def decode(self, ids: Tensor | Sequence[int]) -> str:
        """Words with spaces between them, except before and after the punctuation that stands close."""
        numbers = ids.tolist() if isinstance(ids, Tensor) else ids
        return _joined(self.words[number] for number in numbers)

    def prompt(self, generator: Generator) -> str:
        """A few words of the validation part, unknown ones as such."""
        last = max(0, len(self._validation_ids) - PROMPT_WORDS)
        place = int(torch.randint(last + 1, (), generator=generator))
        return self.decode(self._validation_ids[place : place + PROMPT_WORDS])


def _words(text: str) -> Iterable[str]:
    for match in _WORD.finditer(text.lower()):
        yield match[0] if match[1] is None else match[0][:_LONGEST_RUN]


@lru_cache(maxsize=1)
def _numbered(text: str) -> tuple[list[str], Tensor]:
    """The distinct words of a text, and the (N,) places of its words among them.

    Kept, because the form asks for a text's cost after every change of a setting.
    """
    numbers: dict[str, int] = {}
    places = array("i", (numbers.setdefault(word, len(numbers)) for word in _words(text)))
    return list(numbers), torch.tensor(places, dtype=torch.int32)


def _joined(words: Iterable[str]) -> str:
    """A quotation mark opens and closes by turns; an opening one stands close to what follows it."""
    parts: list[str] = []
    close, open_quotes = True, set[str]()
    for word in words:
        quote = word[0] in "\"'`" and len(set(word)) == 1
        closing = quote and word in open_quotes
        if not (close or closing or word[0] in _NO_SPACE_BEFORE):
            parts.append(" ")
        parts.append(word)
        close = word[0] in _NO_SPACE_AFTER or (quote and not closing)
        if quote:
            open_quotes ^= {word}
    return "".join(parts)


SPEC = TaskSpec(
    title="Words",
    summary="Read a text and guess each next word.",
    group="Real data",
    description=(
        "The network reads a real text, one word or punctuation mark per timestep, and after each must give "
        "a probability to every word that could come next. It knows only the commonest words of the text; "
        "each other one is shown to it, and asked of it, as the unknown word <unk>. The text is one long "
        "stream: the state goes on from batch to batch, and the last tenth of the text is kept for "
        "validation. The chance line is a guesser that knows only how often each word occurs. The "
        "exponential of a loss in nats is the perplexity: among how many equally likely words the network "
        "still hesitates. There is no rule for when a text is solved."
    ),
    source=(
        "Elman 1990, Finding structure in time (words); Mikolov, Karafiát, Burget, Černocký & Khudanpur "
        "2010, Recurrent neural network based language model (real text, rare words merged into one)"
    ),
    wrong_when=("A word is wrong when another word than the true one is given the highest probability."),
    loss_reason=(
        "Cross-entropy: any of many words may come, and what counts is the probability that the network gave "
        "to the one that did."
    ),
    config=WordsConfig,
    task=Words,
    defaults={"steps": 800, "learning_rate": 0.005},
    needs_corpus=True,
    check_text=check_words_apart,
)
