"""What a network produces, for a reader to see.

Axes: B (batch), T (time), D (input features), O (outputs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from models.base import Network
from trainer.schema import Sample, TextSample
from trainer.tasks.base import Batch, Task

TEXT_LENGTH = 200
TEMPERATURES = (0.5, 1.0)
SHOWN_SEQUENCES = 3


class Symbols(Protocol):
    """A task over symbols that can go on from a prompt: its text samples are generated."""

    input_size: int

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
    device = next(network.parameters()).device
    count = len(temperatures)
    prompted = F.one_hot(symbols.encode(prompt), symbols.input_size).float().to(device)
    inputs = prompted.expand(count, -1, -1)
    logits, state = network(inputs, network.initial_state(count), first=len(prompt) - 1)  # (B, 1, O)
    heat = torch.tensor(temperatures, device=device).unsqueeze(1)  # (B, 1)
    latest, written = logits[:, -1], []
    for _ in range(length):
        chances = F.softmax(latest.float() / heat, dim=-1).cpu()
        if not bool(chances.isfinite().all()):
            break
        symbol = torch.multinomial(chances, 1, generator=generator).squeeze(1)  # (B,)
        written.append(symbol)
        latest, state = network.step(F.one_hot(symbol, symbols.input_size).float().to(device), state)
    rows = torch.stack(written, dim=1).tolist() if written else [[]] * count
    return [symbols.decode(row) for row in rows]


@torch.no_grad()
def take_samples(
    network: Network[Any], task: Task, batch: Batch, *, step: int, generator: Generator
) -> list[Sample]:
    """Samples at update ``step``: generated text from a task that can, else sequences of ``batch`` judged."""
    if task.streaming:
        symbols: Symbols = task  # type: ignore[assignment]
        prompt = symbols.prompt(generator)
        texts = generate_text(
            network, symbols, prompt, length=TEXT_LENGTH, temperatures=TEMPERATURES, generator=generator
        )
        return [
            Sample(
                step=step, index=index, content=TextSample(prompt=prompt, text=text, temperature=temperature)
            )
            for index, (text, temperature) in enumerate(zip(texts, TEMPERATURES, strict=True))
        ]
    scored, _ = network(batch.inputs, first=batch.first)
    shown = range(min(SHOWN_SEQUENCES, len(batch.inputs)))
    return [Sample(step=step, index=index, content=task.render(batch, scored, index)) for index in shown]
