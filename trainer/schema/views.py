"""What each view of a run shows: the results of inspections."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trainer.schema.base import Wire
from trainer.schema.catalog import Chance
from trainer.schema.runs import ForecastSample, SampleContent, SequenceSample
from trainer.schema.standing import Standing
from trainer.schema.words import Shown

Curve = list[float | None]
"""None where a number is not finite."""
Grid = list[list[float | None]]
"""Rows of numbers; None where one is not finite."""


class Stretch(Wire):
    """Which timesteps were measured: each sequence's own last ones, none of the padding after its end."""

    begins: list[int]
    """By sequence: its timestep, from 0, with which row 0 stands."""
    lengths: list[int]
    """By sequence: how many timesteps were measured."""

    @property
    def is_cut(self) -> bool:
        """Whether some timesteps came before, unmeasured."""
        return any(self.begins)

    @property
    def has_several_begins(self) -> bool:
        """Whether row 0 stands for a different timestep in each sequence."""
        return len(set(self.begins)) > 1

    @property
    def words(self) -> str:
        """For a reader, who counts timesteps from 1; empty for sequences that are whole and equally long."""
        shortest, longest, first = min(self.lengths), max(self.lengths), self.begins[0]
        if self.has_several_begins:
            fewer = "" if shortest == longest else " (all of a shorter one)"
            return f"the last {longest:,} timesteps of each sequence{fewer}, counted from the first of them"
        if shortest != longest:
            return f"each sequence to its own end, {shortest:,} to {longest:,} timesteps"
        return f"timesteps {first + 1:,} to {first + longest:,}" if first else ""


class TriangleView(Wire):
    """Row t, column k: what the loss at t says at step k; 0 above the diagonal."""

    kind: Literal["triangle"] = "triangle"
    begin: int
    """The timestep of the sequence that row 0 and column 0 stand for; 0 where ``stretch`` has several."""
    stretch: Stretch | None = None
    """Which timesteps these are."""
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
    sequences: int
    """How many were measured; of very long ones fewer than were asked for."""
    length: int
    """Timesteps of the longest."""
    shortest: int | None = None
    """Timesteps of the shortest."""
    losses_from: int
    """Whole sequences were measured at ``own`` and in the sweep, but only the losses from this timestep on: 0
    for all of them, more where windows overlap too much."""
    own_k1: int | None
    """The run's own truncation; None where it has none."""
    own_k2: int | None
    """None with an ``own_k1``: every window reaches back to the first timestep."""
    own: dict[str, Match]
    """At the run's own k1 and k2; empty where it has none."""
    k1: int | None
    """Of the sweep; None where ``each_step`` says it all."""
    k2: list[int]
    """Of the sweep."""
    sweep: dict[str, Matches]
    begin: int
    """From this timestep on the gradient was taken apart by lag, as if none had come before it: ``lags``,
    ``lag_norms`` and ``each_step`` are of that stretch, and of its own full gradient. 0 where
    ``stretch`` has several."""
    stretch: Stretch | None = None
    """Which timesteps were taken apart by lag."""
    lags: list[int]
    """0, 1, 2, …: how many steps back."""
    lag_norms: dict[str, Curve]
    """The norm of what each lag alone brings to the gradient."""
    each_step: dict[str, Matches]
    """k1 = 1, for k2 = lag + 1."""


class CreditShare(Wire):
    """Mean gradient norms over a probe of sequences."""

    informative: float | None
    distractors: float | None
    ratio: float | None
    """Informative ÷ distractors; None where both are 0, where distractors alone are, or where one of the two
    is None: not a finite number."""


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
    """Singular values, geometric means over sequences; None for 0, or what cannot be told from it."""

    largest: Curve
    median: Curve
    smallest: Curve


class SpectrumView(Wire):
    """Of one matrix that takes a state to the next one."""

    real: Curve
    """The real part of each eigenvalue."""
    imaginary: Curve
    radius: float | None
    """The largest size of an eigenvalue."""
    norm: float | None
    """The largest singular value."""


class NormBound(Wire):
    """Pascanu, Mikolov & Bengio 2013, 2.1."""

    norm: float
    """λ₁, the largest singular value of Ws."""
    bound: float
    """1/γ, γ the steepest slope of the activation function."""
    must_vanish: bool
    may_explode: bool


