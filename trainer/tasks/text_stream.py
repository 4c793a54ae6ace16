"""What tasks over real text share: one long stream of symbols, read in parallel lanes.

Axes: B (batch), T (time), D (input features), O (outputs).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar
from unicodedata import normalize

import torch
from torch import Generator, Tensor

from models.base import Network
from trainer.sampling import text_samples
from trainer.schema import Chance, Channel, SequenceSample, SettingError, TextSample, composed
from trainer.tasks.base import Batch, Score, Task

TRAINING_SHARE = 0.9


class TextStream(Task):
    """One long text as symbols, read in B parallel lanes; the network's state goes on from batch to batch.

    At every timestep the network sees a symbol one-hot and is asked for the next one.

    The first 90% of the text is for training, N symbols that are read as a ring. Lane b of B starts at
    ⌊bN / B⌋, and each draw takes it ``length`` symbols on: to the end of its own section, then on into its
    neighbour's, and from the end of the text to its beginning. So no symbol is left out, successive batches
    always continue each other, there is one seam per lap of the ring, and ``position`` is just the number of
    draws. The batch size must stay the same within a run.

    The last 10% is for validation: chunks from random places, each to be read from the initial state.

    Chance: a guesser that never looks at the text before, and knows only how often each symbol occurs in the
    training part. Its loss is the cross-entropy of the validation text under those frequencies (one added to
    every count, so that a symbol new to it is unlikely, not impossible), its error how often the commonest
    symbol of the training part is not the next one.
    """

    loss_kind = "cross_entropy"
    streaming = True
    solvable = False
    held_back = "the last tenth of the text, held back"

    symbol: ClassVar[str]
    """What the text consists of, for readers: ``"character"``."""
    sample_length: ClassVar[int]
    """Symbols in a sample of the network's own text."""

    def __init__(self, ids: Tensor, size: int, length: int) -> None:
        """From the (N,) ids of the whole text, each under ``size``, and the length of a batch.

        Raises SettingError (of ``length``) when the text is too short for chunks of that length.
        """
        cut = training_part(len(ids))
        # A chunk of validation text needs one symbol more: the target of its last.
        spare = len(ids) - cut - 1
        if spare < length:
            raise SettingError(
                "length",
                length,
                f"the last tenth of the text, kept for validation, has only {spare + 1} {self.symbol}s",
                f"choose a length of {spare} or less, or a longer text"
                if spare >= 2
                else "choose a longer text",
            )
        self.length = length
        self.input_size = self.output_size = size
        training, self._validation_ids = ids[:cut], ids[cut:]
        self._chance = _blind_guess(training, self._validation_ids, size)
        self._training_chance = _entropy(training, size)
        self._ring = cut
        # The ring, cut open and continued, so that row p of the (N, T + 1) view is the text from place p on.
        beyond = torch.arange(length) % cut
        self._training = torch.cat((training, training[beyond])).unfold(0, length + 1, 1)
        self._validation = self._validation_ids.unfold(0, length + 1, 1)
        self._draws = 0

    @property
    def chance(self) -> Chance:
        return self._chance

    @property
    def training_chance(self) -> float:
        return self._training_chance

    @property
    def last_chance(self) -> float:
        """Nearly: from lap to lap of the ring, other symbols stand at the last timestep."""
        return self._training_chance

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        del generator  # the stream has its own order
        begin = self._draws * self.length
        places = [(lane * self._ring // batch_size + begin) % self._ring for lane in range(batch_size)]
        self._draws += 1
        return self._batch(self._training[places])

    def draw_validation(self, batch_size: int, generator: Generator) -> Batch:
        places = torch.randint(len(self._validation), (batch_size,), generator=generator)
        return self._batch(self._validation[places])

    def validation_chunks(self, symbols: int) -> Tensor:
        """About so many symbols of the validation text, none twice, evenly spread over it.

        Returns:
            (N, T) int64 ids of N chunks; T is at most ``length``, and N·T more than ``symbols`` - N, or all
            but less than N of the text where that is shorter.
        """
        most = min(symbols, len(self._validation_ids))
        chunks = -(-most // self.length)
        every = len(self._validation_ids) // chunks
        return self._validation_ids.unfold(0, most // chunks, every)[:chunks].long()

    def _batch(self, ids: Tensor) -> Batch:
        """From (B, T + 1) ids."""
        ids = ids.long()
        inputs = torch.zeros(len(ids), self.length, self.input_size)
        inputs.scatter_(2, ids[:, :-1].unsqueeze(2), 1.0)
        return Batch(inputs=inputs, targets=ids[:, 1:].contiguous(), first=0)

    def position(self) -> dict[str, int]:
        return {"draws": self._draws}

    def seek(self, position: dict[str, int]) -> None:
        self._draws = position["draws"]

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        wrong = outputs.argmax(dim=-1) != batch.targets
        return Score(wrong=int(wrong.sum()), total=wrong.numel())

    def is_solved(self, wrong: int, total: int) -> None:
        """No text is predicted without error, and no source gives a rule for when it is enough."""
        del wrong, total

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        target = batch.targets[index]
        prediction = outputs[index].argmax(dim=-1)
        right = int((prediction == target).sum())
        seen = batch.inputs[index].argmax(dim=1)
        return SequenceSample(
            channels=[Channel(name=self.symbol, values=[self.decode([place]) for place in seen.tolist()])],
            informative=[],
            target=self.decode(target),
            prediction=self.decode(prediction),
            correct=right == len(target),
            detail=f"{right} of {len(target)} {self.symbol}s right",
        )

    def samples(self, network: Network[Any], batch: Batch, generator: Generator) -> list[TextSample]:
        """Text that the network writes, instead of sequences."""
        del batch
        return text_samples(network, self, generator)

    @abstractmethod
    def encode(self, text: str) -> Tensor:
        """The (T,) int64 ids of a text. Raises ValueError for what the task has no symbol for."""

    @abstractmethod
    def unknown_in(self, text: str) -> int:
        """How many symbols of a text the task does not know."""

    def as_written(self, typed: str) -> str:
        """What was typed, with its accents as the text has them.

        ü may be one character (NFC), as keyboards write it, or u and two dots (NFD), and looks the same.
        Texts are stored with the first; those that an earlier version stored may have the second.
        """
        return min((composed(typed), typed, normalize("NFD", typed)), key=self.unknown_in)

    @abstractmethod
    def decode(self, ids: Tensor | Sequence[int]) -> str:
        """The text that (T,) ids spell. That of more ids begins with that of the first few."""

    @abstractmethod
    def prompt(self, generator: Generator) -> str:
        """A piece of validation text for the network to go on from."""


def training_part(symbols: int) -> int:
    """How many of a text's symbols are for training; the others are for validation."""
    return int(symbols * TRAINING_SHARE)


def small_integer(size: int) -> torch.dtype:
    """The type for ids under ``size``: two bytes each where they do, since a text may have 20 million."""
    return torch.int16 if size <= torch.iinfo(torch.int16).max else torch.int32


def _entropy(ids: Tensor, size: int) -> float:
    """In nats, of the shares in which symbols occur."""
    shares = ids.bincount(minlength=size).double() / len(ids)
    return float(-torch.special.xlogy(shares, shares).sum())


def _blind_guess(training: Tensor, validation: Tensor, size: int) -> Chance:
    counts = training.bincount(minlength=size).double()
    shares = validation.bincount(minlength=size).double() / len(validation)
    frequencies = (counts + 1) / (counts + 1).sum()
    return Chance(loss=float(-(shares * frequencies.log()).sum()), error=float(1 - shares[counts.argmax()]))
