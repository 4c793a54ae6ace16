"""The Jacobian of one timestep, ∂s_t/∂s_{t-1}, and of many in a row: what makes gradients vanish or explode.

S is the length of the whole state of one sequence: all its fields and layers in a row.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.base import Network, State, from_named_tensors, named_history
from models.bptt.precise import laboratory, one_step

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
        number j of the old one. A network without memory gives S = 0. There are T·B·S² numbers: ask for few
        sequences.
    """
    own, x, states, _ = laboratory(network, x, state)
    batch, length, _ = x.shape
    past = named_history(states[:-1])
    if not past:
        return x.new_zeros(length, batch, 0, 0)
    # All timesteps form one batch: a step treats sequences apart.
    joined = {name: torch.cat(tensors) for name, tensors in past.items()}
    with torch.enable_grad():
        step = one_step(own, x.transpose(0, 1).flatten(0, 1), from_named_tensors(states[0], joined))
        numbers = torch.cat(list(step.after.values()), dim=1)  # (T·B, S)
    before, rows = list(step.before.values()), []
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
    for jacobian in jacobians.flip(0):
        product = product @ jacobian
        largest = product.abs().amax((1, 2)) if size else scale[:, 0]
        safe = torch.where(largest > 0, largest, 1)
        product, scale = product / safe[:, None, None], scale + safe.log()[:, None]
        values: Tensor = torch.linalg.svdvals(product)
        noise = size * torch.finfo(values.dtype).eps * values[:, :1]
        found.append(torch.where(values > noise, values, 0).log() + scale)
    return torch.stack(found) if found else product.new_zeros(length, batch, size)


def lyapunov_exponents(jacobians: Tensor, count: int = 1, settle: int = 0) -> Tensor:
    """The largest Lyapunov exponents along a sequence, by the QR method (Benettin et al. 1980).

    The mean rate, per timestep, at which a small change of the state grows (above 0: chaos, gradients
    explode) or fades (below 0: gradients vanish) in the direction that grows fastest, the next fastest, and
    so on. Of these timesteps alone, not of infinitely many.

    Args:
        jacobians: (T, B, S, S) of all timesteps in order.
        count: how many exponents, up to S.
        settle: at first the directions are random, and turn to those that grow fastest; so many timesteps,
            0 to T - 1, are left to that and not counted.

    Returns:
        (B, count) in nats per timestep; -inf for a direction that is wiped out.
    """
    length, batch, size, _ = jacobians.shape
    if not 0 <= settle < length:
        raise ValueError(f"settle is {settle}; there are {length} timesteps: give 0 to {length - 1}")
    if not 0 < count <= size:
        raise ValueError(f"count is {count}; this state has {size} numbers: give 1 to {size}")
    # Any directions will do, but axes might be left alone by a sparse Jacobian; fewer are the first of more.
    start = torch.randn(size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions = torch.linalg.qr(start[:, :count].to(jacobians)).Q.expand(batch, size, count)
    total = jacobians.new_zeros(batch, count)
    for t, jacobian in enumerate(jacobians):
        directions, stretch = torch.linalg.qr(jacobian @ directions)
        if t >= settle:
            total = total + stretch.diagonal(dim1=1, dim2=2).abs().log()
    return total / (length - settle)


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
