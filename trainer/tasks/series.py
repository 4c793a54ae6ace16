"""Forecasting a series of one's own: a column of numbers, each to be told from those before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Generator, Tensor

from models.base import Network
from trainer.sampling import forecast_samples
from trainer.schema import Chance, Channel, ForecastSample, SequenceSample, SettingError
from trainer.tables import Table, TableError, read_table
from trainer.tasks.base import SHOWN_SEQUENCES, Batch, Score, Task, TaskConfig, TaskSpec

TRAINING_SHARE = 0.8
TOLERANCE = 0.5
"""A forecast counts as wrong beyond this, in units of the training part's spread."""


class SeriesConfig(TaskConfig):
    """Settings of the series task."""

    corpus: str = Field(default="sunspots", title="Table", min_length=1, max_length=100)
    """Which table to read: the built-in one, yearly sunspot numbers, or a CSV file that you uploaded."""
    column: str | None = Field(default=None, max_length=100)
    """The column to forecast, one number for each timestep, oldest first; empty is the first of numbers."""
    length: int = Field(default=40, ge=2, le=2000)
    """Numbers that the network reads in a row, so timesteps; each is to be told before it comes."""


class Series(Task):
    """One step ahead: at each timestep the network reads a number of the series and forecasts the next.

    The first 80% of the series are for training, the rest for validation and the test; no target of the one
    part is a target of the other. A sequence is a window from a random place of its part, read from the
    initial state, so that the first forecasts of each rest on few numbers.

    The network reads and forecasts standardised numbers, less the mean and divided by the spread (standard
    deviation) of the training part alone. A missing number is taken to be the one before it; missing ones at
    the beginning and the end are left out.

    Chance: who knows the training part, and always says the same number. For the loss that is the training
    part's mean, 0; for the error, the number within half a spread of which most of the training part lies.
    The squared error of the one on validation windows (on the training part it is about 1; elsewhere more,
    where the series has moved), and how often the other is wrong there, are computed over all windows.
    ``same_as_before`` is the squared error of the better guess that nothing changes.
    """

    input_size = output_size = 1
    loss_kind = "mse"
    loss_unit = "squared error, in spreads"
    error_unit = "wrong forecasts"
    solvable = False
    held_back = "the last fifth of the series, held back"

    def __init__(self, config: SeriesConfig, source: Table | str) -> None:
        """Of a table, or of its text. Raises SettingError (corpus, column, length): nothing to forecast."""
        try:
            parts = _standardised(source, config.column)
        except TableError as error:
            raise SettingError("corpus", config.corpus, error.problem, error.remedy) from None
        self.column, self.mean, self.spread, self._first_part, self._last_fifth = parts
        spare = len(self._last_fifth) - 1
        if spare < config.length:
            raise SettingError(
                "length",
                config.length,
                f"the last fifth of {self.column!r}, kept for validation, has only {spare} numbers",
                f"choose a length of {spare} or less, or a longer series",
            )
        self.length = config.length
        self._training = self._first_part.unfold(0, self.length + 1, 1)
        self._validation = self._last_fifth.unfold(0, self.length + 1, 1)

    @cached_property
    def chance(self) -> Chance:
        targets = self._last_fifth[1:].double()
        off = (targets - self._likeliest).abs()
        return Chance(
            loss=self._over_windows(targets.square()),
            error=self._over_windows((off > TOLERANCE).double()),
        )

    @cached_property
    def training_chance(self) -> float:
        return self._over_windows(self._first_part[1:].double().square())

    @cached_property
    def _likeliest(self) -> float:
        """The middle of the numbers that lie within the tolerance of one and the same, where most do."""
        targets = self._first_part[1:].double()
        ordered, order = targets.sort()
        weights = torch.cat(
            (torch.zeros(1, dtype=torch.float64), self._windows(len(targets))[order].cumsum(0))
        )
        ends = torch.searchsorted(ordered, ordered + 2 * TOLERANCE, right=True)
        first = int((weights[ends] - weights[:-1]).argmax())
        return float(ordered[first] + ordered[ends[first] - 1]) / 2

    @cached_property
    def same_as_before(self) -> float:
        """Mean squared error, on the validation windows, of forecasting the number just read."""
        return self._over_windows(self._last_fifth.double().diff().square())

    def _over_windows(self, of_targets: Tensor) -> float:
        """The mean over all windows of one part of what each of its targets has, (N,)."""
        windows = self._windows(len(of_targets))
        return float((of_targets * windows).sum() / windows.sum())

    def _windows(self, targets: int) -> Tensor:
        """In how many windows each of a part's targets is: those inside are in many.

        Counted rather than laid out: a long series has more numbers in its windows than memory.
        """
        place = torch.arange(targets)
        most = min(self.length, targets - self.length + 1)
        return torch.minimum(place + 1, targets - place).clamp(max=most).double()

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        return _drawn(self._training, batch_size, generator)

    def draw_validation(self, batch_size: int, generator: Generator) -> Batch:
        return _drawn(self._validation, batch_size, generator)

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        right = int(((outputs.float() - batch.targets).abs() <= TOLERANCE).sum())  # a NaN is not right
        return Score(wrong=batch.targets.numel() - right, total=batch.targets.numel())

    def is_solved(self, wrong: int, total: int) -> None:
        """How far a series can be foreseen is not known beforehand."""
        del wrong, total

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        targets, forecasts = batch.targets[index, :, 0].cpu(), outputs[index, :, 0].float().cpu()
        right = int(((forecasts - targets).abs() <= TOLERANCE).sum())
        last, told = (part[-1:] * self.spread + self.mean for part in (targets, forecasts))
        return SequenceSample(
            channels=[Channel(name=self.column, values=self._in_own_units(batch.inputs[index, :, 0].cpu()))],
            informative=[],
            target=f"{float(last):.6g}",
            prediction=f"{float(told):.6g}",
            correct=right == len(targets),
            detail=f"{right} of {len(targets)} forecasts right; the last one is shown",
        )

    def samples(self, network: Network[Any], batch: Batch, generator: Generator) -> list[ForecastSample]:
        """Windows beside their forecasts, and the second half as the network makes it up alone."""
        del generator
        window = torch.cat((batch.inputs[:, :1, 0], batch.targets[:, :, 0]), dim=1)  # (B, T + 1)
        standardised = forecast_samples(
            network, window, given=(self.length + 1) // 2, name=self.column, sequences=SHOWN_SEQUENCES
        )
        return [self._retold(sample) for sample in standardised]

    def _retold(self, sample: ForecastSample) -> ForecastSample:
        """In the units of the file, with the error of forecasting that nothing changes."""
        truth = torch.tensor(sample.truth)
        unchanged = float((truth[sample.given :] - truth[sample.given - 1 : -1]).square().mean())
        return sample.model_copy(
            update={
                "truth": self._in_own_units(truth),
                "one_ahead": [self._own(value) for value in sample.one_ahead],
                "alone": [self._own(value) for value in sample.alone],
                "detail": f"{sample.detail}, “same as before” {unchanged:.2g} (in spreads)",
            }
        )

    def _own(self, value: float | None) -> float | None:
        return None if value is None else value * self.spread + self.mean

    def _in_own_units(self, values: Tensor) -> list[float]:
        numbers: list[float] = (values.double() * self.spread + self.mean).tolist()
        return numbers


