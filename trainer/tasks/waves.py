"""Waves: forecast the next value of a sum of sines, each time of other sines."""

from __future__ import annotations

import math
from typing import Any

import torch
from pydantic import Field
from torch import Generator, Tensor

from models.base import Network
from trainer.sampling import forecast_samples
from trainer.schema import Chance, Channel, ForecastSample, SequenceSample
from trainer.tasks.base import SHOWN_SEQUENCES, Batch, Score, Task, TaskConfig, TaskSpec
from trainer.tasks.symbols import under_one_percent

LISTENS = 10
"""Timesteps before the first scored one: three sines are determined by nine values, and by no fewer."""
SHORTEST_PERIOD, LONGEST_PERIOD = 8.0, 40.0
"""In timesteps."""
LARGEST_SQUARED_ERROR = 0.001
"""A sequence counts as wrong beyond this mean: a thousandth of the waves' variance."""


class WavesConfig(TaskConfig):
    """Settings of wave forecasting."""

    length: int = Field(default=60, ge=20, le=5000)
    """Values that the network reads, one per timestep."""
    waves: int = Field(default=2, title="Sines in each wave", ge=1, le=3)
    """How many sines are added up; each has a period and a phase of its own in every sequence."""


class Waves(Task):
    r"""At each timestep read one value of a wave and forecast the next.

    A wave is :math:`x_t = \sum_{i=1}^n A_i \sin(2 \pi t / P_i + \varphi_i)`, with phases uniform, periods
    uniform on a logarithmic scale from 8 to 40 timesteps, and A_i in the ratio 1 : 1/2 : 1/3, so that no
    two sines can cancel each other, and such that x has variance 1. Periods and phases are new in every
    sequence. So the network has to find out while it reads: n sines obey a linear recurrence over 2n values,
    with n unknown coefficients. Forecasts are scored after the first 10 values.

    The waves with fixed frequencies that are common with echo state networks and Evolino are learnt by heart;
    these are not.

    Chance: of all constants, 0 has the least squared error, the variance, which is 1 for every period since
    phases are uniform. The mean squared error of a constant over one sequence is hardly ever that small, so
    all sequences are wrong: of 200,000 with 20 values each, the shortest, the best constant has 15 right at
    most, and none of 30 values.
    """

    input_size = 1
    output_size = 1
    loss_kind = "mse"
    loss_unit = "squared error"
    error_unit = "wrong sequences"

    def __init__(self, config: WavesConfig) -> None:
        self.length, self.waves = config.length, config.waves

    @property
    def chance(self) -> Chance:
        return Chance(loss=1.0, error=1.0)

    @property
    def last_chance(self) -> float:
        return 1.0

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        shape = (batch_size, self.waves, 1)
        spread = math.log(LONGEST_PERIOD / SHORTEST_PERIOD)
        periods = SHORTEST_PERIOD * (spread * torch.rand(shape, generator=generator)).exp()
        phases = 2 * math.pi * torch.rand(shape, generator=generator)
        sizes = 1 / torch.arange(1, self.waves + 1).unsqueeze(1)  # (n, 1)
        sizes *= math.sqrt(2) / sizes.square().sum().sqrt()
        # In float64: the angles of a long wave are large, and float32 would make them noisy.
        t = torch.arange(self.length + 1, dtype=torch.float64)
        values = (sizes * (2 * math.pi * t / periods + phases).sin()).sum(dim=1).float()  # (B, T + 1)
        return Batch(
            inputs=values[:, :-1].unsqueeze(2).contiguous(),
            targets=values[:, LISTENS + 1 :].unsqueeze(2).contiguous(),
            first=LISTENS,
        )

    def score(self, outputs: Tensor, batch: Batch) -> Score:
        squared = (outputs.float() - batch.targets).square().mean(dim=(1, 2))
        right = int((squared <= LARGEST_SQUARED_ERROR).sum())  # a NaN is not right
        return Score(wrong=len(squared) - right, total=len(squared))

    def is_solved(self, wrong: int, total: int) -> bool:
        """Under 1% wrong, the rule of the adding task."""
        return under_one_percent(wrong, total)

    def render(self, batch: Batch, outputs: Tensor, index: int) -> SequenceSample:
        squared = float((outputs[index].float() - batch.targets[index]).square().mean())
        return SequenceSample(
            channels=[Channel(name="value", values=batch.inputs[index, :, 0].tolist())],
            informative=[],
            target=f"{float(batch.targets[index, -1]):.3f}",
            prediction=f"{float(outputs[index, -1]):.3f}",
            correct=squared <= LARGEST_SQUARED_ERROR,
            detail=f"squared error over the sequence: {squared:.2g}",
        )

    def samples(self, network: Network[Any], batch: Batch, generator: Generator) -> list[ForecastSample]:
        """Waves beside their forecasts; from the middle on, also the network going on by itself."""
        del generator
        values = torch.cat((batch.inputs[:, :, 0], batch.targets[:, -1]), dim=1)  # (B, T + 1)
        return forecast_samples(
            network, values, given=values.shape[1] // 2, name="value", sequences=SHOWN_SEQUENCES
        )


SPEC = TaskSpec(
    title="Waves",
    summary="Forecast the next value of a sum of sines, then go on alone.",
    group="Forecasting",
    description=(
        "Each timestep brings one value of a wave, the sum of a few sines with variance 1; the network must"
        " forecast the next value. Periods (8 to 40 timesteps) and phases are new in every sequence, so the"
        " network has to find them out while it reads, in its state, not in its weights. The first 10 "
        "forecasts are not scored. Who always says 0 has a squared error of 1 and all sequences wrong. A "
        "sequence is right when its mean squared error is at most 0.001. The samples also show the network "
        "going on alone from its own forecasts, where small errors add up. Solved means under 1% wrong."
    ),
    source=(
        "Schmidhuber, Wierstra, Gagliolo & Gomez 2007, Training recurrent networks by Evolino (multiple "
        "superimposed oscillations); here with new periods and phases in every sequence"
    ),
    wrong_when=(
        "A sequence is wrong when its forecasts, from the eleventh on, have a mean squared error above 0.001."
    ),
    loss_reason=(
        "Squared error: the answer is a number, and the squared error of a forecast is least at the value "
        "to be expected."
    ),
    config=WavesConfig,
    task=Waves,
    defaults={"steps": 2000, "learning_rate": 0.005},
)
