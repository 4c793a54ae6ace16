"""models/scan.py beside a plain loop, finite differences and autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.scan import scan

B, H = 2, 3
LENGTHS = [1, 2, 63, 64, 65, 81, 100, 143]
"""On both sides of where chunks begin to be cut; 81 and 100 fill theirs, 65 and 143 leave timesteps over."""
KINDS = [torch.float64, torch.complex128]


def randn(*shape: int, seed: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def problem(length: int, dtype: torch.dtype, constant: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Some a of modulus about 1, b, and a state before."""
    a = randn(*((H,) if constant else (length, B, H)), seed=1, dtype=dtype)
    a = a / a.abs() * (0.9 + 0.1 * a.abs().clamp(max=1))
    return a, randn(length, B, H, seed=2, dtype=dtype), randn(B, H, seed=3, dtype=dtype)


def loop(a: Tensor, b: Tensor, before: Tensor) -> Tensor:
    """The definition, one timestep after the other."""
    states = []
    for t in range(b.shape[0]):
        before = (a if a.dim() == 1 else a[t]) * before + b[t]
        states.append(before)
    return torch.stack(states)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("length", LENGTHS)
def test_values_and_gradients_are_those_of_a_loop(length: int, dtype: torch.dtype, constant: bool) -> None:
    leaves = [tensor.requires_grad_() for tensor in problem(length, dtype, constant)]
    weights = randn(length, B, H, seed=4, dtype=dtype)

    def gradients(states: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad((weights * states).abs().square().sum(), leaves)

    ours, reference = scan(*leaves), loop(*leaves)
    torch.testing.assert_close(ours, reference, rtol=1e-11, atol=1e-11)
    for gradient, expected in zip(gradients(ours), gradients(reference), strict=True):
        assert gradient.shape == expected.shape
        torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("length", [1, 5, 66])
def test_gradients_equal_finite_differences(length: int, dtype: torch.dtype, constant: bool) -> None:
    leaves = [tensor.requires_grad_() for tensor in problem(length, dtype, constant)]
    assert torch.autograd.gradcheck(scan, leaves, fast_mode=length > 5)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("length", [7, 90])
def test_the_gradient_of_b_is_the_total_derivative_by_h(length: int, dtype: torch.dtype) -> None:
    """What autograd gives for each state of a loop, everything that follows from it included."""
    a, b, before = problem(length, dtype, constant=False)
    b.requires_grad_()
    weights = randn(length, B, H, seed=5, dtype=dtype)
    (ours,) = torch.autograd.grad((weights * scan(a, b, before)).abs().square().sum(), b)
    states = [before]
    for t in range(length):
        states.append(a[t] * states[-1] + b[t])
    seen = torch.stack(states[1:])
    totals = torch.autograd.grad((weights * seen).abs().square().sum(), states[1:])
    torch.testing.assert_close(ours, torch.stack(totals), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [7, 90])
def test_tensors_that_do_not_lie_in_one_piece_are_read_right(length: int) -> None:
    """Batch-first inputs seen time-first, one b for all sequences, and a gradient that is one number."""
    a, b, before = problem(length, torch.float64, constant=False)
    a = a.transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()
    b = b[:, :1].expand(-1, B, -1)
    states = scan(a, b, before)
    torch.testing.assert_close(states, loop(a, b, before), rtol=1e-11, atol=1e-11)
    (ours,) = torch.autograd.grad(states.sum(), a)
    (expected,) = torch.autograd.grad(loop(a, b, before).sum(), a)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)


def test_inputs_stay_as_they_were() -> None:
    tensors = problem(100, torch.float64, constant=False)
    copies = [tensor.clone() for tensor in tensors]
    b = tensors[1].requires_grad_()
    scan(*tensors).sum().backward()
    assert b.grad is not None
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(tensors, copies, strict=True))


def test_a_factor_of_zero_forgets_everything_before() -> None:
    """Products of the factors are never divided by, so that zeros among them do no harm."""
    a, b, before = problem(100, torch.float64, constant=False)
    a[50] = 0
    assert torch.equal(scan(a, b, before)[50], b[50])
    assert torch.equal(scan(a, b, 7 * before)[50:], scan(a, b, before)[50:])


def test_a_second_derivative_is_refused() -> None:
    _, b, before = problem(5, torch.float64, constant=False)
    a = torch.full((H,), 0.5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(scan(a, b, before).square().sum(), a, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
