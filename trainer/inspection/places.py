"""Where in the text a unit is most, and least, active: other places where it does the same."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from models.base import named_history, named_tensors
from trainer.inspection.base import Meaningless, Subject, ViewError, ViewSettings, ViewSpec
from trainer.schema import Place, PlacesView
from trainer.tasks.text_stream import TextStream

LANES = 32
"""Stretches of the text that are read side by side."""
AROUND = 30
"""Symbols shown before and after a place."""


class PlacesSettings(ViewSettings):
    """Settings of this view."""

    state: str | None = Field(default=None, pattern=r"^\w{1,8}/\d{1,2}$")
    """Which state: its letter, a slash and its layer, from 0: h/0, for an LSTM also c/0. Empty: the first."""
    unit: int = Field(default=0, ge=0)
    """Which of its units, from 0."""
    symbols: int = Field(default=6_400, title="Look through (symbols)", ge=320, le=200_000)
    """How much of the validation text to look through, evenly spread; all of it where it has no more."""
    places: int = Field(default=8, ge=1, le=50)
    """How many places to show at each end."""


def compute(subject: Subject, settings: PlacesSettings) -> PlacesView:
    """Reads chunks of validation text from the initial state and sorts timesteps by the unit's value."""
    task, network = subject.task, subject.network
    assert isinstance(task, TextStream)  # as `require` has seen to
    sizes = {name: tensor.shape[1] for name, tensor in named_tensors(network.initial_state(1))}
    chosen = settings.state or next(iter(sizes))
    if chosen not in sizes:
        raise ViewError("state", chosen, "there is no such state", f"choose one of: {', '.join(sizes)}")
    if settings.unit >= sizes[chosen]:
        raise ViewError("unit", settings.unit, "there is no such unit", f"choose 0 to {sizes[chosen] - 1}")
    ids_of = task.validation_chunks(settings.symbols)  # (N, T)
    found: list[Tensor] = []
    for ids in torch.split(ids_of, LANES):
        with torch.no_grad():
            _, states = network.unroll(F.one_hot(ids, task.input_size).to(next(network.parameters())))
        found.append(torch.stack([held[:, settings.unit] for held in named_history(states)[chosen]], dim=1))
    values_of = torch.cat(found)  # (N, T)
    order = values_of.flatten().argsort(descending=True).tolist()

    def place(at: int) -> Place:
        row, t = divmod(at, ids_of.shape[1])
        ids = ids_of[row].tolist()
        return Place(
            before=task.decode(ids[max(0, t - AROUND) : t]),
            symbol=task.decode(ids[t : t + 1]),
            after=task.decode(ids[t + 1 : t + 1 + AROUND]),
            value=float(f"{float(values_of[row, t]):.5g}"),
        )

    return PlacesView(
        unit=f"{chosen} {settings.unit}",
        states=list(sizes),
        read=ids_of.numel(),
        highest=[place(at) for at in order[: settings.places]],
        lowest=[place(at) for at in order[: -settings.places - 1 : -1]],
    )


def require(subject: Subject) -> None:
    """Raises Meaningless where there is no text, or nothing that remembers it."""
    if not isinstance(subject.task, TextStream):
        raise Meaningless("This run's task is not about a text, so there are no other places to look for.")
    subject.require_state("it has no units that remember.")


SPEC = ViewSpec(
    title="Places in the text",
    summary="Places of the validation text at which one unit is highest, and at which it is lowest.",
    look_for=(
        "What the places have in common: the end of a line, the inside of quotation marks, a certain letter. "
        "Many units follow nothing that has a name."
    ),
    settings=PlacesSettings,
    compute=compute,
    require=require,
)
