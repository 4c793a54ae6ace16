"""Every type that crosses the wire: between browser and service, worker and service, command line and store.

Pydantic only. Importing this module imports neither torch nor the database, so the dashboard can use it.
"""

from __future__ import annotations

import math
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    field_validator,
    model_validator,
)


class Wire(BaseModel):
    """Base of everything here: frozen, unknown keys refused, docstrings become descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


# --- A run's configuration ---------------------------------------------------------------------------

ADVANCED: dict[str, JsonValue] = {"advanced": True}
"""``Field(json_schema_extra=ADVANCED)``: the launch form folds this setting away.

Beside it, ``"only_if"`` names what must hold for the setting to have an effect; otherwise the form hides it
and its schema's default is sent: ``{**ADVANCED, "only_if": {"optimizer": ["sgd", "rmsprop"]}}``. Each key is
another setting of the same object, or one with its section in front (``task.length``), or a property of the
chosen network or task as the catalogue gives it (``task.streaming``, ``model.keeps_state``). Each value lists
what it may be; ``True`` stands for anything that is there and not off, ``False`` for off or not there.
``"topic"`` is a heading that settings folded away together may share: ``{**ADVANCED, "topic": "Weights"}``.
``"labels"`` gives words to choices that do not speak for themselves: ``{"labels": {"last": "Last one"}}``.
"""


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
        json_schema_extra={**ADVANCED, "topic": "Updates"},
    )
    """Sum: gradients add up, so that the windows of one sequence make that sequence's gradient. Mean: of all
    scored outputs, so that N batches do what one batch N times as large would do."""
    omega: float | None = Field(
        default=None,
        title="Ω regulariser (weight)",
        gt=0,
        le=1000,
        json_schema_extra={**ADVANCED, "topic": "Gradient", "only_if": {"model.keeps_state": True}},
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
        json_schema_extra={**ADVANCED, "topic": "Data and loss", "only_if": {"task.streaming": True}},
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
    """Updates between two validations on fresh sequences."""
    stop_when_solved: bool = Field(
        default=False, json_schema_extra={**ADVANCED, "topic": "Validation and end"}
    )
    """End early once the task's own success rule holds on 10,000 fresh sequences."""
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
    this one, 1,000 fresh sequences each. Empty is off."""


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


class SettingError(ValueError):
    """One setting is wrong: for use in validators, whose errors ``trainer.errors`` takes apart again."""

    def __init__(self, field: str, value: Any, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem}; {remedy}")
        self.field, self.value, self.problem, self.remedy = field, value, problem, remedy


class FieldError(Wire):
    """What is wrong with one field of a request."""

    field: str
    """Dotted path from the request's root, without list positions of unions: ``config.training.k2``."""
    value: Any = None
    """What was sent, shortened."""
    problem: str
    remedy: str


class ErrorBody(Wire):
    """The body of every 4xx and 5xx answer."""

    message: str
    """One sentence for a person."""
    remedy: str = ""
    """What to do now."""
    errors: list[FieldError] = []
    """One per field, for a 422."""


# --- The catalogue -----------------------------------------------------------------------------------


class Chance(Wire):
    """The best blind guess: never looks at the inputs that matter."""

    loss: float
    error: float | None = None
    """Share of wrong units, 0 to 1; None where a task has no right and wrong."""


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
    streaming: bool = False
    needs_corpus: bool = False
    needs_table: bool = False
    """Whether that corpus is a table, of which the setting ``column`` names one column."""
    keeps_state: bool = True
    """Networks: whether anything is carried from one timestep to the next."""
    training_defaults: dict[str, Any] = {}
    """Tasks: training settings that learn something within a minute."""


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


# --- Runs --------------------------------------------------------------------------------------------


class RunState(StrEnum):
    """queued → running → finished | stopped | failed | interrupted; the last three can be resumed."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def is_over(self) -> bool:
        return self not in (RunState.QUEUED, RunState.RUNNING)

    @property
    def can_resume(self) -> bool:
        return self in (RunState.STOPPED, RunState.FAILED, RunState.INTERRUPTED)


_PLAIN = r"^[^\x00-\x1f\x7f<>]*$"
"""No markup and no control characters: names end up in pages, terminals and file names."""
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=_PLAIN)]
Tag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=40, pattern=_PLAIN),
]


class Launch(Wire):
    """The body of POST /runs, and of POST /estimate."""

    config: RunConfig
    name: Name | None = None
    """None makes one from network and task."""
    tags: list[Tag] = Field(default=[], max_length=20)


class RunPatch(Wire):
    """The body of PATCH /runs/{id}: what is given is changed."""

    name: Name | None = None
    tags: list[Tag] | None = Field(default=None, max_length=20)


class LengthVerdict(Wire):
    """A test of the trained network on fresh sequences of another length than it was trained on."""

    length: int
    """As the task's own setting ``length`` has it."""
    loss: float | None
    """None where it was not finite."""
    error: float | None
    """Share of wrong units, 0 to 1; None where the task has no right and wrong."""
    wrong: int
    total: int
    chance: Chance | None = None
    """Of the task at this length."""


