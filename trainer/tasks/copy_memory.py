"""Copy memory: say ten symbols again after a long silence; judged symbol by symbol."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from trainer.schema import Chance
from trainer.tasks.base import Batch, Score, TaskConfig, TaskSpec
from trainer.tasks.recall import Recall
from trainer.tasks.symbols import under_one_percent

ALPHABET, PATTERN = 8, 10


class CopyMemoryConfig(TaskConfig):
    """Settings of the copy memory task."""

    length: int = Field(default=20, ge=1, le=5000)
    """Timesteps between the end of the symbols and their recall; a sequence is 20 timesteps longer."""

    @property
    def timesteps(self) -> int:
        return self.length + 2 * PATTERN


class CopyMemory(Recall):
    """Read ten symbols, wait T timesteps, then say them.

    Ten symbols, each one of 8; T − 1 blanks; the trigger; ten more blanks: T + 20 timesteps. The network says
    blank for T + 10 of them and the symbols in the last ten, from the timestep *after* the trigger on.

    This is the form of Arjovsky, Shah & Bengio (2016), one-hot. The TCN benchmark (Bai, Kolter & Koltun 2018)
    has the same targets and the same loss at chance, but feeds the symbols' numbers into one channel, and
    repeats the trigger to the end.

    Errors are recalled symbols that are wrong, of the ten in each sequence: silence is left out of it,
    because a network that is always silent is already right at 99% of the timesteps for T = 1000.

    Chance: who knows when to speak and not what has a loss of 10 ln 8 / (T + 20), and 7 of 8 symbols wrong.
    """

    error_unit = "wrong recalled symbols"

    def __init__(self, config: CopyMemoryConfig) -> None:
        super().__init__(
            alphabet=ALPHABET,
            pattern=PATTERN,
            length=config.timesteps,
            trigger=config.length + PATTERN - 1,
        )

    @property
    def chance(self) -> Chance:
        return Chance(loss=self.blind_loss, error=1 - 1 / self.alphabet)

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        wrong = self.recalled_wrongly(outputs, batch)
        return Score(wrong=int(wrong.sum()), total=wrong.numel())

    def is_solved(self, wrong: int, total: int) -> bool:
        """Under 1% of the recalled symbols wrong; the sources have no rule, this is Pascanu's."""
        return under_one_percent(wrong, total)


SPEC = TaskSpec(
    title="Copy memory",
    summary="Read ten symbols, wait, and say them again.",
    group="Long memory",
    description=(
        "The network reads ten symbols of eight kinds, then blanks, then a trigger; after it, it must say "
        "the ten symbols in order, and blank at all other times. Ten symbols at once are much to hold. The "
        "loss is the mean over all timesteps, most of them silent, so it looks small long before anything "
        "is remembered: who says blank at the right times and then guesses has a loss of 10 ln 8 divided by "
        "the sequence's length, and 7 of 8 recalled symbols wrong. So look at the error, which counts the "
        "recalled symbols only. Solved means under 1% of them wrong."
    ),
    source=(
        "Hochreiter & Schmidhuber 1997, Long short-term memory; in the form of Arjovsky, Shah & Bengio 2016, "
        "Unitary evolution recurrent neural networks (arXiv 1511.06464), as measured also by Bai, Kolter & "
        "Koltun 2018 (arXiv 1803.01271)"
    ),
    wrong_when=(
        "A recalled symbol is wrong when another one is given the highest probability; blanks do not count."
    ),
    loss_reason=(
        "Cross-entropy: at each timestep the answer is one symbol or the blank, and the network gives each a "
        "probability."
    ),
    config=CopyMemoryConfig,
    task=CopyMemory,
    defaults={"steps": 4000, "learning_rate": 0.01},
)
