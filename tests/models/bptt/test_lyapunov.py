"""Lyapunov exponents beside networks whose exponents are known, and directions that are wiped out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models import MODELS
from models.base import Network, named_tensors
from models.bptt.jacobians import step_jacobians
from models.bptt.lyapunov import LongRun, is_meaningful, long_run_exponents, lyapunov_exponents


def build(name: str, outputs: int = 1, **settings: Any) -> Network[Any]:
    spec = MODELS[name]
    return spec.build(spec.config.model_validate(settings), 2, outputs, seed=4).double()


def doubles(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def inputs(timesteps: int, starts: int = 3) -> Tensor:
    source = torch.Generator().manual_seed(5)
    return torch.rand(starts, timesteps, 2, generator=source, dtype=torch.float64)


def linear_elman(Ws: Tensor) -> Network[Any]:
    network = build("elman", hidden_size=Ws.shape[0], nonlinearity="linear")
    with torch.no_grad():
        network.weight_roles()["Ws/0"].copy_(Ws)
    return network


def followed(network: Network[Any], timesteps: int, count: int = 8, skip: int = 0) -> LongRun:
    found = long_run_exponents(network, inputs(timesteps), count, skip)
    assert found is not None
    return found


BASIS = torch.tensor([[1.0, 0.5, 0.2], [0.0, 1.0, -0.3], [0.4, 0.0, 1.0]], dtype=torch.float64)


# --- Of a few timesteps ------------------------------------------------------------------------------


def test_exponents_of_a_linear_network_are_the_logarithms_of_its_eigenvalues() -> None:
    Ws = BASIS @ torch.diag(doubles([0.5, 1.25, 1e-4])) @ BASIS.inverse()
    jacobians = step_jacobians(linear_elman(Ws), inputs(400), None)
    expected = doubles([math.log(1.25), math.log(0.5), math.log(1e-4)]).expand(3, -1)
    found = lyapunov_exponents(jacobians, 3, settle=100)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_directions_that_are_still_to_be_found_need_not_count() -> None:
    """diag(1, 1/2, 1/4): from a random start, the time until the first is found is not its own rate."""
    jacobians = torch.diag(doubles([1.0, 0.5, 0.25])).expand(40, 1, 3, 3)
    expected = doubles([[0.0, math.log(0.5), math.log(0.25)]])
    torch.testing.assert_close(lyapunov_exponents(jacobians, 3, settle=20), expected, rtol=0, atol=1e-6)
    assert abs(float(lyapunov_exponents(jacobians, 1)[0, 0])) > 1e-3
    with pytest.raises(ValueError, match="settle is 40; there are 40 timesteps: give 0 to 39"):
        lyapunov_exponents(jacobians, 1, settle=40)


def test_all_exponents_together_are_the_mean_log_volume(case: Any) -> None:
    """Their sum is the mean of log |det J|, wherever no direction is wiped out."""
    jacobians = step_jacobians(case.network, case.x, case.state)
    size = jacobians.shape[2]
    if not size or float(torch.linalg.svdvals(jacobians).min()) < 1e-8:
        return
    volume = torch.linalg.slogdet(jacobians).logabsdet.mean(0)
    found = lyapunov_exponents(jacobians, size)
    torch.testing.assert_close(found.sum(1), volume, rtol=1e-6, atol=1e-9)


def test_exponents_are_sorted_also_where_the_window_is_too_short_for_the_directions() -> None:
    jacobians = torch.randn(3, 40, 5, 5, generator=torch.Generator().manual_seed(0)).double()
    found = lyapunov_exponents(jacobians, 5)
    assert bool((found.diff(dim=1) <= 0).all())


@pytest.mark.parametrize("count", [0, 3])
def test_a_number_of_exponents_that_the_state_has_not_is_named(count: int) -> None:
    with pytest.raises(ValueError, match=f"count is {count}; this state has 2 numbers: give 1 to 2"):
        lyapunov_exponents(torch.eye(2).expand(4, 1, 2, 2), count)


@pytest.mark.parametrize("size", [1e-200, 1e-3, 1.0, 1e200])
def test_a_product_that_loses_rank_though_no_factor_is_poor_leaves_as_many_directions(size: float) -> None:
    """Two projections in turn, of rank 3 each; together they leave the one axis that they share."""
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1)).double()).Q
    both = [turn @ torch.diag(doubles(kept)) @ turn.mT for kept in ([1, 1, 1, 0, 0], [0, 0, 1, 1, 1])]
    jacobians = size * torch.stack(both * 10)[:, None]
    found = lyapunov_exponents(jacobians, 5)[0]
    # The random direction's own share of the axis is lost once, not per timestep.
    assert float(lyapunov_exponents(jacobians, 5, settle=2)[0, 0]) == pytest.approx(math.log(size), abs=1e-9)
    assert found.isneginf().tolist() == [False, True, True, True, True]


@pytest.mark.parametrize("exponent", [-3.0, -12.0])
def test_a_direction_that_fades_quickly_is_not_yet_wiped_out(exponent: float) -> None:
    """Down to a few times the smallest difference from 1 that float64 knows, at each step."""
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(2)).double()).Q
    rates = doubles([0.0, exponent, 2 * exponent, 2.5 * exponent])
    jacobian = turn @ torch.diag(rates.exp()) @ turn.mT
    found = lyapunov_exponents(jacobian.expand(60, 1, 4, 4), 4, settle=20)[0]
    torch.testing.assert_close(found, rates, rtol=1e-2, atol=1e-3)


# --- In the long run ---------------------------------------------------------------------------------


def test_in_the_long_run_a_linear_network_has_the_logarithms_of_its_eigenvalues() -> None:
    rates = doubles([-0.05, -0.3, -0.9])
    Ws = BASIS @ torch.diag(rates.exp()) @ BASIS.inverse()
    found = followed(linear_elman(Ws), 700)
    assert found.exponents.shape == (3, 3)
    torch.testing.assert_close(found.exponents, rates.expand(3, -1), rtol=0, atol=1e-6)
    assert found.has_settled


def test_an_exploding_linear_network_is_followed_as_far_as_numbers_go() -> None:
    Ws = BASIS @ torch.diag(doubles([1e3, 0.5, 0.1])) @ BASIS.inverse()
    found = followed(linear_elman(Ws), 400)
    assert found.warm_up + found.timesteps < 110  # 1e308
    torch.testing.assert_close(found.exponents.mean(0), doubles([1e3, 0.5, 0.1]).log(), rtol=1e-3, atol=1e-3)
    assert not found.has_settled
    assert long_run_exponents(linear_elman(1e200 * Ws), inputs(50), 3) is None


def test_a_linear_recurrent_unit_has_each_eigenvalue_twice_and_none_above_0() -> None:
    """λ of both layers, each for a real and an imaginary part."""
    network = build("lru", hidden_size=3, layers=2, ring_min=0.3, ring_max=0.9)
    sizes = torch.cat([matrix.diagonal().abs() for matrix in network.recurrent_matrices().values()]).detach()
    expected = sizes.log().double().repeat_interleave(2).sort(descending=True).values
    found = followed(network, 900, count=12)
    torch.testing.assert_close(found.exponents.mean(0), expected, rtol=0.03, atol=0.005)
    assert bool((found.exponents < 0).all())


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_a_jordan_network_has_no_more_exponents_than_outputs(outputs: int) -> None:
    """s and ŷ are 2·O numbers, but ŷ is made of s alone: rank O."""
    found = followed(build("jordan", outputs, hidden_size=7), 350)
    expected = [True] * outputs + [False] * outputs
    assert found.exponents.isfinite().tolist() == [expected] * 3
    assert bool((found.exponents[:, outputs:] == -math.inf).all())


@pytest.mark.parametrize(("delays", "hidden_delays"), [(0, 0), (2, 4), (150, 30)])
def test_a_time_delay_network_forgets_everything(delays: int, hidden_delays: int) -> None:
    network = build("tdnn", hidden_size=3, layers=2, delays=delays, hidden_delays=hidden_delays)
    found = followed(network, 450)
    assert bool((found.exponents == -math.inf).all())
    assert found.has_settled


def test_dead_units_wipe_out_as_many_directions() -> None:
    """ReLU units whose bias keeps them at 0 hand nothing on."""
    network = build("elman", hidden_size=6, nonlinearity="relu")
    with torch.no_grad():
        network.get_parameter("rnn.bias_hh_l0").copy_(torch.tensor([5.0, 5, 5, 5, -50, -50]))
        network.get_parameter("rnn.weight_hh_l0").mul_(0.5)
    found = followed(network, 350)
    Ws = network.weight_roles()["Ws/0"].detach()[:4, :4]  # the others are always on, so all is linear
    expected = torch.linalg.eigvals(Ws).abs().log().sort(descending=True).values
    torch.testing.assert_close(found.exponents.mean(0)[:4], expected, rtol=0.02, atol=0.01)
    assert bool((found.exponents[:, 4:] == -math.inf).all())


def test_a_nonlinear_network_is_measured_as_by_multiplying_out_its_jacobians() -> None:
    """A GRU, beside the QR method forward in time over the same stream."""
    network = build("gru", hidden_size=6)
    found = followed(network, 700, count=3, skip=50)
    jacobians = step_jacobians(network, inputs(700), None)
    forward = lyapunov_exponents(jacobians, 3, settle=200)
    torch.testing.assert_close(found.exponents.mean(0), forward.mean(0), rtol=0.03, atol=0.003)


def test_what_is_measured_of_an_slstm_does_not_hang_on_the_unit_of_its_memory() -> None:
    network = build("slstm", hidden_size=3)
    names = [name for name, _ in named_tensors(network.initial_state(1)) if is_meaningful(network, name)]
    assert names == ["h/0", "c/0", "n/0"]
    jacobians = step_jacobians(network, inputs(6), None)
    assert jacobians.shape[2:] == (9, 9)


def test_a_window_too_short_or_starts_that_disagree_have_not_settled() -> None:
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]]).double()
    assert not followed(linear_elman(0.9 * turn), 100).has_settled
    assert followed(linear_elman(0.9 * turn), 350).has_settled
    slow = torch.diag(doubles([0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92]))
    assert not followed(linear_elman(slow), 330).has_settled
