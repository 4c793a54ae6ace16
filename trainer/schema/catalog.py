"""What can be chosen: networks, tasks, and what a choice would cost."""

from __future__ import annotations

from typing import Any, Literal

from trainer.schema.base import Wire


class Chance(Wire):
    """The best blind guess: never looks at the inputs that matter.

    On the data of validation, which are those of the closing test too.
    """

    loss: float
    error: float | None = None
    """Share of wrong units, 0 to 1, of the guess that has the fewest, which need not be that with the least
    loss; None where a task has no right and wrong."""
    training_loss: float | None = None
    """The loss on the data of training, with losses where training has them; None where it is not known."""
    held_back: str | None = None
    """What the data of validation are drawn from, ``the 256 strings held back``; empty where every sequence
    is made anew, None where that is not known."""

    @property
    def data(self) -> str:
        """On which data a network is validated, for a reader; empty where that is not known."""
        return "fresh sequences" if self.held_back == "" else self.held_back or ""


class Letter(Wire):
    """What a letter of a network's equations stands for."""

    name: str
    """With the letter itself: ``"forget gate f"``."""
    does: str = ""
    """What that does to a memory, in a word or two; empty where the name says it."""


class CatalogEntry(Wire):
    """One network or one task, as the launch form shows it."""

    name: str
    title: str
    summary: str
    group: str = ""
    """Heading under which the form offers it, beside others of its kind."""
    description: str = ""
    equations: str = ""
    source: str
    json_schema: dict[str, Any]
    """Of its settings, without ``name``."""
    loss_kind: Literal["mse", "cross_entropy"] | None = None
    """Tasks: squared error or cross-entropy; None for a network, which takes the task's."""
    loss_reason: str = ""
    """Tasks: one sentence, why this loss fits."""
    loss_unit: str = ""
    error_unit: str = ""
    wrong_when: str = ""
    """Tasks: one sentence, what ``error_unit`` counts."""
    streaming: bool = False
    needs_corpus: bool = False
    needs_table: bool = False
    """Whether that corpus is a table, of which the setting ``column`` names one column."""
    keeps_state: bool = True
    """Networks: whether anything is carried from one timestep to the next."""
    state_parts: int = 0
    """Networks: fields of the state, such as an LSTM's h and c."""
    recurrent_weights: bool = False
    """Networks: whether weights lead from state to state."""
    asks_once: bool | dict[str, Any] = False
    """Tasks: whether a sequence has one answer, at its end; or with which of its settings it has."""
    solvable: bool = True
    """Tasks: whether there is a rule for when one is solved."""
    letters: dict[str, Letter] = {}
    """Networks: words for gates, and for units that are no state; where Ws is among them, for what stands in
    its place."""
    training_defaults: dict[str, Any] = {}
    """Tasks: training settings that learn something within a minute."""


class ViewEntry(Wire):
    """One way to look inside a run, as the page *Inside* offers it."""

    name: str
    title: str
    summary: str
    """What one sees."""
    look_for: str
    """What to look for in it."""
    json_schema: dict[str, Any]
    """Of its settings."""
    needs_checkpoint: bool = True


class Catalog(Wire):
    """All that can be launched on this service."""

    models: list[CatalogEntry]
    tasks: list[CatalogEntry]
    training_schema: dict[str, Any]
    analysis_schema: dict[str, Any]
    accelerators: list[str]
    """Those of ``cpu``, ``gpu``, ``mps`` that this machine has."""
    views: list[ViewEntry] = []
    """Ways to look inside a run."""


class Estimate(Wire):
    """What a configuration will cost, told before it is launched."""

    parameters: int
    multiplications_per_timestep: int
    seconds: float
    """Training time for all steps on this machine, from a short measurement."""
    chance: Chance
    input_size: int
    output_size: int
    facts: dict[str, str] = {}
    """What else to know of this very network: label to value with its unit."""