class Summary(Wire):
    """Results of a run so far, kept beside it so that a table of runs needs no metrics."""

    parameters: int | None = None
    device: str | None = None
    chance: Chance | None = None
    loss: float | None = None
    """Of the last update."""
    validation_loss: float | None = None
    validation_error: float | None = None
    best_validation_loss: float | None = None
    best_validation_error: float | None = None
    best_step: int | None = None
    clip_rate: float | None = None
    """Share of updates whose gradient was clipped, 0 to 1."""
    steps_per_second: float | None = None
    sequences_per_second: float | None = None
    seconds: float | None = None
    """Training time over all attempts."""
    solved: bool | None = None
    """Whether the task's success rule held at the last test on many fresh sequences."""
    solved_at: int | None = None
    test_loss: float | None = None
    test_wrong: int | None = None
    test_total: int | None = None
    """The closing test: wrong units among this many fresh ones."""
    bits_per_character: float | None = None
    lengths: list[LengthVerdict] | None = None
    """After training: how the network does on longer sequences, by length."""


class Run(Wire):
    """A run as GET /runs and GET /runs/{id} give it."""

    id: UUID
    number: int
    """1, 2, 3, … in order of creation; gives a run its colour."""
    name: str
    tags: list[str]
    state: RunState
    reason: str | None
    """Why it failed, was interrupted, or stopped; None otherwise."""
    attempt: int
    """The current attempt, from 1."""
    step: int
    """Optimiser updates made and stored."""
    config: RunConfig
    summary: Summary
    created_at: datetime
    started_at: datetime | None
    """Of the first attempt."""
    ended_at: datetime | None
    can_resume: bool


class RunPage(Wire):
    """One page of a list of runs."""

    runs: list[Run]
    """Newest first unless another order was asked for."""
    next: str | None
    """Pass as ``cursor`` for the next page; None at the end."""
    total: int
    """Runs that match the filter, over all pages."""


class Series(Wire):
    """One metric of one run, by update."""

    step: list[int]
    value: list[float | None]
    """None where the value was not finite; ``flag`` says which."""
    seconds: list[float]
    """Training time at each point, over all attempts."""
    sequences: list[float]
    """Training sequences seen at each point."""
    flag: dict[int, Literal["nan", "inf", "-inf"]] = {}
    """By step, for the values that were not finite."""


class VectorSeries(Wire):
    """One per-timestep quantity of one run: a T-vector for each recorded step."""

    steps: list[int]
    norms: list[list[float | None]]


class TextSample(Wire):
    """Text that the network wrote after a prompt."""

    kind: Literal["text"] = "text"
    prompt: str
    text: str
    temperature: float


class Channel(Wire):
    """One row of a rendered input: a number or a symbol for each timestep."""

    name: str
    values: list[float] | list[str]


class SequenceSample(Wire):
    """One input sequence with what was asked and what the network said."""

    kind: Literal["sequence"] = "sequence"
    channels: list[Channel]
    informative: list[int]
    """Timesteps whose inputs decide the target; empty where all do."""
    target: str
    prediction: str
    correct: bool
    detail: str = ""
    """Say, the probability given to the right class."""
    picture: list[list[float]] | None = None
    """Rows of brightness from 0, paper, to 1, ink, where the sequence is one."""


class ForecastSample(Wire):
    """One series of numbers, with what the network made of it; all three lists are equally long."""

    kind: Literal["forecast"] = "forecast"
    name: str = "value"
    """What the numbers are."""
    truth: list[float]
    one_ahead: list[float | None]
    """Each value as forecast from the true values before it; None where none was made."""
    alone: list[float | None]
    """From timestep ``given`` on, the network going on from its own forecasts; None before."""
    given: int
    """True values that it read before it was left alone."""
    detail: str = ""
    """Say, both mean squared errors."""


