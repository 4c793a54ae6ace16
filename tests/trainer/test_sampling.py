"""A network that goes on by itself, against one that is led by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models import MODELS
from models.base import EmptyState, Network
from trainer.cli.show import sample_text
from trainer.sampling import continue_alone, forecast_samples
from trainer.schema import ForecastSample, Sample


class Doubler(Network[EmptyState]):
    """y_t = 2 x_t: its continuation can be written down."""

    input_size = output_size = 1

    def initial_state(self, batch_size: int) -> EmptyState:
        del batch_size
        return EmptyState()

    def forward(
        self, x: Tensor, state: EmptyState | None = None, first: int = 0
    ) -> tuple[Tensor, EmptyState]:
        del state
        return 2 * x[:, first:], EmptyState()

    def step(self, x_t: Tensor, state: EmptyState) -> tuple[Tensor, EmptyState]:
        return 2 * x_t, state

    def weight_roles(self) -> dict[str, Tensor]:
        return {}


@pytest.mark.parametrize("name", MODELS)
def test_a_continuation_is_what_reading_everything_so_far_again_gives(name: str) -> None:
    """For every network, by the slow way: the whole sequence is read anew for each further value."""
    spec = MODELS[name]
    network = spec.build(spec.config(), 2, 2, seed=1).double().eval()
    read = torch.randn(3, 6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alone = continue_alone(network, read, 5)
    longer = read
    for _ in range(5):
        with torch.no_grad():
            longer = torch.cat((longer, network(longer)[0][:, -1:]), dim=1)
    torch.testing.assert_close(alone, longer[:, 6:], rtol=1e-9, atol=1e-9)


def test_forecasts_stand_where_the_value_that_they_forecast_stands() -> None:
    values = torch.tensor([[1.0, 3.0, 5.0, 2.0, 4.0], [0.0, 1.0, 0.0, 1.0, 0.0]])
    sample, other = forecast_samples(Doubler(), values, given=2, name="spins", sequences=2)
    assert sample.name == "spins"
    assert sample.truth == [1.0, 3.0, 5.0, 2.0, 4.0]
    assert sample.one_ahead == [None, 2.0, 6.0, 10.0, 4.0]
    assert sample.alone == [None, None, 6.0, 12.0, 24.0]
    assert other.alone == [None, None, 2.0, 4.0, 8.0]
    # Both errors over the same last three values: (1, 64, 0) and (1, 100, 400).
    assert sample.detail == "squared error one timestep ahead 22, alone 1.7e+02"


def test_no_more_sequences_are_shown_than_there_are() -> None:
    assert len(forecast_samples(Doubler(), torch.zeros(2, 4), given=1, name="x", sequences=3)) == 2


def test_the_terminal_shows_a_forecasts_errors() -> None:
    (sample,) = forecast_samples(Doubler(), torch.ones(1, 3), given=1, name="x", sequences=1)
    shown = sample_text(Sample(step=7, index=0, content=sample))
    assert str(shown) == "Sample at step 7: squared error one timestep ahead 1, alone 5"


def test_a_network_that_runs_away_leaves_a_gap_and_no_number_that_json_cannot_write() -> None:
    values = torch.full((1, 200), 1e38)
    (sample,) = forecast_samples(Doubler(), values, given=100, name="x", sequences=1)
    assert sample.one_ahead[1] == pytest.approx(2e38)
    assert sample.alone[-1] is None
    stored = Sample(step=1, index=0, content=sample).model_dump_json()
    again = Sample.model_validate_json(stored).content
    assert isinstance(again, ForecastSample)
    assert again == sample
    assert all(value is None or math.isfinite(value) for value in again.alone)
