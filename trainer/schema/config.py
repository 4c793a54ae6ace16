"""A run's configuration: how it is trained and what is recorded of it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from trainer.schema.base import SettingError, Wire

ADVANCED: dict[str, JsonValue] = {"advanced": True}
"""``Field(json_schema_extra=ADVANCED)``: the launch form folds this setting away.

Beside it, ``"only_if"`` names what must hold for the setting to have an effect; otherwise the form hides it
and sends its schema's default, and the service refuses any other value:
``{**ADVANCED, "only_if": {"optimizer": ["sgd", "rmsprop"]}}``. Each key is another setting of the same
object, or one with its section in front (``task.length``), or a property of the chosen network or task as
the catalogue gives it (``task.streaming``, ``model.keeps_state``). Each value lists what it may be, or gives
a number that it must be above, ``{"above": 1}``; ``True`` stands for anything that is there and not off,
``False`` for off or not there. All keys must hold; of a list of such objects one must. ``"choice_if"`` has
such a rule for some of the choices: ``{"choice_if": {"last": {"task.asks_once": False}}}``.
``"topic"`` is a heading that settings folded away together may share: ``{**ADVANCED, "topic": "Weights"}``.
``"labels"`` gives words to choices that do not speak for themselves: ``{"labels": {"last": "Last one"}}``.
"""


_SEVERAL_WINDOWS: list[JsonValue] = [{"update_every": {"above": 1}}, {"k1": True}]
"""Where a sum over windows and a mean over them differ: of one that is a whole batch they are the same."""


class TrainingConfig(Wire):
    """How the weights are changed."""

    steps: int = Field(default=2000, title="Steps (updates)", ge=1, le=10_000_000)
    """Optimiser updates in all. This is the x-axis of every plot."""
    batch_size: int = Field(default=32, ge=1, le=4096)
    """Sequences per batch (for text: parallel lanes of the stream)."""
    optimizer: Literal["sgd", "rmsprop", "adam", "adamw"] = "adam"
    """The rule that turns gradients into updates."""
    learning_rate: float = Field(default=0.001, gt=0, le=10)
    """Size of each update."""
    schedule: Literal["linear", "cosine", "step"] | None = Field(
        default=None, title="Learning-rate schedule", json_schema_extra={**ADVANCED, "topic": "Learning rate"}
    )
    """How the learning rate falls while training goes on: along a line, along half a cosine wave, or in
    steps; empty keeps it as it is."""
    schedule_factor: float = Field(
        default=0.1,
        title="Schedule: multiply by",
        ge=0,
        le=1,
        json_schema_extra={**ADVANCED, "topic": "Learning rate", "only_if": {"schedule": True}},
    )
    """Line and cosine end at this share of the learning rate; steps multiply it by this each time."""
    schedule_every: int = Field(
        default=1000,
        title="Schedule: a step every (updates)",
        ge=1,
        json_schema_extra={**ADVANCED, "topic": "Learning rate", "only_if": {"schedule": ["step"]}},
    )
    """Updates between two steps down; the schedule in steps only."""
    warmup_steps: int | None = Field(
        default=None,
        title="Warm-up (updates)",
        ge=1,
        json_schema_extra={**ADVANCED, "topic": "Learning rate"},
    )
    """Let the learning rate rise along a line, from almost nothing, over so many updates; empty is off."""
    momentum: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        json_schema_extra={**ADVANCED, "topic": "Updates", "only_if": {"optimizer": ["sgd", "rmsprop"]}},
    )
    """How much of the last update is kept; SGD and RMSprop only."""
    weight_decay: float | None = Field(
        default=None, ge=0, le=1, json_schema_extra={**ADVANCED, "topic": "Updates"}
    )
    """Pull of every weight towards zero; empty is PyTorch's default: 0.01 for AdamW, else none."""
    k1: int | None = Field(
        default=None,
        title="Backward every, k1",
        ge=1,
        json_schema_extra={"only_if": {"model.keeps_state": True}},
    )
    """Truncated BPTT: run backward after every k1 timesteps; empty is off: backward once, after the last.
    Without meaning for a network that carries no state: no gradient of its travels through time."""
    k2: int | None = Field(
        default=None, title="Reaching back, k2", ge=1, json_schema_extra={"only_if": {"k1": True}}
    )
    """Truncated BPTT: how many timesteps the gradient travels back, at least k1; empty is unlimited."""
    clip: Literal["norm", "value"] | None = Field(default="norm", title="Gradient clipping")
    """Rescale the whole gradient when its norm is too large (norm), cut each entry (value), or leave it."""
    clip_at: float = Field(
        default=1.0, title="Clipping threshold", gt=0, json_schema_extra={"only_if": {"clip": True}}
    )
    """The clipping threshold: a norm, or the largest allowed entry."""
    update_every: int = Field(
        default=1,
        title="Windows per update",
        ge=1,
        le=1000,
        json_schema_extra={**ADVANCED, "topic": "Updates"},
    )
    """Collect the gradients of this many windows, then update once. A window is a whole batch, or with
    truncation one of its stretches of k1 timesteps; those without a scored output do not count."""
    accumulate: Literal["sum", "mean"] = Field(
        default="sum",
        title="Combine windows by",
        json_schema_extra={
            **ADVANCED,
            "topic": "Updates",
            "only_if": _SEVERAL_WINDOWS,
        },
    )
    """Sum: gradients add up, so that the windows of one sequence make that sequence's gradient. Mean: of all
    scored outputs, so that N batches do what one batch N times as large would do."""
    omega: float | None = Field(
        default=None,
        title="Ω regulariser (weight)",
        gt=0,
        le=1000,
        json_schema_extra={**ADVANCED, "topic": "Gradient", "only_if": {"model.recurrent_weights": True}},
    )
    """Pulls the state-to-state weights to where a gradient keeps its length from each timestep to the one
    before (Pascanu et al. 2013, who use 4). Updates then take two to four times as long. Empty is
    off."""
    gradient_noise: float | None = Field(
        default=None,
        title="Gradient noise (η)",
        gt=0,
        le=100,
        json_schema_extra={**ADVANCED, "topic": "Gradient"},
    )
    """Adds random numbers to the clipped gradient, of variance η / (1 + update)^0.55: strong at first, then
    fading (Neelakantan et al. 2015, who try 0.01, 0.3 and 1). Empty is off."""
    carry_state: bool = Field(
        default=True,
        json_schema_extra={
            **ADVANCED,
            "topic": "Data and loss",
            "only_if": {"task.streaming": True, "model.keeps_state": True},
        },
    )
    """Go on from each batch with the state that the last one left; else begin each from zero. Only for one
    long stream, such as text; other tasks begin every sequence from zero."""
    loss_at: Literal["task", "last", "all"] = Field(
        default="task",
        title="Learn from",
        json_schema_extra={
            **ADVANCED,
            "topic": "Data and loss",
            "labels": {"task": "What the task scores", "last": "The last output", "all": "Every output"},
            "choice_if": {"last": {"task.asks_once": False}, "all": {"task.asks_once": True}},
        },
    )
    """Which outputs training learns from: those that the task scores, only the last of these, or all. All is
    for tasks that ask once, at the end: the same answer is then wanted at every timestep (target replication,
    Lipton et al. 2015). Validation always goes by the task."""
    longest: int | None = Field(
        default=None,
        title="Random length, up to",
        ge=1,
        json_schema_extra={
            **ADVANCED,
            "topic": "Data and loss",
            "only_if": {"task.length": True, "task.streaming": False},
        },
    )
    """Draw each training batch's length at random between the task's own and this, both included (Pascanu et
    al. 2013: from 50 to 200). Validation stays at the task's own length. Empty is off."""
    validate_every: int = Field(
        default=200,
        title="Validate every (updates)",
        ge=1,
        json_schema_extra={**ADVANCED, "topic": "Validation and end"},
    )
    """Updates between two validations on sequences that training never reads."""
    stop_when_solved: bool = Field(
        default=False,
        json_schema_extra={
            **ADVANCED,
            "topic": "Validation and end",
            "only_if": {"task.solvable": True},
        },
    )
    """End early once the task's own success rule holds on 10,000 sequences that training
    never reads."""
    patience: int | None = Field(
        default=None,
        title="Early stopping (validations)",
        ge=1,
        json_schema_extra={**ADVANCED, "topic": "Validation and end"},
    )
    """End early after so many validations in a row without a new lowest loss; empty is off. The network is
    kept as it is then, not as it was at its best."""
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = Field(
        default="auto", json_schema_extra={**ADVANCED, "topic": "Computer"}
    )
    """Where to compute; auto takes a GPU where there is one."""
    precision: Literal["32", "64", "bf16"] = Field(
        default="32", json_schema_extra={**ADVANCED, "topic": "Computer"}
    )
    """Bits of a number: 32; 64 for exact comparisons, slower and not on mps; bf16 halves those of the forward
    and backward pass and keeps weights at 32."""

    @field_validator("precision", mode="before")
    @classmethod
    def _precision(cls, given: Any) -> Any:
        # a number, where it was typed into a terminal
        return str(given) if given in (32, 64) else given

    @model_validator(mode="after")
    def _truncation(self) -> Self:
        if self.k1 is None and self.k2 is not None:
            raise SettingError(
                "k2", self.k2, "k2 without k1", "set k1 as well, or leave both empty for full BPTT"
            )
        if self.k1 is not None and self.k2 is not None and self.k2 < self.k1:
            raise SettingError(
                "k2",
                self.k2,
                f"k2 is smaller than k1 = {self.k1}: some losses would reach no weight",
                f"set k2 to {self.k1} or more, or leave it empty",
            )
        return self