class _Parts(NamedTuple):
    """A column, cut in two and standardised."""

    name: str
    mean: float
    spread: float
    """Both of the training part, in the column's own units."""
    training: Tensor
    """(N,) float32"""
    last_fifth: Tensor
    """(M + 1,) float32. The first is the last of the training part: here it is only an input."""


@lru_cache(maxsize=1)
def _standardised(source: Table | str, column: str | None) -> _Parts:
    """Kept, and shared by the tasks of all lengths: a run with random lengths builds hundreds.

    Raises TableError, or SettingError (of ``column``) where there is nothing to forecast.
    """
    table = read_table(source) if isinstance(source, str) else source
    name, numbers = _chosen(table, column)
    values = torch.from_numpy(_filled(numbers))
    cut = int(len(values) * TRAINING_SHARE)
    training, validation = values[:cut], values[cut - 1 :]
    mean, spread = float(training.mean()), float(training.std(correction=0))
    if not (math.isfinite(spread) and spread > 0):
        raise SettingError(
            "column",
            name,
            "its first four fifths are the same number throughout, or too large to reckon with",
            "choose another column",
        )
    training, validation = (((part - mean) / spread).float() for part in (training, validation))
    if not bool(validation.square().isfinite().all()):
        raise SettingError(
            "column",
            name,
            "its last fifth holds numbers too large to reckon with, beside the first four",
            "look for mistakes in the file, or choose another column",
        )
    return _Parts(name, mean, spread, training, validation)


