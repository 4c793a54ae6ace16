"""Truncated gradients beside sums of pairs (loss t, step k) that were taken apart by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models.bptt.lags import by_lag
from models.bptt.truncation import ALL, Match, compare, joined, truncated_gradient, truncation_meter

Window = tuple[int, int, int]

CUTS: dict[str, list[Window]] = {
    "k1 = k2 = 2": [(0, 0, 2), (2, 2, 4), (4, 4, 6)],
    "k1 = 1, k2 = 3": [(max(0, t - 2), t, t + 1) for t in range(6)],
    "k1 = 2, k2 = 3": [(0, 0, 2), (1, 2, 4), (3, 4, 6)],
    "k1 = 4, which leaves a rest": [(0, 0, 4), (4, 4, 6)],
}


def scalar(case: Any) -> Any:
    return lambda outputs: case.losses(outputs).sum()


def summed_pairs(case: Any, reached: Any) -> dict[str, Tensor]:
    """The contributions of all pairs that ``reached(t, k)`` allows, by role."""
    sums = {role: torch.zeros_like(weight) for role, weight in case.network.weight_roles().items()}
    for (t, k, role), part in case.pairs().weights.items():
        if reached(t, k):
            sums[role] = sums[role] + part
    return sums


def cosine_and_ratio(one: Tensor, other: Tensor) -> tuple[float, float]:
    angle = torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0, eps=0)
    return float(angle), float(one.norm() / other.norm())


def assert_matches(found: dict[str, Match], ours: dict[str, Tensor], full: dict[str, Tensor]) -> None:
    assert list(found) == [*full, ALL]
    vectors = {role: (ours[role], full[role]) for role in full}
    vectors[ALL] = tuple(torch.cat([g.flatten() for g in each.values()]) for each in (ours, full))  # type: ignore[assignment]
    for role, pair in vectors.items():
        cosine, ratio = cosine_and_ratio(*pair)
        assert found[role].norm_ratio == pytest.approx(ratio, abs=1e-9), role
        if ratio:
            assert found[role].cosine == pytest.approx(cosine, abs=1e-9), role


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_window_hears_exactly_the_steps_from_its_start_on(case: Any, cut: list[Window]) -> None:
    start_of = {t: start for start, begin, end in cut for t in range(begin, end)}
    expected = summed_pairs(case, lambda t, k: start_of[t] <= k <= t)
    found = truncated_gradient(case.network, case.x, case.state, scalar(case), cut)
    for role, gradient in expected.items():
        torch.testing.assert_close(found[role], gradient, rtol=1e-9, atol=1e-13)
    full = summed_pairs(case, lambda t, k: k <= t)
    (meter,) = truncation_meter(case.network, case.x, case.state, scalar(case), [cut])
    assert_matches(meter, expected, full)


@pytest.mark.parametrize("at_once", [1, 300])
def test_windows_give_the_same_gradient_however_many_are_read_at_once(
    case: Any, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = CUTS["k1 = 1, k2 = 3"]
    expected = truncated_gradient(case.network, case.x, case.state, scalar(case), cut)
    monkeypatch.setattr(f"{truncated_gradient.__module__}._AT_ONCE", at_once)
    found = truncated_gradient(case.network, case.x, case.state, scalar(case), cut)
    for role, gradient in expected.items():
        torch.testing.assert_close(found[role], gradient, rtol=1e-9, atol=1e-13)


def test_windows_without_a_loss_are_left_out_and_neighbours_with_one_start_are_read_once() -> None:
    heard = [False, True, True, False, True, True]
    assert joined([(0, 0, 2), (0, 2, 4), (2, 4, 6)], heard) == [(0, 0, 4), (2, 4, 6)]
    assert joined([(0, 0, 1), (0, 1, 3), (0, 3, 4), (0, 4, 6)], heard) == [(0, 1, 6)]
    assert joined([(0, 0, 2), (0, 4, 6)], heard) == [(0, 0, 2), (0, 4, 6)]  # a loss between is nobody's
    assert joined([(0, 3, 4)], heard) == []


def test_windows_that_reach_back_to_the_beginning_give_the_full_gradient(case: Any) -> None:
    cut = [(0, t, t + 1) for t in range(6)]
    (meter,) = truncation_meter(case.network, case.x, None, scalar(case), [cut])
    for match in meter.values():
        assert match == pytest.approx((1.0, 1.0), abs=1e-9)


def test_the_meter_leaves_gradients_and_the_given_state_alone(case: Any) -> None:
    _, state = case.network(case.x, case.state)  # with a graph, as in the middle of training
    with torch.no_grad():
        truncation_meter(case.network, case.x, state, scalar(case), CUTS.values())
    assert all(parameter.grad is None for parameter in case.network.parameters())


@pytest.mark.parametrize("window", [(-1, 0, 2), (2, 1, 3), (0, 2, 2), (0, 0, 7)])
def test_a_window_that_does_not_fit_is_named(case: Any, window: Window) -> None:
    with pytest.raises(ValueError, match=r"windows: \(.*\) does not fit 6 timesteps; give"):
        truncated_gradient(case.network, case.x, None, scalar(case), [window])


def test_no_gradient_has_no_direction() -> None:
    some, none = {"W": torch.ones(2, 2)}, {"W": torch.zeros(2, 2)}
    assert compare(none, some)["W"].norm_ratio == 0
    assert math.isnan(compare(none, some)["W"].cosine)
    assert math.isnan(compare(some, none)["W"].norm_ratio)


def test_directions_of_gradients_too_small_to_square_are_compared() -> None:
    one, other = torch.tensor([[3e-30, 4e-30]]), torch.tensor([[5e-30, 0.0]])
    assert compare({"W": one}, {"W": other})["W"] == pytest.approx((0.6, 1.0))


def test_each_lag_is_the_sum_of_its_pairs_and_lags_add_up_to_truncation(case: Any) -> None:
    """Lags 0 to l together are what k1 = 1, k2 = l + 1 gives."""
    full = summed_pairs(case, lambda t, k: k <= t)
    found = by_lag(case.network, case.x, case.state, case.losses)
    assert len(found) == 6
    for lag, entry in enumerate(found):
        alone = summed_pairs(case, lambda t, k, lag=lag: t - k == lag)
        for role, gradient in alone.items():
            assert entry.norm[role] == pytest.approx(float(gradient.norm()), rel=1e-7, abs=1e-13), role
        so_far = summed_pairs(case, lambda t, k, lag=lag: 0 <= t - k <= lag)
        assert_matches(entry.so_far, so_far, full)
        cut = [(max(0, t - lag), t, t + 1) for t in range(6)]
        (meter,) = truncation_meter(case.network, case.x, case.state, scalar(case), [cut])
        for role, match in meter.items():
            assert entry.so_far[role] == pytest.approx(match, abs=1e-7, nan_ok=True), role


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e-40, 1e160, 1e300])
def test_gradients_of_any_size_are_compared(size: float) -> None:
    one, other = torch.tensor([3.0, 4.0]).double() * size, torch.tensor([5.0, 0.0]).double() * size
    found = compare({"W": one}, {"W": other})
    assert found["W"] == found["all"] == pytest.approx((0.6, 1.0))
    found = compare({"W": one.float()}, {"W": other.float()}) if 1e-44 < size < 1e38 else found
    assert found["W"] == pytest.approx((0.6, 1.0), rel=1e-4)
