"""Dyck words: read brackets, and know which ones may come next."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec
from trainer.tasks.symbol_sets import right_sets, set_channel
from trainer.tasks.symbols import one_hot

PAIRS = ("()", "[]", "{}", "<>")


class DyckConfig(TaskConfig):
    """Settings of the bracket task."""

    length: int = Field(default=30, ge=4, le=2000)
    """Brackets in every sequence, one per timestep."""
    kinds: int = Field(default=2, title="Kinds of brackets", ge=1, le=4)
    """Kinds of brackets: 1 is only ( and ), which takes counting; more take remembering which is open."""
    depth: int = Field(default=4, title="Deepest nesting", ge=2, le=20)
    """Most brackets that can be open at once."""


class Dyck(Task):
    r"""After every bracket, say which brackets may come next.

    A sequence is the beginning of a well-nested word over k kinds of brackets of which at most m are open at
    once, the language Dyck-(k, m). It opens where nothing is open, closes where m brackets are, and else does
    either with probability 1/2; a new bracket is of any kind with equal probability. The set that may follow:
    every opening bracket while fewer than m are open, and the closing one that fits the last bracket open.

    Suzgun et al. (2019) ask for this set with squared error and a threshold of 1/2, on whole words without
    a bound on depth; the bound is Hewitt et al.'s (2020). A sequence here need not end with all brackets
    closed: what may follow depends on what came before alone.

    Chance: a guesser that sees the current bracket and remembers nothing. After an opening bracket it knows
    which one closes it, and not whether the depth is m; after a closing one it knows that another may open,
    and not whether, or of which kind, a bracket is still open. The probability of each depth at each timestep
    follows exactly from the walk above, and the best guess from those.
    """

    loss_kind = "mse"
    loss_unit = "squared error"
    error_unit = "wrong predictions"

    def __init__(self, config: DyckConfig) -> None:
        self.length, self.kinds, self.depth = config.length, config.kinds, config.depth
        self.symbols = [pair[0] for pair in PAIRS[: self.kinds]] + [pair[1] for pair in PAIRS[: self.kinds]]
        """By channel, of inputs and of outputs: opening brackets, then closing ones."""
        self.input_size = self.output_size = len(self.symbols)

    @property
    def chance(self) -> Chance:
        opened, closed = self._depths()
        timesteps = self.length
        full = opened[self.depth] / opened.sum()  # P(nothing may open | just opened)
        empty = closed[0] / max(closed.sum(), 1e-300)  # P(nothing may close | just closed)
        fits = (1 - empty) / self.kinds  # P(a certain kind may close | just closed)
        # k outputs each that are uncertain, out of 2k; the variance of a coin is the least squared error.
        loss = opened.sum() * full * (1 - full) / 2 + closed.sum() * fits * (1 - fits) / 2
        # That nothing may open is never the likelier case: at most half of all openings reach the bound.
        right = opened.sum() * (1 - full) + closed.sum() * max(empty, fits)
        return Chance(loss=float(loss / timesteps), error=float(1 - right / timesteps))

    def _depths(self) -> tuple[np.ndarray, np.ndarray]:
        """How often, over all timesteps, the depth is 0 to m after an opening and after a closing bracket."""
        now = np.zeros(self.depth + 1)
        now[0] = 1.0
        opened, closed = np.zeros_like(now), np.zeros_like(now)
        for _ in range(self.length):
            up, down = now / 2, now / 2
            up[0], down[0] = now[0], 0.0
            up[-1], down[-1] = 0.0, now[-1]
            up, down = np.roll(up, 1), np.roll(down, -1)
            opened, closed, now = opened + up, closed + down, up + down
        return opened, closed

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        B, T, k = batch_size, self.length, self.kinds
        coins = torch.randint(2, (T, B), generator=generator, dtype=torch.bool).numpy()
        kinds = torch.randint(k, (T, B), generator=generator).numpy()
        rows = np.arange(B)
        stack = np.zeros((B, self.depth + 1), dtype=np.int64)  # place d holds the d-th open bracket's kind
        depth = np.zeros(B, dtype=np.int64)
        symbols, depths, tops = (np.empty((T, B), dtype=np.int64) for _ in range(3))
        for t in range(T):
            opens = (depth == 0) | (coins[t] & (depth < self.depth))
            symbols[t] = np.where(opens, kinds[t], k + stack[rows, depth])
            depth = depth + np.where(opens, 1, -1)
            stack[rows[opens], depth[opens]] = kinds[t, opens]
            depths[t], tops[t] = depth, stack[rows, depth]
        may_open = torch.from_numpy(depths < self.depth).t()  # (B, T)
        may_close = torch.from_numpy(depths > 0).t()
        closing = one_hot(torch.from_numpy(tops).t(), k) * may_close.unsqueeze(2)  # (B, T, k)
        return Batch(
            inputs=one_hot(torch.from_numpy(symbols).t(), 2 * k),
            targets=torch.cat((may_open.unsqueeze(2).expand(B, T, k).float(), closing), dim=2),
            first=0,
        )

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        right = right_sets(outputs, batch.targets)
        return Score(wrong=int((~right).sum()), total=right.numel())

    def is_solved(self, wrong: int, total: int) -> bool:
        """So few wrong predictions that less than 1% of the sequences can hold one.

        Suzgun et al. count a word as right when all its predictions are.
        """
        return 100 * wrong * self.length < total

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        right = right_sets(outputs[index], batch.targets[index])
        said, asked = (
            set_channel(name, sets[index], self.symbols)
            for name, sets in (("network", outputs), ("may follow", batch.targets))
        )
        wrong = (~right).nonzero().flatten()
        return SequenceSample(
            channels=[
                Channel(name="bracket", values=[self.symbols[i] for i in batch.inputs[index].argmax(dim=1)]),
                asked,
                said,
            ],
            informative=[],
            target=f"{len(right)} sets right",
            prediction=f"{int(right.sum())} sets right",
            correct=not len(wrong),
            detail=""
            if not len(wrong)
            else f"first wrong at timestep {int(wrong[0]) + 1}: {asked.values[wrong[0]]} may follow, "
            f"the network says {said.values[wrong[0]]}",
        )


SPEC = TaskSpec(
    title="Brackets (Dyck)",
    summary="Read nested brackets and know which ones may come next.",
    group="Formal languages",
    description=(
        "Each timestep is a bracket of a well-nested expression such as ([]()). After each, the network "
        "says which brackets may come next: an opening one of any kind, unless the nesting is as deep as it"
        " may get, and the closing one that fits the bracket opened last. A prediction is right when the "
        "whole set is. With one kind of bracket it is enough to count; with more, the network must remember"
        " every open bracket and in which order they were opened, as a stack does. The chance line is a "
        "guesser that sees the current bracket and remembers nothing. Solved means so few wrong predictions"
        " that less than 1% of the sequences can hold one."
    ),
    source=(
        "Suzgun, Gehrmann, Belinkov & Shieber 2019, LSTM networks can perform dynamic counting (the sets "
        "that are asked for); Hewitt et al. 2020, RNNs can generate bounded hierarchical languages with "
        "optimal memory (bounded depth)"
    ),
    wrong_when=(
        "A prediction is wrong when the brackets with an output above one half are not those that may follow."
    ),
    loss_reason=(
        "Squared error: the answer is a set of brackets, so that several outputs may be 1 at once and there"
        " is no single right class."
    ),
    config=DyckConfig,
    task=Dyck,
    defaults={"steps": 2000, "learning_rate": 0.005},
)