class Exponents(Wire):
    """Lyapunov exponents from several starts, the largest first; natural logarithms, per timestep."""

    mean: Curve
    """Over the starts; None for −∞."""
    lowest: Curve
    """Of the starts; None for −∞."""
    highest: Curve
    """Of the starts; None for −∞."""
    wiped_out: list[int]
    """For each: in how many starts its direction is wiped out, which makes it −∞: nothing of a change in it
    can be told from rounding."""
    starts: int
    """Independent measurements: sequences of their own, and random directions."""
    warm_up: int
    """Timesteps that did not count, in which the directions turned to where they belong."""
    timesteps: int
    """The window: timesteps that count, in each start."""
    has_settled: bool
    """Whether the starts, and the two halves of the window, agree to 5%, or to 0.002 per timestep."""


class JacobiansView(Wire):
    """What one timestep, and many in a row, do to a gradient."""

    kind: Literal["jacobians"] = "jacobians"
    begin: int
    """The timestep of the sequence that the first one stands for; 0 where ``stretch`` has several."""
    stretch: Stretch | None = None
    """Which timesteps these are."""
    step: Spread
    """Of ∂s_t/∂s_{t-1}, by timestep from ``begin``; over the sequences that have not ended before."""
    product: Spread
    """Of ∂s_T/∂s_{T-lag}, T being each sequence's own last timestep, by lag from 1, as natural logarithms;
    None for one that is 0. Over the sequences that are so long."""
    lyapunov: Exponents | None
    """The largest ones in a long run, over fresh sequences one after another, the state never reset; None
    where the state grows beyond all numbers before anything can be measured."""
    spectra: dict[str, SpectrumView]
    """By matrix, ``Ws/0`` or one gate's, ``Ws/0/f``; empty for a network that multiplies its state by none,
    and where they are so large (an LSTM's above 406 units) that eigenvalues take too long."""
    has_spectra: bool
    """Whether the network has such matrices at all."""
    spectra_at_start: dict[str, SpectrumView]
    """The same for the weights that training began with; empty where they are larger than a half of that."""
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
    """Of the gates that a function squashes, over a probe of sequences."""


class Place(Wire):
    """One place in the text."""

    before: Shown
    symbol: Shown
    after: Shown
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
    last: int
    """Fitted to the timesteps up to this one, from 0: later ones have losses of their own."""
    words: list[str]
    """What becomes of the gradient: ``halves every 3.1 timesteps back (R² 0.98)``; empty where nothing is
    told."""
    factor: Curve
    """What one timestep back multiplies the norm by; None where there is no even pace to tell."""
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
    """By field and layer, ``"h/0"``; empty where ``unfitted`` says why."""
    unfitted: str = ""
    """Why nothing is fitted to the recordings of this run, in sentences."""
    state: str = ""
    """Which state's gradient the sentences speak of, ``"c/0"``; empty where they speak of none."""
    numbers: dict[str, float | None]
    """What the sentences are made of."""


class SurgerySide(Wire):
    """What a network does."""

    loss: float | None
    loss_spread: float | None = None
    """Standard error of ``loss``, over the sequences; None for a single one."""
    error: float | None
    """Share of wrong units, 0 to 1."""
    error_spread: float | None = None
    """Standard error of ``error``, over the sequences."""
    wrong: int = 0
    total: int = 0
    """Units judged."""
    standing: Standing | None = None
    """Of the loss, beside chance."""
    samples: list[SampleContent]


class SurgeryView(Wire):
    """The same inputs with and without a clamp."""

    kind: Literal["surgery"] = "surgery"
    target: str = ""
    """What was held, ``"f/0"``."""
    clamped: str
    """What was held at which value, in words."""
    choices: list[str]
    """What can be held in this network."""
    sequences: int = 0
    """On which both were measured, the same ones."""
    chance: Chance | None = None
    untouched: SurgerySide
    changed: SurgerySide
    loss_change: float | None = None
    """Of the same sequences, one by one: their mean."""
    loss_change_spread: float | None = None
    """And its standard error."""


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

    symbol: Shown
    probability: float | None


class WrittenSymbol(Wire):
    """One symbol that the network wrote."""

    symbol: Shown
    probability: float | None
    guesses: list[Guess]
    """The likeliest ones at this place."""


class GeneratedView(Wire):
    """What a network produces: one of the three."""

    kind: Literal["generate"] = "generate"
    prompt: Shown | None = None
    text: Shown | None = None
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
