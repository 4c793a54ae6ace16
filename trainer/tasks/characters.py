"""Next-character prediction: read a text, and at every character guess the one that follows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample, SettingError
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec

TRAINING_SHARE = 0.9
PROMPT_LENGTH = 40


class CharactersConfig(TaskConfig):
    """Settings of next-character prediction."""

    corpus: str = Field(default="python-topics", min_length=1, max_length=100)
    """Which text to read: the built-in one, Python's own help pages, or one that you uploaded."""
    length: int = Field(default=100, ge=2, le=2000)
    """Characters that each lane of the stream reads per batch, so timesteps."""


class Characters(Task):
    """One long text, read in B parallel lanes; the network's state goes on from batch to batch.

    The vocabulary is every distinct character of the whole text, sorted by code point: a character that
    only the validation part uses has a place in it too. A network sees each character one-hot.

    The first 90% of the text is for training, N characters that are read as a ring. Lane b of B starts at
    ⌊bN / B⌋, and each draw takes it ``length`` characters on: to the end of its own section, then on into its
    neighbour's, and from the end of the text to its beginning. So no character is left out, successive
    batches always continue each other, there is one seam per lap of the ring, and ``position`` is just the
    number of draws. The batch size must stay the same within a run.

    The last 10% is for validation: chunks from random places, each to be read from the initial state.

    Chance: a guesser that never looks at the text before, and knows only how often each character occurs in
    the training part. Its loss is the cross-entropy of the validation text under those frequencies (one
    added to every count, so that a character new to it is unlikely, not impossible), its error how often
    the commonest character of the training part is not the next one.
    """

    loss_kind = "cross_entropy"
    streaming = True
    loss_unit = "nats per character"
    error_unit = "wrong characters"

    vocabulary: str
    """The distinct characters, sorted; ids are places in it."""

    def __init__(self, config: CharactersConfig, text: str) -> None:
        """Raises ValueError (of field ``length``) when the text is too short for chunks of that length."""
        cut = int(len(text) * TRAINING_SHARE)
        # A chunk of validation text needs one character more: the target of its last.
        spare = len(text) - cut - 1
        if spare < config.length:
            raise SettingError(
                "length",
                config.length,
                f"the last tenth of the text, kept for validation, has only {spare + 1} characters",
                f"choose a length of {spare} or less, or a longer text"
                if spare >= 2
                else "choose a longer text",
            )
        self.length = config.length
        self.vocabulary = "".join(sorted(set(text)))
        self.input_size = self.output_size = len(self.vocabulary)
        # Two bytes a character where they do, not eight: a text may have twenty million of them.
        small = torch.int16 if len(self.vocabulary) <= torch.iinfo(torch.int16).max else torch.int32
        codes = [ord(character) for character in self.vocabulary]
        self._ids_by_code = torch.full((codes[-1] + 1,), -1, dtype=small)
        self._ids_by_code[codes] = torch.arange(len(codes), dtype=small)

        ids = self._lookup(text)
        training, validation = ids[:cut], ids[cut:]
        self._chance = self._blind_guess(training, validation)
        self._validation_text = text[cut:]
        self._ring = len(training)
        # The ring, cut open and continued, so that row p of the (N, T + 1) view is the text from place p on.
        beyond = torch.arange(self.length) % self._ring
        self._training = torch.cat((training, training[beyond])).unfold(0, self.length + 1, 1)
        self._validation = validation.unfold(0, self.length + 1, 1)
        self._draws = 0

    @property
    def chance(self) -> Chance:
        return self._chance

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        del generator  # the stream has its own order
        begin = self._draws * self.length
        places = [(lane * self._ring // batch_size + begin) % self._ring for lane in range(batch_size)]
        self._draws += 1
        return self._batch(self._training[places])

    def draw_validation(self, batch_size: int, generator: Generator) -> Batch:
        places = torch.randint(len(self._validation), (batch_size,), generator=generator)
        return self._batch(self._validation[places])

    def _batch(self, ids: Tensor) -> Batch:
        """From (B, T + 1) ids."""
        ids = ids.long()
        inputs = torch.zeros(len(ids), self.length, len(self.vocabulary))
        inputs.scatter_(2, ids[:, :-1].unsqueeze(2), 1.0)
        return Batch(inputs=inputs, targets=ids[:, 1:].contiguous(), first=0)

    def position(self) -> dict[str, int]:
        return {"draws": self._draws}

    def seek(self, position: dict[str, int]) -> None:
        self._draws = position["draws"]

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        wrong = outputs.argmax(dim=-1) != batch.targets
        return Score(wrong=int(wrong.sum()), total=wrong.numel())

    def is_solved(self, wrong: int, total: int) -> bool:
        """Never: no text is predicted without error, and no source gives a rule for when it is enough."""
        del wrong, total
        return False

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        target = batch.targets[index]
        prediction = outputs[index].argmax(dim=-1)
        right = int((prediction == target).sum())
        return SequenceSample(
            channels=[Channel(name="character", values=list(self.decode(batch.inputs[index].argmax(dim=1))))],
            informative=[],
            target=self.decode(target),
            prediction=self.decode(prediction),
            correct=right == len(target),
            detail=f"{right} of {len(target)} characters right",
        )

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

    def _blind_guess(self, training: Tensor, validation: Tensor) -> Chance:
        size = len(self.vocabulary)
        counts = training.bincount(minlength=size).double()
        shares = validation.bincount(minlength=size).double() / len(validation)
        frequencies = (counts + 1) / (counts + 1).sum()
        return Chance(
            loss=float(-(shares * frequencies.log()).sum()), error=float(1 - shares[counts.argmax()])
        )


SPEC = TaskSpec(
    title="Characters",
    summary="Read a text and guess each next character.",
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
    config=CharactersConfig,
    task=Characters,
    defaults={"steps": 2000, "learning_rate": 0.01},
    needs_corpus=True,
)
