"""Embedded Reber grammar: the symbol before the last is the second one again, an unknown time later."""

from __future__ import annotations

import math
import random
from collections.abc import Container

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec
from trainer.tasks.symbols import one_hot

SYMBOLS = "BTPSXVE"
"""By channel, of inputs and of outputs."""
_INNER = ("B1", "T2P3", "S2X4", "T3V5", "X3S6", "P4V6", "E7")
"""Reber's grammar: for each node, the arcs that leave it, as symbol and node. Node 7 is its end."""


def _arcs() -> list[dict[int, int]]:
    """The embedded grammar: for each node, the next node by symbol. Starts at node 0; the last is the end.

    B, then T or P, then a whole string of Reber's grammar, then the same T or P, then E. So the inner
    grammar is there twice, once for each symbol that has to come back.
    """
    arcs: list[dict[str, int]] = [{"B": 1}, {"T": 2, "P": 2 + len(_INNER) + 2}]
    end = 2 + 2 * (len(_INNER) + 2)
    for outer in "TP":
        base = len(arcs)
        arcs += [{way[i]: base + int(way[i + 1]) for i in range(0, len(way), 2)} for way in _INNER]
        arcs += [{outer: base + len(_INNER) + 1}, {"E": end}]
    arcs.append({})
    return [{SYMBOLS.index(symbol): node for symbol, node in ways.items()} for ways in arcs]


_ARCS = _arcs()
_POSSIBLE = torch.tensor([[symbol in ways for symbol in range(len(SYMBOLS))] for ways in _ARCS])
"""(nodes, O) bool: which symbols may come next."""
_NEXT = torch.tensor([[ways.get(symbol, len(_ARCS) - 1) for symbol in range(len(SYMBOLS))] for ways in _ARCS])
"""(nodes, O): the node after each symbol; the end, where it cannot come."""

_String = tuple[int, ...]


class ReberConfig(TaskConfig):
    """Settings of the embedded Reber grammar."""

    strings: int = Field(default=256, title="Training strings", ge=2, le=2048, multiple_of=2)
    """Strings to train on; as many others are kept for validation and for the test."""
    strings_seed: int = Field(default=0, title="Seed of the strings", ge=0, lt=2**31)
    """Which strings these are: another number draws others."""

    @property
    def timesteps(self) -> int:
        """About as many as the longest of some thousand strings; there is no longest one in the grammar."""
        return 50


class Reber(Task):
    """Read a string of the embedded Reber grammar and predict each next symbol.

    A string is B, T or P, a string of Reber's grammar, the same T or P once more, E: 9 symbols at least.
    Where the grammar leaves a choice, both symbols have probability 1/2. The network reads all but the last
    symbol, one-hot; batches are padded with timesteps without input, which are not scored.

    As with Hochreiter & Schmidhuber (1997, experiment 1) the network is told the symbol that came, not all
    that were possible, and a string is right when at every timestep all possible symbols are more active
    than all others. The 256 training strings are drawn at random, so that short ones repeat; so are the 256
    test strings, but none that is in the training set. Here T and P take turns as the second symbol, so that
    half of each set has T.

    Chance: a guesser that knows the grammar and forgets the second symbol. It pays ln 2 wherever the grammar
    leaves a choice and ln 2 more at the symbol before the last, averaged here over the very test strings, and
    it has half of the strings wrong. What a network that remembers must still pay is ln 2 less per string. On
    the training strings it is another loss: nearly all short strings are among those, so that test strings
    are longer.
    """

    input_size = output_size = len(SYMBOLS)
    loss_kind = "cross_entropy"
    loss_unit = "nats"
    error_unit = "wrong sequences"

    def __init__(self, config: ReberConfig) -> None:
        source = random.Random(config.strings_seed)
        training = _draw_strings(source, config.strings)
        test = _draw_strings(source, config.strings, but=set(training))
        self.training, self.test = _padded(training), _padded(test)
        """(strings, T + 1) symbols each, -1 after the end."""
        self.length = config.timesteps
        self.held_back = f"the {config.strings:,} strings held back"

    @property
    def chance(self) -> Chance:
        return Chance(loss=_blind_loss(self.test), error=0.5)

    @property
    def training_chance(self) -> float:
        return _blind_loss(self.training)

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        return _some_of(self.training, batch_size, generator)

    def draw_validation(self, batch_size: int, generator: Generator) -> Batch:
        return _some_of(self.test, batch_size, generator)

    def teacher(self, batch: Batch) -> Tensor:
        """1 for every symbol that may come next, whichever of them came."""
        assert batch.mask is not None
        possible = possible_next(batch.inputs.argmax(dim=2)).float()
        return possible.masked_fill(~batch.mask.unsqueeze(2), torch.nan)

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        assert batch.mask is not None
        right = (_most_active(outputs, possible_next(batch.inputs.argmax(dim=2))) | ~batch.mask).all(dim=1)
        return Score(wrong=int((~right).sum()), total=len(right))

    def is_solved(self, wrong: int, total: int) -> bool:
        """Every test string right."""
        del total
        return wrong == 0

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        assert batch.mask is not None
        steps = int(batch.mask[index].sum())
        symbols, said = batch.inputs[index, :steps].argmax(dim=1), outputs[index, :steps]
        possible = possible_next(symbols.unsqueeze(0))[0]
        # As many of the network's symbols as are possible: right when they are the same ones.
        order = said.argsort(dim=1, descending=True)
        active = [sorted(row[:count]) for row, count in zip(order.tolist(), possible.sum(dim=1), strict=True)]
        right = _most_active(said, possible)
        asked, answered = int(batch.targets[index, steps - 2]), int(said[steps - 2].argmax())
        probability = float(said[steps - 2].float().softmax(dim=0)[asked])
        return SequenceSample(
            channels=[
                Channel(name="symbol", values=_spelled([[i] for i in symbols.tolist()])),
                Channel(name="may follow", values=_spelled([row.nonzero().flatten() for row in possible])),
                Channel(name="network", values=_spelled(active)),
            ],
            informative=[1],
            target=SYMBOLS[asked],
            prediction=SYMBOLS[answered],
            correct=bool(right.all()),
            detail=f"{int(right.sum())} of {steps} predictions right; before the last symbol, probability "
            f"given to {SYMBOLS[asked]}: {probability:.3f}",
        )