SampleContent = Annotated[TextSample | SequenceSample | ForecastSample, Field(discriminator="kind")]
"""What a sample can be; ``kind`` says which."""


class Sample(Wire):
    """One thing that the network produced at an update; ``index`` tells those of one update apart."""

    step: int
    index: int
    content: SampleContent


class LogLine(Wire):
    """One line of a run's log."""

    at: datetime
    level: Literal["debug", "info", "warning", "error"]
    text: str


class CorpusInfo(Wire):
    """A text or a table to train on, without what it holds."""

    id: str
    name: str
    characters: int
    vocabulary: int
    """Distinct characters."""
    builtin: bool
    preview: str
    columns: list[str] = []
    """The columns of numbers, the likeliest to be wanted first; a text that is no table has none."""


# --- Inspections: looking inside a run ---------------------------------------------------------------

Curve = list[float | None]
"""None where a number is not finite."""
Grid = list[list[float | None]]
"""Rows of numbers; None where one is not finite."""


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
        default=None, title="Top k (symbols)", ge=1, json_schema_extra={**ADVANCED, **FOR_TEXT}
    )
    """Draw among the k likeliest symbols only; empty is off. Text only."""
    top_p: float | None = Field(
        default=None, title="Top p (share)", gt=0, le=1, json_schema_extra={**ADVANCED, **FOR_TEXT}
    )
    """Draw among the fewest symbols that together have this probability; empty is off. Text only."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Where random numbers start: the same seed gives the same text, or the same sequences."""
    sequences: int = Field(default=64, ge=1, le=512, json_schema_extra=NOT_FOR_TEXT)
    """Fresh sequences to judge, the wrong ones shown first. Not for text."""
    shown: int = Field(default=12, title="Show (sequences)", ge=1, le=64, json_schema_extra=NOT_FOR_TEXT)
    """How many of them to show. Not for text."""


class Generate(Generation):
    """The body of POST /runs/{id}/generate."""

    checkpoint: int | None = Field(default=None, ge=0, lt=2**53)
    """The step of a checkpoint; None takes the newest."""


class TriangleView(Wire):
    """Row t, column k: what the loss at t says at step k; 0 above the diagonal."""

    kind: Literal["triangle"] = "triangle"
    begin: int
    """The timestep of the sequence that row 0 and column 0 stand for."""
    states: dict[str, Grid]
    """‖dE_t/ds_k‖ by field and layer, ``"h/0"``."""
    weights: dict[str, Grid]
    """What step k contributes to dE_t/dW, as a norm, by weight matrix, ``"Ws/0"``."""
    totals: dict[str, float | None]
    """The norm of each matrix's whole gradient."""
    paths: dict[str, dict[str, Grid]] = {}
    """By field of the state: ``states`` where gradients may cross timesteps by that field alone."""
    carried: dict[str, Grid] = {}
    """By memory, ``"c/0"``: the product of the gates between k and t that keep it; 1 on the diagonal."""


class Matches(Wire):
    """Truncated gradients beside the full one, one entry for each truncation."""

    cosine: Curve
    """1: same direction; 0: nothing in common; below 0: uphill."""
    norm_ratio: Curve
    """Its norm ÷ the full one's."""


class Match(Wire):
    """One truncated gradient beside the full one."""

    cosine: float | None
    norm_ratio: float | None


class TruncationView(Wire):
    """How much of the true gradient truncation leaves; by weight matrix, and ``"all"`` together."""

    kind: Literal["truncation"] = "truncation"
    begin: int
    """The timestep of the sequence that the measured stretch starts with."""
    length: int
    """Timesteps measured."""
    lags: list[int]
    """0, 1, 2, …: how many steps back."""
    lag_norms: dict[str, Curve]
    """The norm of what each lag alone brings to the gradient."""
    each_step: dict[str, Matches]
    """k1 = 1, for k2 = lag + 1."""
    k1: int | None
    """Of the sweep; None where only ``each_step`` was asked for."""
    k2: list[int]
    """Of the sweep."""
    sweep: dict[str, Matches]
    own_k1: int | None
    """The run's own truncation; None where it has none."""
    own_k2: int | None
    own: dict[str, Match]
    """At the run's own k1 and k2; empty where it has none."""


class CreditShare(Wire):
    """Mean gradient norms over a probe of sequences."""

    informative: float | None
    distractors: float | None
    ratio: float | None
    """Informative ÷ distractors."""


