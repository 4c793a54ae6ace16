"""What a network produces: text after a prompt, forecasts, or predictions beside their targets.

Axes: B (batch), T (time), O (outputs).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.inspection.base import Subject, ViewError, ViewSpec, number
from trainer.schema import ForecastSample, GeneratedView, Generation, Guess, SequenceSample, WrittenSymbol
from trainer.seeds import generator
from trainer.tasks.base import Batch
from trainer.tasks.text_stream import TextStream

GUESSES = 5
"""The likeliest symbols that are told at every place."""


def compute(subject: Subject, settings: Generation) -> GeneratedView:
    """Text where the task is a text; forecasts where its own samples are such; else predictions."""
    if isinstance(subject.task, TextStream):
        return _text(subject, subject.task, settings)
    batch = subject.drawn(settings.sequences, settings.seed)
    source = generator(settings.seed, "samples")
    first = list(subject.task.samples(subject.network, batch, source))
    if any(isinstance(content, ForecastSample) for content in first):
        return _forecasts(subject, batch, settings)
    return _predictions(subject, batch, settings)


def _text(subject: Subject, task: TextStream, settings: Generation) -> GeneratedView:
    prompt = settings.prompt or task.prompt(generator(settings.seed, "prompt"))
    try:
        ids = task.encode(task.as_written(prompt))
    except ValueError as error:
        raise ViewError("prompt", prompt, str(error), "change the prompt") from None
    network, weight = subject.network, next(subject.network.parameters())
    draws = generator(settings.seed, "text")
    written: list[WrittenSymbol] = []
    symbols = ids.tolist()
    before = len(symbols)
    with torch.no_grad():
        logits, state = network(F.one_hot(ids[None], task.input_size).to(weight), None, len(ids) - 1)
        latest = logits[0, -1]
        for _ in range(settings.length):
            latest = latest.double()
            if not bool(latest.isfinite().all()):
                break
            chances = latest.softmax(0)
            symbol = int(torch.multinomial(limited(latest, settings), 1, generator=draws))
            best = chances.topk(min(GUESSES, len(chances)))
            written.append(
                WrittenSymbol(
                    symbol=task.decode([symbol]),
                    probability=number(float(chances[symbol])),
                    guesses=[
                        Guess(symbol=task.decode([place]), probability=number(chance))
                        for place, chance in zip(best.indices.tolist(), best.values.tolist(), strict=True)
                    ],
                )
            )
            symbols.append(symbol)
            made, state = network.step(F.one_hot(torch.tensor([symbol]), task.input_size).to(weight), state)
            latest = made[0]
    told = task.decode(symbols[:before])
    return GeneratedView(prompt=told, text=task.decode(symbols).removeprefix(told), written=written)


def limited(logits: Tensor, settings: Generation) -> Tensor:
    """(O,) logits to the (O,) probabilities that are drawn from: top k, then temperature, then top p."""
    order = logits.argsort(descending=True)
    if settings.temperature == 0:
        return F.one_hot(order[0], len(logits)).to(logits)
    keep = torch.ones_like(logits, dtype=torch.bool)
    if settings.top_k is not None:
        keep[order[settings.top_k :]] = False
    # In float64, with 0 for the likeliest: no temperature is so low that this one, too, leaves the range.
    beside = (logits.double() - logits[order[0]]).masked_fill(~keep, -math.inf)
    chances = (beside / settings.temperature).softmax(0)
    if settings.top_p is not None:
        sorted_ = chances[order]
        enough = sorted_.cumsum(0) - sorted_ >= settings.top_p  # those before it are enough already
        chances[order[enough]] = 0
    return chances / chances.sum()


def _forecasts(subject: Subject, batch: Batch, settings: Generation) -> GeneratedView:
    found: list[ForecastSample] = []
    source = generator(settings.seed, "samples")
    rows = len(batch.inputs)
    while len(found) < min(settings.shown, rows):
        contents = subject.task.samples(subject.network, batch.rows(len(found)), source)
        found += [content for content in contents if isinstance(content, ForecastSample)]
    with torch.no_grad():
        outputs, _ = subject.network(batch.inputs, None, batch.first)
    score = subject.task.score(outputs, batch)
    shown = [
        sample.model_copy(update={"correct": subject.task.render(batch, outputs, index).correct})
        for index, sample in enumerate(found[: settings.shown])
    ]
    return GeneratedView(forecasts=shown, wrong=score.wrong, total=score.total)


def _predictions(subject: Subject, batch: Batch, settings: Generation) -> GeneratedView:
    with torch.no_grad():
        outputs, _ = subject.network(batch.inputs, None, batch.first)
    rendered = [subject.task.render(batch, outputs, index) for index in range(len(batch.inputs))]
    ordered: list[SequenceSample] = sorted(rendered, key=lambda sample: sample.correct)
    return GeneratedView(
        predictions=ordered[: settings.shown],
        wrong=sum(not sample.correct for sample in rendered),
        total=len(rendered),
    )


SPEC = ViewSpec(
    title="Generate",
    summary=(
        "What the network makes by itself: text after a prompt with its likeliest guesses at every symbol, "
        "forecasts that feed on themselves, or its predictions beside the targets, wrong ones first."
    ),
    look_for=(
        "Text: where the guesses are all alike, the network does not know what comes. Forecasts: how long it "
        "stays with the truth. Predictions: what the wrong ones have in common."
    ),
    settings=Generation,
    compute=compute,
)