def _chosen(table: Table, name: str | None) -> tuple[str, Sequence[float]]:
    """The column of this name, or the first one."""
    wanted = next(iter(table.numbers)) if name is None else name
    if wanted in table.numbers:
        return wanted, table.numbers[wanted]
    why = table.others.get(wanted)
    raise SettingError(
        "column",
        wanted,
        f"this column cannot be forecast: {why}" if why else "the table has no such column",
        "choose one of " + ", ".join(map(repr, table.reading.columns[:8])),
    )


def _filled(column: Sequence[float]) -> npt.NDArray[np.float64]:
    """Missing numbers replaced by the one before; none at the ends."""
    values = np.asarray(column, dtype=np.float64)
    there = np.flatnonzero(~np.isnan(values))
    values = values[there[0] : there[-1] + 1]
    last = np.where(np.isnan(values), 0, np.arange(len(values)))  # where the number stands that holds here
    return values[np.maximum.accumulate(last)]


def _drawn(windows: Tensor, batch_size: int, generator: Generator) -> Batch:
    """From (N, T + 1) windows."""
    chosen = windows[torch.randint(len(windows), (batch_size,), generator=generator)].unsqueeze(2)
    return Batch(inputs=chosen[:, :-1].contiguous(), targets=chosen[:, 1:].contiguous(), first=0)


SPEC = TaskSpec(
    title="Series",
    summary="Forecast the next number of a column: of your own CSV file, or of sunspots.",
    group="Real data",
    description=(
        "The network reads a series of real numbers, one per timestep, and after each forecasts the next. "
        "Upload a CSV file and choose a column, or begin with 309 years of sunspots, whose eleven-year "
        "rhythm never repeats exactly. The last fifth of the series is kept for validation. Numbers are "
        "standardised: less the mean of the training part, divided by its spread (standard deviation). The "
        "chance line is the guess that every number is that mean; for the error, the one number that most of "
        "the training part lies near. “Same as before” is a stronger guess, and "
        "its error is told beside each sample: a network that does no better has only learnt to repeat. A "
        "forecast counts as wrong when it is off by more than half a spread. The samples also show the "
        "network going on alone from its own forecasts. A short series is soon learnt by heart: then the "
        "training loss falls and the validation loss rises. There is no rule for when a series is solved."
    ),
    source=(
        "Connor, Martin & Atlas 1994, Recurrent neural networks and robust time series prediction; the "
        "sunspot numbers: NOAA National Geophysical Data Center, yearly means 1700 to 2008, public domain"
    ),
    wrong_when=(
        "A forecast is wrong when it is off by more than half a spread (standard deviation) of the column."
    ),
    loss_reason="Squared error: the answer is a number, and being far off is worse than being a little off.",
    config=SeriesConfig,
    task=Series,
    defaults={"steps": 500, "learning_rate": 0.003},
    needs_corpus=True,
    needs_table=True,
)