class CreditView(Wire):
    """Whether credit reaches the timesteps that decide the target; by ``"x"`` (inputs), ``"h/0"``, …."""

    kind: Literal["credit"] = "credit"
    now: dict[str, CreditShare]
    at_start: dict[str, CreditShare]
    """The same network with the weights that it began with."""
    norms: dict[str, Curve]
    """Of the first sequence, by timestep."""
    informative: list[int]
    """The informative timesteps of the first sequence."""


class Spread(Wire):
    """Singular values, geometric means over sequences; None for 0."""

    largest: Curve
    median: Curve
    smallest: Curve


class SpectrumBlock(Wire):
    """One square block of a Ws: the whole of it, or one gate's."""

    real: list[float]
    imaginary: list[float]
    radius: float
    norm: float
    """The largest singular value."""


class NormBound(Wire):
    """Pascanu, Mikolov & Bengio 2013, 2.1."""

    norm: float
    """λ₁, the largest singular value of Ws."""
    bound: float
    """1/γ, γ the steepest slope of the activation function."""
    must_vanish: bool
    may_explode: bool


class JacobiansView(Wire):
    """What one timestep, and many in a row, do to a gradient."""

    kind: Literal["jacobians"] = "jacobians"
    begin: int
    step: Spread
    """Of ∂s_t/∂s_{t-1}, by timestep from ``begin``."""
    product: Spread
    """Of ∂s_T/∂s_{T-lag}, by lag from 1, as natural logarithms; None for one that is 0."""
    lyapunov: Curve
    """The largest exponents, per timestep."""
    spectra: dict[str, list[SpectrumBlock]]
    """By matrix; empty for a network without Ws, and above 512 units, where eigenvalues take too long."""
    spectra_at_start: dict[str, list[SpectrumBlock]]
    """The same for the weights that training began with; empty above 256 units."""
    bounds: dict[str, NormBound]
    """For layers without gates."""


class SaturationShares(Wire):
    """By unit: the share of the time, 0 to 1, that it stands at an end of its range."""

    low: list[float]
    high: list[float]


class GatesView(Wire):
    """One sequence, timestep by timestep."""

    kind: Literal["gates"] = "gates"
    begin: int
    """The timestep of the sequence that row 0 stands for."""
    sample: SequenceSample
    """The whole sequence, with what the network said."""
    gates: dict[str, Grid]
    """Rows are timesteps, columns units; by gate and layer, ``"f/0"``. Empty for a network without gates."""
    states: dict[str, Grid]
    """The same for the states, ``"h/0"``."""
    saturation: dict[str, SaturationShares]
    """Of the gates, over a probe of sequences."""
    kept_by: dict[str, str] = {}
    """Which gate keeps which memory: ``{"c": "f"}``."""


class Place(Wire):
    """One place in the text."""

    before: str
    symbol: str
    after: str
    value: float


class PlacesView(Wire):
    """Where in the text a unit is most, and least, active."""

    kind: Literal["places"] = "places"
    unit: str
    """``"h/0 17"``"""
    states: list[str]
    """What can be asked about in this network."""
    read: int
    """Symbols that were looked through."""
    highest: list[Place]
    lowest: list[Place]


class CliffPath(Wire):
    """A descent, place by place."""

    w: Curve
    b: Curve
    loss: Curve
    norm: Curve
    """The gradient's norm before any clipping."""


class CliffView(Wire):
    """The loss cliff of Pascanu, Mikolov & Bengio 2013, figure 6."""

    kind: Literal["cliff"] = "cliff"
    w: list[float]
    b: list[float]
    loss: Grid
    """Rows by b, columns by w."""
    free: CliffPath
    clipped: CliffPath
    """The same descent with its steps clipped."""


class DecaySeries(Wire):
    """An exponential fitted to the gradient's norms on their way back, for each recording."""

    steps: list[int]
    factor: Curve
    """What one timestep back multiplies the norm by."""
    half_life: Curve
    """Timesteps back in which it halves; None where it does not fade."""
    r_squared: Curve
    ratio: Curve
    """The earliest norm ÷ the latest one."""


class DiagnosisView(Wire):
    """What the recorded numbers say about a run."""

    kind: Literal["diagnosis"] = "diagnosis"
    sentences: list[str]
    fits: dict[str, DecaySeries]
    """By field and layer, ``"h/0"``."""
    numbers: dict[str, float | None]
    """What the sentences are made of."""


class SurgerySide(Wire):
    """What a network does."""

    loss: float | None
    error: float | None
    """Share of wrong units, 0 to 1."""
    samples: list[SampleContent]


