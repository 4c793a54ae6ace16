"""Gates and states of one chosen sequence, timestep by timestep."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from models.base import named_history
from models.bptt.gates import saturation
from trainer.inspection.base import Subject, ViewError, ViewSettings, ViewSpec, grid, needs_state
from trainer.schema import FOR_TEXT, Channel, GatesView, SaturationShares, SequenceSample
from trainer.tasks.base import Batch
from trainer.tasks.text_stream import TextStream

MEASURED = 16
"""Sequences on which saturation is measured."""


class GatesSettings(ViewSettings):
    """Settings of this view."""

    sequence: int = Field(default=0, ge=0, le=255, json_schema_extra={"only_if": {"text": False}})
    """Which sequence to show, from 0, of those that the run keeps apart to be looked at."""
    text: str | None = Field(default=None, max_length=5000, json_schema_extra=FOR_TEXT)
    """A text of your own to read instead; empty takes the sequence above. Only for a run on text."""
    seed: int | None = Field(
        default=None, ge=0, lt=2**31, json_schema_extra={"advanced": True, "only_if": {"text": False}}
    )
    """Draw the sequences by this seed instead of the run's own, so that several runs show the same ones."""
    length: int = Field(default=100, title="Length (timesteps, at most)", ge=1, le=500)
    """How many timesteps to show at most: the last ones of the sequence."""


def compute(subject: Subject, settings: GatesSettings) -> GatesView:
    """Reads the sequence once, step by step; saturation is measured on more of them."""
    network = subject.network
    batch, last = _read(subject, settings)
    x = torch.cat((batch.inputs[:, : int(batch.lengths())], last), dim=1)
    begin = max(0, x.shape[1] - settings.length)
    with torch.no_grad():
        outputs, _ = network(batch.inputs, None, batch.first)
        _, states = network.unroll(x)
    gates = network.gates(x)
    return GatesView(
        begin=begin,
        sample=_rendered(subject, batch, outputs, last),
        gates={name: grid(gate[0, begin:]) for name, gate in gates.items()},
        states={name: grid(torch.cat(tensors)) for name, tensors in named_history(states[begin:]).items()},
        saturation=_saturation(subject),
    )


def _read(subject: Subject, settings: GatesSettings) -> tuple[Batch, Tensor]:
    """The chosen sequence, alone; and (1, n, D) what is read after it, without a target."""
    if settings.text is None:
        batch = subject.drawn(settings.sequence + 1, settings.seed).rows(settings.sequence)
        return batch, batch.inputs[:, :0]
    return _typed(subject, settings.text)


def _typed(subject: Subject, text: str) -> tuple[Batch, Tensor]:
    """A text to read, each symbol's target the next one; the last symbol has none and stands apart."""
    task = subject.task
    if not isinstance(task, TextStream):
        raise ViewError("text", text, "this run's task does not read text", "leave it empty")
    try:
        ids = task.encode(task.as_written(text))
    except ValueError as error:
        raise ViewError("text", text, str(error), "change the text") from None
    if len(ids) < 2:
        raise ViewError("text", text, f"is shorter than two {task.symbol}s", "write more")
    weight = next(subject.network.parameters())
    inputs = F.one_hot(ids[None], task.input_size).to(weight.dtype)
    return Batch(inputs=inputs[:, :-1], targets=ids[None, 1:], first=0), inputs[:, -1:]


def _rendered(subject: Subject, batch: Batch, outputs: Tensor, last: Tensor) -> SequenceSample:
    """The sequence for a reader, with all that was read."""
    sample, task = subject.task.render(batch, outputs, 0), subject.task
    if not last.shape[1] or not isinstance(task, TextStream):
        return sample
    ids = torch.cat((batch.inputs, last), dim=1)[0].argmax(dim=1).tolist()
    read = Channel(name=task.symbol, values=[task.decode([place]) for place in ids])
    return sample.model_copy(update={"channels": [read]})


def _saturation(subject: Subject) -> dict[str, SaturationShares]:
    """Of what has ends, while the sequences last: padding after them is nothing that anybody reads."""
    probe, ranges = subject.drawn(MEASURED), subject.network.ranges()
    timesteps = torch.arange(probe.length)
    is_read = timesteps < probe.lengths()[:, None]  # (B, T)
    found = {}
    for name, gate in subject.network.gates(probe.inputs).items():
        if name in ranges:
            low, high = saturation(gate[is_read][None], *ranges[name])
            found[name] = SaturationShares(low=low.tolist(), high=high.tolist())
    return found


SPEC = ViewSpec(
    title="Gates and states",
    summary=(
        "One sequence, timestep by timestep: how far each gate is open, and what each unit of the state "
        "holds under the input that it has just read."
    ),
    look_for=(
        "Units that change when something that matters is read, and hold still until it is needed. Gates "
        "that stand at 0 or 1 nearly all the time are saturated: hardly any gradient passes them."
    ),
    settings=GatesSettings,
    compute=compute,
    require=needs_state("there are neither gates nor states to see."),
)
