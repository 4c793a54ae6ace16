"""Gates and states of one chosen sequence, timestep by timestep."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from models.base import map_state, named_tensors
from models.bptt.gates import saturation
from trainer.inspection.base import Subject, ViewError, ViewSettings, ViewSpec, grid
from trainer.schema import FOR_TEXT, GatesView, SaturationShares
from trainer.tasks.base import Batch
from trainer.tasks.text_stream import TextStream

RANGES = {False: (0.0, 1.0), True: (-1.0, 1.0)}
"""Of a gate, by whether it also gives numbers below 0, as what an LSTM or GRU lets in does."""
MEASURED = 16
"""Sequences on which saturation is measured."""


class GatesSettings(ViewSettings):
    """Settings of this view."""

    sequence: int = Field(default=0, ge=0, le=255)
    """Which of the run's probe sequences to show, from 0."""
    text: str | None = Field(default=None, max_length=5000, json_schema_extra=FOR_TEXT)
    """A text of your own to read instead; empty takes the sequence above. Only for a run on text."""
    seed: int | None = Field(default=None, ge=0, lt=2**31, json_schema_extra={"advanced": True})
    """Draw the sequences by this seed instead of the run's own, so that several runs show the same ones."""
    length: int = Field(default=100, title="Length (timesteps)", ge=1, le=500)
    """How many timesteps to show: the last ones of the sequence."""


def compute(subject: Subject, settings: GatesSettings) -> GatesView:
    """Reads the sequence once, step by step; saturation is measured on more of them."""
    subject.require_state("there are neither gates nor states to see.")
    network = subject.network
    batch = _read(subject, settings)
    x = batch.inputs[-1:]
    begin = max(0, x.shape[1] - settings.length)
    with torch.no_grad():
        outputs, _ = network(batch.inputs, None, batch.first)
        _, states = network.unroll(x)
    history: dict[str, list[Tensor]] = {}
    for state in states[begin:]:
        for name, tensor in named_tensors(map_state(Tensor.detach, state)):
            history.setdefault(name, []).append(tensor[0])
    probe = subject.drawn(MEASURED)
    return GatesView(
        begin=begin,
        sample=subject.task.render(batch, outputs, len(batch.inputs) - 1),
        gates={name: grid(gate[0, begin:]) for name, gate in network.gates(x).items()},
        states={name: grid(torch.stack(tensors)) for name, tensors in history.items()},
        saturation={name: _shares(gate) for name, gate in network.gates(probe.inputs).items()},
        kept_by=dict(network.kept_by) if network.gates(x[:, :1]) else {},
    )


def _read(subject: Subject, settings: GatesSettings) -> Batch:
    """The chosen sequence, last in its batch."""
    if settings.text is None:
        return subject.drawn(settings.sequence + 1, settings.seed)
    return text_batch(subject, settings.text)


def text_batch(subject: Subject, text: str) -> Batch:
    """A text to read, each symbol's target the next one."""
    task = subject.task
    if not isinstance(task, TextStream):
        raise ViewError("text", text, "this run's task does not read text", "leave it empty")
    try:
        ids = task.encode(text)
    except ValueError as error:
        raise ViewError("text", text, str(error), "change the text") from None
    if len(ids) < 2:
        raise ViewError("text", text, f"is shorter than two {task.symbol}s", "write more")
    weight = next(subject.network.parameters())
    inputs = F.one_hot(ids[None, :-1], task.input_size).to(weight.dtype)
    return Batch(inputs=inputs, targets=ids[None, 1:], first=0)


def _shares(gate: Tensor) -> SaturationShares:
    low, high = saturation(gate, *RANGES[bool((gate < 0).any())])
    return SaturationShares(low=low.tolist(), high=high.tolist())


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
)
