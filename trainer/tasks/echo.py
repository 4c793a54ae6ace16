"""Delayed echo: say at each timestep the symbol that was read some timesteps ago."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Generator, Tensor

from trainer.schema import Chance, Channel, SequenceSample
from trainer.tasks.base import Batch, Score, Task, TaskConfig, TaskSpec
from trainer.tasks.symbols import BLANK, LETTERS, one_hot, score_symbols, spelled, under_one_percent


class EchoConfig(TaskConfig):
    """Settings of the delayed echo."""

    length: int = Field(default=40, ge=1, le=5000)
    """Symbols to be repeated; a sequence is longer by the lag, in which nothing is asked yet."""
    lag: int = Field(default=10, ge=0, le=1000)
    """How many timesteps later each symbol must be repeated; at 0 no memory is needed."""
    symbols: int = Field(default=2, ge=2, le=26)
    """How many different symbols there are; 2 are bits."""

    @property
    def timesteps(self) -> int:
        return self.length + self.lag

    @property
    def extent(self) -> int:
        return self.lag


class Echo(Task):
    """A stream of random symbols goes in and comes out d timesteps later.

    Every input is one of K symbols, one-hot, all equally likely. At timestep t ≥ d the network names the
    symbol of timestep t − d. To do so for every t it has to hold the last d + 1 symbols at once, in order: a
    memory of d · log₂ K bits beside the symbol just read. So a lag is a plain measure of how far back a
    network can look, and the claim that 8 to 10 timesteps are about as far as a simple recurrent network gets
    can be tried out.

    Chance: the symbols are independent, so that a guesser who does not see timestep t − d has a loss of
    ln K nats and is wrong in 1 − 1/K.
    """

    loss_kind = "cross_entropy"
    loss_unit = "nats per symbol"
    error_unit = "wrong symbols"

    def __init__(self, config: EchoConfig) -> None:
        self.lag = config.lag
        self.length = config.timesteps
        self.input_size = self.output_size = config.symbols

    @property
    def chance(self) -> Chance:
        return Chance(loss=math.log(self.input_size), error=1 - 1 / self.input_size)

    @property
    def last_chance(self) -> float:
        return math.log(self.input_size)

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        symbols = torch.randint(self.input_size, (batch_size, self.length), generator=generator)
        return Batch(
            inputs=one_hot(symbols, self.input_size),
            targets=symbols[:, : self.length - self.lag].contiguous(),
            first=self.lag,
        )

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        return score_symbols(outputs, batch)

    def is_solved(self, wrong: int, total: int) -> bool:
        """Under 1% of the symbols wrong."""
        return under_one_percent(wrong, total)

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        read, wanted, said = (
            [LETTERS[symbol] for symbol in symbols.tolist()]
            for symbols in (
                batch.inputs[index].argmax(dim=1),
                batch.targets[index],
                outputs[index].argmax(dim=1),
            )
        )
        right = sum(a == b for a, b in zip(wanted, said, strict=True))
        pause = [BLANK] * self.lag
        return SequenceSample(
            channels=[
                Channel(name="read", values=read),
                Channel(name="wanted", values=pause + wanted),
                Channel(name="said", values=pause + said),
            ],
            informative=[],
            target=spelled(wanted),
            prediction=spelled(said),
            correct=right == len(wanted),
            detail=f"{right} of {len(wanted)} symbols right",
        )


SPEC = TaskSpec(
    title="Delayed echo",
    summary="Repeat each symbol of a random stream a fixed number of timesteps later.",
    group="Long memory",
    description=(
        "At each timestep the network reads a random symbol and must say the one that it read a fixed "
        "number of timesteps ago: the lag. As the stream never stops, it has to hold all symbols of the "
        "last few timesteps at once, in order. So the largest lag that a network learns tells how far back "
        "it can look; 8 to 10 timesteps are often named as the limit of a simple recurrent network, and "
        "here you can try it. With 2 symbols a blind guess has a loss of ln 2 = 0.693 nats and is wrong 50% "
        "of the time. Solved means under 1% of the symbols wrong."
    ),
    source=(
        "Jaeger 2002, Short term memory in echo state networks (delayed recall of a random input), with "
        "symbols instead of numbers; the limit of 8 to 10 timesteps is a rule of thumb taught with Elman "
        "1990"
    ),
    wrong_when=("A symbol is wrong when another symbol than the true one is given the highest probability."),
    loss_reason="Cross-entropy: an answer is one of a few symbols, and the network gives each a probability.",
    config=EchoConfig,
    task=Echo,
    defaults={"steps": 3000, "learning_rate": 0.005},
)