class AnalysisConfig(Wire):
    """What a run records about itself beside its losses."""

    every: int | None = Field(
        default=50,
        title="Record gradients every (updates)",
        ge=1,
        json_schema_extra={**ADVANCED, "only_if": {"model.keeps_state": True}},
    )
    """Updates between two recordings of the gradient at every timestep; empty records none."""
    probe_size: int = Field(
        default=8,
        title="Probe batch (sequences)",
        ge=1,
        le=256,
        json_schema_extra={**ADVANCED, "only_if": {"every": True, "model.keeps_state": True}},
    )
    """Sequences in the fixed probe batch on which that gradient is measured."""
    samples_every: int | None = Field(
        default=250, title="Take samples every (updates)", ge=1, json_schema_extra=ADVANCED
    )
    """Updates between two samples of what the network produces; empty takes none."""
    test_lengths_to: int | None = Field(
        default=None,
        title="Test on lengths up to",
        ge=1,
        json_schema_extra={**ADVANCED, "only_if": {"task.length": True, "task.streaming": False}},
    )
    """After training, test on longer and longer sequences: the task's own length, twice, four times, up to
    this one, 1,000 sequences each. Empty is off."""


class RunConfig(Wire):
    """A whole experiment. ``model`` and ``task`` carry a ``name`` and that entry's own settings.

    The service checks them against the catalogue; unknown names and settings are refused.
    """

    model: dict[str, Any]
    task: dict[str, Any]
    training: TrainingConfig = TrainingConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Where all random numbers of the run start."""