def _blind_loss(strings: Tensor) -> float:
    """Mean over all predictions of (N, T + 1) strings, by who forgets the second symbol."""
    inputs, following = strings[:, :-1], strings[:, 1:]
    scored = following >= 0
    choices = (possible_next(inputs.clamp(min=0)).sum(dim=2) == 2) & scored
    return math.log(2) * (int(choices.sum()) + len(strings)) / int(scored.sum())


def possible_next(symbols: Tensor) -> Tensor:
    """Which symbols may follow each beginning of a string: (B, T) symbols give (B, T, O) bool."""
    following = _NEXT.to(symbols.device)
    node, nodes = torch.zeros_like(symbols[:, 0]), []
    for symbol in symbols.unbind(1):
        node = following[node, symbol]
        nodes.append(node)
    return _POSSIBLE.to(symbols.device)[torch.stack(nodes, dim=1)]


def _most_active(outputs: Tensor, possible: Tensor) -> Tensor:
    """Whether all possible symbols are more active than all others: (..., O) gives (...) bool."""
    least = outputs.float().masked_fill(~possible, torch.inf).amin(dim=-1)
    most = outputs.float().masked_fill(possible, -torch.inf).amax(dim=-1)
    return least > most


def _draw_strings(source: random.Random, count: int, but: Container[_String] = ()) -> list[_String]:
    """Strings of the grammar, T and P in turn as their second symbol; none of those in ``but``."""
    drawn: list[_String] = []
    while len(drawn) < count:
        outer = SYMBOLS.index("TP"[len(drawn) % 2])
        string, node = [SYMBOLS.index("B"), outer], _ARCS[1][outer]
        while ways := _ARCS[node]:
            string.append(source.choice(list(ways)))
            node = ways[string[-1]]
        if tuple(string) not in but:
            drawn.append(tuple(string))
    return drawn


def _padded(strings: list[_String]) -> Tensor:
    longest = max(map(len, strings))
    return torch.tensor([[*string, *[-1] * (longest - len(string))] for string in strings])


def _some_of(strings: Tensor, batch_size: int, generator: Generator) -> Batch:
    rows = torch.randint(len(strings), (batch_size,), generator=generator)
    chosen = strings[rows]
    chosen = chosen[:, : int((chosen >= 0).sum(dim=1).max())]  # cut to this batch's longest
    following = chosen[:, 1:]
    mask = following >= 0
    return Batch(
        inputs=one_hot(chosen[:, :-1].clamp(min=0), len(SYMBOLS)) * mask.unsqueeze(2),
        targets=following.clamp(min=0),
        first=0,
        mask=mask,
        informative=torch.ones(batch_size, 1, dtype=torch.int64),
    )


def _spelled(rows: list[Tensor] | list[list[int]]) -> list[str]:
    return [" ".join(SYMBOLS[symbol] for symbol in row) for row in rows]


SPEC = TaskSpec(
    title="Embedded Reber grammar",
    summary="Predict each next symbol of strings whose second symbol comes back before the last.",
    group="Formal languages",
    description=(
        "Strings are made by a small grammar: at some places two symbols are possible, elsewhere only one. "
        "The network reads a string symbol by symbol and predicts the next one each time. Most of that "
        "needs a short memory only. But the symbol before the last repeats the second one, T or P, with a "
        "whole string of the inner grammar, of any length, between the two. A string is right when at every"
        " timestep all possible symbols are more active than all others. Who knows the grammar and forgets "
        "the second symbol has half of the strings wrong. The loss never gets to 0, since no one can know "
        "which of two possible symbols comes; and it rises again in validation once the network learns the "
        "training strings by heart. So watch the error. Solved means that every test string is right."
    ),
    source=(
        "Hochreiter & Schmidhuber 1997, Long short-term memory (experiment 1); Fahlman 1991, The recurrent "
        "cascade-correlation architecture; Reber 1967, Implicit learning of artificial grammars"
    ),
    wrong_when=(
        "A sequence is wrong when, at any timestep, a symbol that cannot follow is given more than one that "
        "can."
    ),
    loss_reason=(
        "Cross-entropy: one of seven symbols comes next, and what counts is the probability that the "
        "network gave to it."
    ),
    config=ReberConfig,
    task=Reber,
    defaults={"steps": 1000, "learning_rate": 0.002},
)
