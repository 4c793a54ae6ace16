"""Noiseless memorisation: say a short pattern again, all of it, after a long silence."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from trainer.schema import Chance
from trainer.tasks.base import Batch, Score, TaskConfig, TaskSpec
from trainer.tasks.recall import Recall
from trainer.tasks.symbols import under_one_percent

PATTERNS = {"5_bit": (2, 5), "20_bit": (5, 10)}
"""By name: symbols to choose from, and symbols in a pattern."""


class MemorisationConfig(TaskConfig):
    """Settings of the memorisation task."""

    length: int = Field(default=50, ge=1, le=5000)
    """Blank timesteps between the pattern and its recall; a sequence is twice the pattern longer."""
    pattern: Literal["5_bit", "20_bit"] = "5_bit"
    """What to remember: 5 symbols that are each one of 2, or 10 symbols that are each one of 5."""

    @property
    def timesteps(self) -> int:
        _, symbols = PATTERNS[self.pattern]
        return self.length + 2 * symbols


class Memorisation(Recall):
    """Read a pattern, wait L timesteps, then say it at a sign.

    P symbols, each one of K; then L blanks; then the trigger, and P − 1 further blanks. The network says
    blank for P + L timesteps and the pattern in the last P, beginning with the timestep of the trigger.
    Nothing in between is random, hence noiseless.

    The format is that of the code with Pascanu, Mikolov & Bengio (2013): K = 5, P = 10, which is 5¹⁰, almost
    10 million patterns, known as the 20-bit problem. The 5-bit problem, K = 2, P = 5, has 32. A sequence is
    right when all of the P recalled symbols are.

    Chance: who knows when to speak and not what has a loss of P ln K in the P + L + P timesteps, so
    P ln K / (L + 2P) on average, and is wrong in 1 − K⁻ᴾ of the sequences.
    """

    error_unit = "wrong sequences"

    def __init__(self, config: MemorisationConfig) -> None:
        alphabet, pattern = PATTERNS[config.pattern]
        super().__init__(
            alphabet=alphabet,
            pattern=pattern,
            length=config.timesteps,
            trigger=config.length + pattern,
        )

    @property
    def chance(self) -> Chance:
        return Chance(loss=self.blind_loss, error=1 - float(self.alphabet) ** -self.pattern)

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        wrong = self.recalled_wrongly(outputs, batch).any(dim=1)
        return Score(wrong=int(wrong.sum()), total=wrong.numel())

    def is_solved(self, wrong: int, total: int) -> bool:
        """Under 1% wrong."""
        return under_one_percent(wrong, total)


SPEC = TaskSpec(
    title="Memorisation",
    summary="Read a short pattern, wait, and say all of it again.",
    group="Long memory",
    description=(
        "The network reads a pattern of symbols, then nothing for a long time, then a trigger; from there "
        "on it must say the pattern again, in order. Until then it must say blank. There is no noise: all "
        "that is hard is to keep several symbols apart for so long. Who says blank at the right times and "
        "then guesses has a loss of ln 2 for each of 5 symbols, averaged over all timesteps, and 31 of 32 "
        "sequences wrong (with 10 symbols of 5, ln 5 for each, and practically all of them). One wrong "
        "symbol makes a sequence wrong. Solved means under 1% wrong."
    ),
    source=(
        "Martens & Sutskever 2011, Learning recurrent neural networks with Hessian-free optimization (5-bit "
        "and 20-bit); in the format of the code with Pascanu, Mikolov & Bengio 2013, On the difficulty of "
        "training recurrent neural networks (arXiv 1211.5063), with 10 symbols of 5 for the large size"
    ),
    wrong_when=(
        "A sequence is wrong when the likeliest symbol is a wrong one anywhere in the recalled pattern."
    ),
    loss_reason=(
        "Cross-entropy: at each timestep the answer is one symbol or the blank, and the network gives each a "
        "probability."
    ),
    config=MemorisationConfig,
    task=Memorisation,
    defaults={"steps": 3000, "learning_rate": 0.01},
)
