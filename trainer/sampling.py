"""What a network produces when it goes on by itself: text, or a series of numbers.

Axes: B (batch), T (time), D (input features), O (outputs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from models.base import Network
from trainer.schema import ForecastSample, TextSample, finite

TEMPERATURES = (0.5, 1.0)


class Symbols(Protocol):
    """A task over symbols that can go on from a prompt: its text samples are generated."""

    input_size: int
    sample_length: ClassVar[int]
    """Symbols in a sample."""

    def encode(self, text: str) -> Tensor: ...
    def decode(self, ids: Tensor | Sequence[int]) -> str: ...
    def prompt(self, generator: Generator) -> str: ...


@torch.no_grad()
def generate_text(
    network: Network[Any],
    symbols: Symbols,
    prompt: str,
    *,
    length: int,
    temperatures: Sequence[float],
    generator: Generator,
) -> list[str]:
    """Let the network go on from ``prompt``, once for each temperature.

    Each symbol is drawn from softmax(logits / temperature) and fed back as the next input.

    Args:
        network: reads one-hot symbols, gives logits.
        symbols: the vocabulary.
        prompt: at least one character, all in the vocabulary.
        length: symbols to produce.
        temperatures: positive; the continuations are one batch.
        generator: on the CPU; the draws depend on nothing else.

    Returns:
        One text for each temperature; they end early where the network's outputs stop being finite.
    """
    weight = next(network.parameters())
    count = len(temperatures)
    ids = symbols.encode(prompt)
    inputs = F.one_hot(ids, symbols.input_size).to(weight).expand(count, -1, -1)
    logits, state = network(inputs, network.initial_state(count), first=len(ids) - 1)  # (B, 1, O)
    heat = torch.tensor(temperatures, device=weight.device).unsqueeze(1)  # (B, 1)
    latest, written = logits[:, -1], []
    for _ in range(length):
        chances = F.softmax(latest.float() / heat, dim=-1).cpu()
        if not bool(chances.isfinite().all()):
            break
        symbol = torch.multinomial(chances, 1, generator=generator).squeeze(1)  # (B,)
        written.append(symbol)
        latest, state = network.step(F.one_hot(symbol, symbols.input_size).to(weight), state)
    rows = torch.stack(written, dim=1).tolist() if written else [[]] * count
    # What stands between a prompt and its continuation, say a space, is the task's to know.
    read = ids.tolist()
    return [symbols.decode([*read, *row]).removeprefix(symbols.decode(read)) for row in rows]


def text_samples(network: Network[Any], symbols: Symbols, generator: Generator) -> list[TextSample]:
    """A prompt drawn from the task's own text, and what the network writes after it, at each temperature."""
    prompt = symbols.prompt(generator)
    texts = generate_text(
        network, symbols, prompt, length=symbols.sample_length, temperatures=TEMPERATURES, generator=generator
    )
    return [
        TextSample(prompt=prompt, text=text, temperature=temperature)
        for text, temperature in zip(texts, TEMPERATURES, strict=True)
    ]


@torch.no_grad()
def continue_alone(network: Network[Any], inputs: Tensor, count: int) -> Tensor:
    """Let the network read, then go on from its own outputs: each is its next input.

    Args:
        network: as many outputs as inputs.
        inputs: (B, T, D) what it reads first, T at least 1.
        count: timesteps to produce, at least 1.

    Returns:
        (B, count, D): the output after the last input, then those after the network's own outputs.
    """
    latest, state = network(inputs, first=inputs.shape[1] - 1)
    produced = [latest[:, 0]]
    for _ in range(count - 1):
        output, state = network.step(produced[-1].to(inputs.dtype), state)
        produced.append(output)
    return torch.stack(produced, dim=1)


@torch.no_grad()
def forecast_samples(
    network: Network[Any], values: Tensor, *, given: int, name: str, sequences: int
) -> list[ForecastSample]:
    """Series beside the network's forecasts: each next value from the true ones, and a continuation alone.

    Args:
        network: one input, one output, which is its forecast of the next input.
        values: (B, N) true values, on the network's device; in the unit that the network reads.
        given: how many of them it reads before it goes on alone, 1 to N - 1.
        name: what the values are.
        sequences: how many of the B series to show.
    """
    shown = values[:sequences]
    inputs = shown[:, :-1].unsqueeze(2)  # (B, N - 1, 1)
    ahead = network(inputs)[0].squeeze(2).float()
    alone = continue_alone(network, inputs[:, :given], shown.shape[1] - given).squeeze(2).float()
    return [
        ForecastSample(
            name=name,
            truth=truth.tolist(),
            one_ahead=[None, *map(finite, one.tolist())],
            alone=[*[None] * given, *map(finite, free.tolist())],
            given=given,
            detail=f"squared error one timestep ahead {_squared_error(one[given - 1 :], truth[given:])}, "
            f"alone {_squared_error(free, truth[given:])}",
        )
        for truth, one, free in zip(shown.float(), ahead, alone, strict=True)
    ]


def _squared_error(forecast: Tensor, truth: Tensor) -> str:
    return f"{float((forecast - truth).square().mean()):.2g}"
