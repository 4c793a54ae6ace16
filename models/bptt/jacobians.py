"""The Jacobian of one timestep, ∂s_t/∂s_{t-1}, and of many in a row: what makes gradients vanish or explode.

S is the length of the whole state of one sequence: all its fields and layers in a row, but for those that are
mere units of others.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.base import Network, State, from_named_tensors, named_history, named_tensors
from models.bptt.lyapunov import is_meaningful
from models.bptt.precise import laboratory, leaf

AT_ONCE = 2**22
"""Numbers of gradients that are under way at once: 32 MB."""


def step_jacobians(network: Network[Any], x: Tensor, state: State | None) -> Tensor:
    """∂s_t/∂s_{t-1} for each sequence.

    Args:
        network: any network of the contract; a float64 copy does the work.
        x: (B, T, D) inputs.
        state: the state before the first timestep; ``None`` is the initial one.

    Returns:
        (T, B, S, S) float64: row i, column j is the change of number i of the new state with
        number j of the old one, in units that stay as they are. A network without memory gives S = 0.
        There are T·B·S² numbers: ask for few sequences.
    """
    own, x, states, _ = laboratory(network, x, state)
    batch, length, _ = x.shape
    past = named_history(states[:-1])
    if not past:
        return x.new_zeros(length, batch, 0, 0)
    # All timesteps form one batch: a step treats sequences apart.
    joined = {name: torch.cat(tensors) for name, tensors in past.items()}
    leaves = {name: leaf(tensor) for name, tensor in joined.items() if is_meaningful(own, name)}
    with torch.enable_grad():
        state = from_named_tensors(states[0], {**joined, **leaves})
        _, made = own.step(x.transpose(0, 1).flatten(0, 1), state)
        after = dict(named_tensors(own.in_fixed_units(made)))
        numbers = torch.cat([after[name] for name in leaves], dim=1)  # (T·B, S)
    before, rows = list(leaves.values()), []
    size = numbers.shape[1]
    for some in torch.eye(size).to(numbers).chunk(1 + size * numbers.numel() // AT_ONCE):  # (R, S)
        found = torch.autograd.grad(
            numbers,
            before,
            some[:, None].expand(-1, *numbers.shape),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
            is_grads_batched=True,
        )
        rows.append(torch.cat(found, dim=2))  # (R, T·B, S)
    return torch.cat(rows).transpose(0, 1).reshape(length, batch, size, size)


def log_singular_values(matrices: Tensor, multiplied: int = 1) -> Tensor:
    """Singular values of (..., S, S) matrices.

    Args:
        matrices: each the product of so many, which rounding has met as often.
        multiplied: how many.

    Returns:
        (..., S) natural logarithms, the largest first. Values too small beside the largest one to be told
        from rounding are -inf.
    """
    values: Tensor = torch.linalg.svdvals(matrices)
    noise = multiplied * matrices.shape[-1] * torch.finfo(values.dtype).eps * values[..., :1]
    return torch.where(values > noise, values, 0).log()


def product_log_singular_values(jacobians: Tensor) -> Tensor:
    """Singular values of ∂s_t/∂s_{t-lag}, t being the last timestep, for every lag.

    Args:
        jacobians: (T, B, S, S) of all timesteps in order.

    Returns:
        (T, B, S) natural logarithms, index 0 for lag 1, the largest first. Values too small beside the
        largest one to be told from rounding are -inf.
    """
    length, batch, size, _ = jacobians.shape
    product = torch.eye(size).to(jacobians).expand(batch, size, size)
    scale = product.new_zeros(batch, 1)  # the product is e^scale times what is kept, which stays near 1
    found = []
    for lag, jacobian in enumerate(jacobians.flip(0), start=1):
        product = product @ jacobian
        largest = product.abs().amax((1, 2)) if size else scale[:, 0]
        safe = torch.where(largest > 0, largest, 1)
        product, scale = product / safe[:, None, None], scale + safe.log()[:, None]
        found.append(log_singular_values(product, multiplied=lag) + scale)
    return torch.stack(found) if found else product.new_zeros(length, batch, size)


class Spectrum(NamedTuple):
    """Of one square matrix W (H, H)."""

    eigenvalues: Tensor
    """(H,) complex128; NaN where a weight is not finite."""
    norm: float
    """λ₁, the largest singular value."""

    @property
    def radius(self) -> float:
        """The spectral radius: the largest size of an eigenvalue."""
        return float(self.eigenvalues.abs().max())


def eigenvalues(matrix: Tensor) -> Tensor:
    """Of a square matrix (H, H), real or complex: (H,) complex128; NaN where a weight is not finite."""
    weight = _doubled(matrix)
    if not bool(weight.isfinite().all()):
        return torch.full_like(weight[0], math.nan, dtype=torch.complex128)
    found: Tensor = torch.linalg.eigvals(weight)
    return found


def spectrum(matrix: Tensor) -> Spectrum:
    """Eigenvalues and norm of a square matrix (H, H), real or complex, in double precision."""
    weight = _doubled(matrix)
    is_finite = bool(weight.isfinite().all())
    norm = float(torch.linalg.matrix_norm(weight, ord=2)) if is_finite else math.nan
    return Spectrum(eigenvalues(weight), norm)


def _doubled(matrix: Tensor) -> Tensor:
    weight = matrix.detach().cpu()
    return weight.to(torch.complex128 if weight.is_complex() else torch.float64)


def recurrent_spectra(network: Network[Any]) -> dict[str, Spectrum]:
    """The spectrum of each of the network's recurrent matrices, by their names (``"Ws/0"``, ``"Ws/0/f"``)."""
    return {name: spectrum(matrix) for name, matrix in network.recurrent_matrices().items()}


SLOPE_BOUNDS = {"tanh": 1.0, "sigmoid": 0.25, "relu": 1.0, "linear": 1.0}
"""γ, the steepest slope of each activation function."""


class Bound(NamedTuple):
    """Pascanu, Mikolov & Bengio 2013, section 2.1, for a plain recurrent layer."""

    norm: float
    """λ₁, the largest singular value of Ws."""
    bound: float
    """1/γ, with γ the steepest slope of the activation function."""
    must_vanish: bool
    """λ₁ < 1/γ: every gradient fades, at least by λ₁·γ a step."""
    may_explode: bool
    """λ₁ > 1/γ: needed for gradients to explode, but not enough."""


def pascanu_bound(Ws: Tensor, slope: float) -> Bound:
    """Compare the norm of Ws (H, H) with 1/γ.

    Args:
        Ws: state to state, of a layer h_t = φ(Wx x_t + Ws h_{t-1} + b): the statement is about no other.
        slope: γ, the steepest slope of φ; see ``SLOPE_BOUNDS``.
    """
    if Ws.dim() != 2 or Ws.shape[0] != Ws.shape[1]:
        raise ValueError(
            f"Ws has shape {tuple(Ws.shape)}; give one square matrix, a layer without gates has one"
        )
    norm, bound = float(torch.linalg.matrix_norm(Ws.detach().double(), ord=2)), 1 / slope
    return Bound(norm, bound, norm < bound, norm > bound)
