"""Looking inside a run: what is asked, and the answer around a view's result."""

from __future__ import annotations

from typing import Any

from pydantic import Field, JsonValue

from trainer.schema.base import Wire
from trainer.schema.config import ADVANCED
from trainer.schema.views import ViewResult


class CheckpointInfo(Wire):
    """A checkpoint that is kept: the last two of a run, and its best."""

    step: int
    validation_loss: float | None
    """At this step or the last validation before it."""
    is_best: bool
    size: int
    """Bytes."""


class Inspect(Wire):
    """The body of POST /runs/{id}/inspect."""

    view: str = Field(max_length=100)
    checkpoint: int | None = Field(default=None, ge=0, lt=2**53)
    """The step of a checkpoint that GET /runs/{id}/checkpoints lists; None takes the newest."""
    settings: dict[str, Any] = {}
    """The view's own; what is left out stays at its default."""


FOR_TEXT: dict[str, JsonValue] = {"only_if": {"task.text": True}}
"""Of a setting: it has an effect only where the run's task is about a text."""
_DRAWN: dict[str, JsonValue] = {"only_if": {"task.text": True, "temperature": {"above": 0}}}
"""And where symbols are drawn."""
_SEEDED: dict[str, JsonValue] = {
    "only_if": [{"task.text": False}, {"temperature": {"above": 0}}, {"prompt": False}]
}
NOT_FOR_TEXT: dict[str, JsonValue] = {"only_if": {"task.text": False}}


class Generation(Wire):
    """Settings of what a network produces; some are for text only."""

    prompt: str | None = Field(default=None, max_length=10_000, json_schema_extra=FOR_TEXT)
    """Text that the network reads first; empty takes a piece of the validation text. Text only."""
    length: int = Field(default=200, title="Length (symbols)", ge=1, le=5000, json_schema_extra=FOR_TEXT)
    """How many symbols to write. Text only."""
    temperature: float = Field(default=0.8, ge=0, le=10, json_schema_extra=FOR_TEXT)
    """0 always writes the likeliest symbol; 1 draws by the network's own probabilities. Text only."""
    top_k: int | None = Field(
        default=None, title="Top k (symbols)", ge=1, json_schema_extra={**ADVANCED, **_DRAWN}
    )
    """Draw among the k likeliest symbols only; empty is off. Text only."""
    top_p: float | None = Field(
        default=None, title="Top p (share)", gt=0, le=1, json_schema_extra={**ADVANCED, **_DRAWN}
    )
    """Draw among the fewest symbols that together have this probability; empty is off. Text only."""
    seed: int = Field(default=0, ge=0, lt=2**31, json_schema_extra=_SEEDED)
    """Where random numbers start: the same seed gives the same text, or the same sequences."""
    sequences: int = Field(default=64, ge=1, le=512, json_schema_extra=NOT_FOR_TEXT)
    """Fresh sequences to judge, the wrong ones shown first. Not for text."""
    shown: int = Field(default=12, title="Show (sequences)", ge=1, le=64, json_schema_extra=NOT_FOR_TEXT)
    """How many of them to show. Not for text."""


class Generate(Generation):
    """The body of POST /runs/{id}/generate."""

    checkpoint: int | None = Field(default=None, ge=0, lt=2**53)
    """The step of a checkpoint; None takes the newest."""


class RunViews(Wire):
    """The answer to GET /runs/{id}/views."""

    meaningless: dict[str, str]
    """By view: why it has no meaning for this run's network or task, whatever its settings. Of the others
    nothing stands here."""


class Inspection(Wire):
    """The answer to an inspection: a result, or why there can be none."""

    view: str
    step: int | None
    """Of the checkpoint; None where none was needed."""
    seconds: float
    """That it took to compute."""
    meaningless: str | None = None
    """Why this view has no meaning for this network or task."""
    note: str = ""
    """What else a reader must know, such as that the checkpoint could not be used; sentences."""
    result: ViewResult | None = None
