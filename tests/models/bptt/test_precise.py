"""Norms over all of float64's range, and what is made of them."""

from __future__ import annotations

import math

import pytest
import torch

from models import MODELS
from models.bptt.credit import credit
from models.bptt.lags import by_lag
from models.bptt.precise import norms
from models.bptt.state_gradients import norms_over_time
from models.bptt.triangle import triangle

SIZES = [1.0, 1e-30, 1e-141, 1e-155, 1e-170, 1e-300, 1e150, 1e160, 1e300]


@pytest.mark.parametrize("size", SIZES)
def test_a_norm_is_that_of_its_row_whatever_the_size(size: float) -> None:
    rows = torch.tensor([[[3.0, 4.0]], [[-8.0, 6.0]], [[0.0, 0.0]]], dtype=torch.float64)
    assert norms(rows * size).tolist() == pytest.approx([5 * size, 10 * size, 0], rel=1e-14)


def test_rows_of_all_sizes_side_by_side_and_what_is_not_finite_stays_so() -> None:
    sizes = torch.tensor([*SIZES, math.inf, math.nan], dtype=torch.float64)
    found = norms(sizes[:, None] * torch.tensor([3.0, 4.0], dtype=torch.float64))
    assert found[:-2].tolist() == pytest.approx([5 * size for size in SIZES], rel=1e-14)
    assert found[-2] == math.inf
    assert found[-1].isnan()


def test_single_precision_has_no_square_that_is_lost() -> None:
    assert norms(torch.tensor([[3e-38, 4e-38]])).tolist() == pytest.approx([5e-38], rel=1e-6)


def test_a_gradient_is_measured_as_far_back_as_float64_goes() -> None:
    """A linear unit that keeps a hundredth each timestep: 1e-2 to the power of the timesteps back."""
    spec = MODELS["elman"]
    config = spec.config.model_validate({"hidden_size": 1, "nonlinearity": "linear"})
    network = spec.build(config, 1, 1, seed=0).double()
    with torch.no_grad():
        for role, value in (("Wx/0", 1.0), ("Ws/0", 1e-2), ("Wy", 1.0)):
            network.weight_roles()[role].fill_(value)
    length = 150
    x = torch.ones(1, length, 1, dtype=torch.float64)

    def last(outputs: torch.Tensor) -> torch.Tensor:
        return outputs[:, :, 0].sum(0) * (torch.arange(length) == length - 1)

    expected = [100.0 ** -(length - 1 - t) for t in range(length)]
    found = triangle(network, x, None, last)
    assert found.states["h/0"][-1].tolist() == pytest.approx(expected, rel=1e-9)
    assert found.weights["Wx/0"][-1].tolist() == pytest.approx(expected, rel=1e-9)
    assert [lag.norm["Wx/0"] for lag in by_lag(network, x, None, last)] == pytest.approx(expected[::-1])
    gradients = network.state_gradients(x, None, lambda outputs: outputs[:, -1].sum())
    assert norms_over_time(gradients)["h/0"].tolist() == pytest.approx(expected, rel=1e-9)
    assert credit(gradients, torch.tensor([[0]]))["h/0"].informative.tolist() == pytest.approx(expected[:1])