class SurgeryView(Wire):
    """The same inputs with and without a clamp."""

    kind: Literal["surgery"] = "surgery"
    clamped: str
    """What was held at which value, in words."""
    choices: list[str]
    """What can be held in this network."""
    untouched: SurgerySide
    changed: SurgerySide


class Future(Wire):
    """One way on from a checkpoint, by update."""

    loss: Curve
    norm_before: Curve
    norm_after: Curve
    clipped: list[bool]
    ended: str | None
    """Why it could not go on; None where it could."""


class RewindView(Wire):
    """Two futures from the same checkpoint, on the same batches."""

    kind: Literal["rewind"] = "rewind"
    steps: list[int]
    """The updates; a future that ended early has fewer."""
    changes: dict[str, str]
    """By setting: from what to what, in words."""
    untouched: Future
    changed: Future
    note: str = ""


class Guess(Wire):
    """A symbol and its probability before temperature, top k and top p."""

    symbol: str
    probability: float | None


class WrittenSymbol(Wire):
    """One symbol that the network wrote."""

    symbol: str
    probability: float | None
    guesses: list[Guess]
    """The likeliest ones at this place."""


class GeneratedView(Wire):
    """What a network produces: one of the three."""

    kind: Literal["generate"] = "generate"
    prompt: str | None = None
    text: str | None = None
    written: list[WrittenSymbol] = []
    forecasts: list[ForecastSample] = []
    predictions: list[SequenceSample] = []
    """The wrong ones first."""
    wrong: int | None = None
    total: int | None = None
    """Sequences judged."""


ViewResult = Annotated[
    TriangleView
    | TruncationView
    | CreditView
    | JacobiansView
    | GatesView
    | PlacesView
    | CliffView
    | DiagnosisView
    | SurgeryView
    | RewindView
    | GeneratedView,
    Field(discriminator="kind"),
]
"""What a view shows; ``kind`` is its name."""


class Inspection(Wire):
    """The answer to an inspection: a result, or why there can be none."""

    view: str
    step: int | None
    """Of the checkpoint; None where none was needed."""
    seconds: float
    """That it took to compute."""
    meaningless: str | None = None
    """Why this view has no meaning for this network or task."""
    result: ViewResult | None = None


# --- Worker to service -------------------------------------------------------------------------------


class Assignment(Wire):
    """What an engine hands to a worker: all it needs for one attempt at one run."""

    run_id: UUID
    attempt: int
    token: str
    """The attempt's token: opens this attempt's own routes and nothing else."""
    url: str
    """The service."""
    config: RunConfig
    resume: bool
    """Whether to start from the run's latest checkpoint, where it has one."""


class Column(Wire):
    """New points of one metric. Values may be NaN or infinite (Python's JSON dialect)."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    step: list[int]
    value: list[float]
    seconds: list[float]
    sequences: list[float]


class Vector(Wire):
    """One per-timestep vector: ``norms`` is T little-endian float32 numbers."""

    name: str
    """Quantity and layer: ``h/0``."""
    step: int
    norms: Base64Bytes


class CheckpointMeta(Wire):
    """Announces the checkpoint whose bytes follow the report."""

    step: int
    sha256: str
    validation_loss: float | None
    """At this step or the last one before, to tell the best."""


class End(Wire):
    """A worker's last word."""

    state: RunState
    reason: str | None = None


class Report(Wire):
    """One post of a worker: all of it is stored in one transaction, or none.

    On the wire: 4 bytes, big-endian length of the JSON; the JSON; then the checkpoint's bytes, if announced.
    A repeated post of the same ``sequence`` changes nothing.
    """

    sequence: int
    """0, 1, 2, … within the attempt."""
    pid: int
    step: int
    """Updates made so far."""
    metrics: dict[str, Column] = {}
    vectors: list[Vector] = []
    samples: list[Sample] = []
    log: list[LogLine] = []
    summary: Summary | None = None
    """Fields that are None leave what is stored."""
    checkpoint: CheckpointMeta | None = None
    end: End | None = None


class ReportReply(Wire):
    """What the service answers to a report."""

    stop: bool
    """The user asked for a stop: write a checkpoint and exit."""


class ServiceAddress(Wire):
    """What a local service writes into its data folder, so that dashboards and commands find it."""

    url: str
    token: str
    pid: int


def finite(value: float) -> float | None:
    """The value, or None where JSON has no way to write it."""
    return value if math.isfinite(value) else None
