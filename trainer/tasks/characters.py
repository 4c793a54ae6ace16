"""Next-character prediction: read a text, and at every character guess the one that follows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.tasks.base import TaskConfig, TaskSpec
from trainer.tasks.scripts import check_characters
from trainer.tasks.text_stream import TextStream, small_integer, training_part

PROMPT_LENGTH = 40


class CharactersConfig(TaskConfig):
    """Settings of next-character prediction."""

    corpus: str = Field(default="python-topics", min_length=1, max_length=100)
    """Which text to read: the built-in one, Python's own help pages, or one that you uploaded."""
    length: int = Field(default=100, ge=2, le=2000)
    """Characters that each lane of the stream reads per batch, so timesteps."""


class Characters(TextStream):
    """Next-character prediction.

    The vocabulary is every distinct character of the whole text, sorted by code point: a character that
    only the validation part uses has a place in it too.
    """

    loss_unit = "nats per character"
    error_unit = "wrong characters"
    symbol = "character"
    counts_characters = True
    sample_length = 200

    vocabulary: str
    """The distinct characters, sorted; ids are places in it."""

    def __init__(self, config: CharactersConfig, text: str) -> None:
        self.vocabulary = "".join(sorted(set(text)))
        check_characters(config.corpus, self.vocabulary)
        small = small_integer(len(self.vocabulary))
        codes = [ord(character) for character in self.vocabulary]
        self._ids_by_code = torch.full((max(codes, default=0) + 1,), -1, dtype=small)
        self._ids_by_code[codes] = torch.arange(len(codes), dtype=small)
        self._validation_text = text[training_part(len(text)) :]
        super().__init__(self._lookup(text), len(self.vocabulary), config.length)

    def encode(self, text: str) -> Tensor:
        """The (T,) int64 ids of a text. Raises ValueError for a character that is not in the vocabulary."""
        ids = self._lookup(text)
        if bool((ids < 0).any()):
            place = int((ids < 0).int().argmax())
            raise ValueError(
                f"character {text[place]!r} at place {place} does not occur in the text that was learnt; "
                "leave it out or replace it"
            )
        return ids.long()

    def unknown_in(self, text: str) -> int:
        return int((self._lookup(text) < 0).sum())

    def decode(self, ids: Tensor | Sequence[int]) -> str:
        """The text that (T,) ids spell."""
        numbers = ids.tolist() if isinstance(ids, Tensor) else ids
        return "".join(self.vocabulary[number] for number in numbers)

    def prompt(self, generator: Generator) -> str:
        """A few words of validation text for the network to go on from; starts at a word where it can."""
        last = max(0, len(self._validation_text) - PROMPT_LENGTH)
        place = int(torch.randint(last + 1, (), generator=generator))
        space = self._validation_text.find(" ", place, min(place + PROMPT_LENGTH, last))
        begin = place if space < 0 else space + 1
        return self._validation_text[begin : begin + PROMPT_LENGTH]

    def _lookup(self, text: str) -> Tensor:
        """(T,) ids in the small integer type, -1 for a character that is not in the vocabulary."""
        if not text:
            return torch.zeros(0, dtype=self._ids_by_code.dtype)
        # A lone surrogate has no place in a vocabulary either, but must get as far as being looked up.
        codes = torch.frombuffer(bytearray(text, "utf-32-le", "surrogatepass"), dtype=torch.int32)
        unknown = codes >= len(self._ids_by_code)
        return self._ids_by_code[codes.masked_fill(unknown, 0)].masked_fill_(unknown, -1)


SPEC = TaskSpec(
    title="Characters",
    summary="Read a text and guess each next character.",
    group="Real data",
    description=(
        "The network reads a real text, one character per timestep, and after each must give a "
        "probability to every character that could come next. Spelling needs a memory of a few "
        "characters, grammar and open brackets a longer one. The text is one long stream: the state goes"
        " on from batch to batch, and the last tenth of the text is kept for validation. The chance line"
        " is a guesser that knows only how often each character occurs. A loss in nats divided by ln 2 "
        "is bits per character. There is no rule for when a text is solved."
    ),
    source=(
        "Elman 1990, Finding structure in time (letters); Sutskever, Martens & Hinton 2011, Generating "
        "text with recurrent neural networks (long streams of real text)"
    ),
    wrong_when=(
        "A character is wrong when another character than the true one is given the highest probability."
    ),
    loss_reason=(
        "Cross-entropy: any of many characters may come, and what counts is the probability that the network "
        "gave to the one that did."
    ),
    config=CharactersConfig,
    task=Characters,
    defaults={"steps": 2000, "learning_rate": 0.01},
    needs_corpus=True,
)
