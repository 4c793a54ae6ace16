"""The Jacobian of one timestep, ∂s_t/∂s_{t-1}, and of many in a row: what makes gradients vanish or explode.

S is the length of the whole state of one sequence: all fields and layers in a row, complex numbers as two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.base import Network, State, from_named_tensors, named_tensors
from models.bptt.precise import laboratory, one_step
from models.initialisation import blocks


def step_jacobians(
    network: Network[Any], x: Tensor, state: State | None, timesteps: Sequence[int] | None = None
) -> Tensor:
    """∂s_t/∂s_{t-1} for each sequence.

    Args:
        network: any network of the contract; a float64 copy does the work.
        x: (B, T, D) inputs.
        state: the state before the first timestep; ``None`` is the initial one.
        timesteps: the t wanted, 0 to T - 1; ``None`` for all.

    Returns:
        (n, B, S, S) float64 for n timesteps: row i, column j is the change of number i of the new state with
        number j of the old one. A network without memory gives S = 0. There are n·B·S² numbers: ask for few
        sequences.
    """
    own, x, states, _ = laboratory(network, x, state)
    wanted = range(x.shape[1]) if timesteps is None else timesteps
    batch = x.shape[0]
    if not list(named_tensors(states[0])):
        return x.new_zeros(len(wanted), batch, 0, 0)
    # All timesteps wanted form one batch: a step treats sequences apart.
    parts = [dict(named_tensors(states[t])) for t in wanted]
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    with torch.enable_grad():
        step = one_step(own, torch.cat([x[:, t] for t in wanted]), from_named_tensors(states[0], joined))
        numbers = _in_a_row(list(step.after.values()))  # (n·B, S)
    before, rows = list(step.before.values()), []
    for number in numbers.unbind(1):
        found = torch.autograd.grad(
            number.sum(), before, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        rows.append(_in_a_row(list(found)))
    return torch.stack(rows, 1).view(len(wanted), batch, len(rows), len(rows))


def singular_values(jacobians: Tensor) -> Tensor:
    """(n, B, S, S) to (n, B, S), the largest first: what a step does to a gradient, at most to at least."""
    values: Tensor = torch.linalg.svdvals(jacobians)
    return values


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


def lyapunov_exponents(jacobians: Tensor, count: int = 1) -> Tensor:
    """The largest Lyapunov exponents along a sequence, by the QR method (Benettin et al. 1980).

    The mean rate, per timestep, at which a small change of the state grows (above 0: chaos, gradients
    explode) or fades (below 0: gradients vanish) in the direction that grows fastest, the next fastest, and
    so on. Over T timesteps only, the first ones included, in which those directions are still to be found.

    Args:
        jacobians: (T, B, S, S) of all timesteps in order.
        count: how many exponents, up to S.

    Returns:
        (B, count) in nats per timestep; -inf for a direction that is wiped out.
    """
    length, batch, size, _ = jacobians.shape
    if not 0 < count <= size:
        raise ValueError(f"count is {count}; this state has {size} numbers: give 1 to {size}")
    # Any directions will do, but axes might be left alone by a sparse Jacobian; fewer are the first of more.
    start = torch.randn(size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions = torch.linalg.qr(start[:, :count].to(jacobians)).Q.expand(batch, size, count)
    total = jacobians.new_zeros(batch, count)
    for jacobian in jacobians:
        directions, stretch = torch.linalg.qr(jacobian @ directions)
        total = total + stretch.diagonal(dim1=1, dim2=2).abs().log()
    return total / length


class Spectrum(NamedTuple):
    """One Ws; G is the number of square blocks stacked in it, one per gate."""

    eigenvalues: Tensor
    """(G, H) complex128."""
    radius: Tensor
    """(G,) float64: the largest size of an eigenvalue."""
    norm: Tensor
    """(G,) float64: the largest singular value, λ₁."""


def recurrent_spectra(network: Network[Any]) -> dict[str, Spectrum]:
    """Eigenvalues and singular values of each Ws, by role (``"Ws/0"``).

    A Ws whose blocks are not square, such as a Jordan network's (H, O), maps between different spaces and has
    no eigenvalues: it is left out. A network without Ws has no entry.
    """
    found = {}
    for role, weight in network.weight_roles().items():
        if role.split("/")[0] != "Ws" or weight.shape[0] % weight.shape[1]:
            continue
        stacked = torch.stack(blocks(weight.detach().double()))
        eigenvalues: Tensor = torch.linalg.eigvals(stacked)
        found[role] = Spectrum(
            eigenvalues, eigenvalues.abs().amax(1), torch.linalg.matrix_norm(stacked, ord=2)
        )
    return found


def spectral_radius(Ws: Tensor) -> float:
    """The largest size of an eigenvalue of Ws (H, H); NaN where a weight is not finite."""
    weight = Ws.detach().double().cpu()
    if not bool(weight.isfinite().all()):
        return float("nan")
    return float(torch.linalg.eigvals(weight).abs().max())


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


def _in_a_row(tensors: list[Tensor]) -> Tensor:
    """(B, ...) tensors side by side: (B, S) real numbers."""
    real = [torch.view_as_real(t.resolve_conj()) if t.is_complex() else t for t in tensors]
    return torch.cat([tensor.flatten(1) for tensor in real], dim=1)
