"""The itemised triangle of backpropagation through time: what each loss says to each earlier timestep.

The total gradient is a sum over pairs, the loss E_t at timestep t and the step k ≤ t at which a weight acted:

    dE/dW = Σ_t Σ_{k ≤ t} (dE_t/ds_k) (∂⁺s_k/∂W)

with ∂⁺ the immediate derivative, through step k alone (Pascanu, Mikolov & Bengio 2013, equations 3 to 5).
Training adds the pairs up and forgets them; here each one is measured.

Axes: B (batch), T (time), D (input features), H (hidden), O (outputs), R (rows: losses on their way back).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.base import Network, State, named_tensors
from models.bptt.precise import laboratory, norms, one_step, output_gradient
from models.bptt.products import ProductWatch

_AT_ONCE = 1_000_000  # numbers that one step back may make for the rows it carries: 8 MB, for the caches


class Triangle(NamedTuple):
    """Row t, column k, from 0; above the diagonal (k > t) all is 0: no loss hears of the future."""

    states: dict[str, Tensor]
    """(T, T) by field and layer, ``"h/0"``: ‖dE_t/ds_k‖ over (B, H), the total derivative. Exactly 0 of a
    mere unit of others, of which autograd gives the rounding of paths that cancel."""
    weights: dict[str, Tensor]
    """(T, T) by weight role, ``"Ws/0"``: the norm of what step k contributes to dE_t/dW."""
    gradient: dict[str, Tensor]
    """By weight role, in the weight's shape: all those contributions added up, dE/dW."""


def triangle(
    network: Network[Any],
    x: Tensor,
    state: State | None,
    losses: Callable[[Tensor], Tensor],
    through: Collection[str] | None = None,
) -> Triangle:
    """Take the gradient of every loss apart, by the timestep that it reaches.

    All rows travel back together: at step k one batched product carries dE_t/ds_k on to s_{k-1} for every
    t ≥ k. So time grows as T². A timestep without a loss has no row and costs nothing.

    Args:
        network: any network of the contract; a float64 copy does the work, so nothing of it changes.
        x: (B, T, D) inputs.
        state: the state before the first timestep, taken as a constant; ``None`` is the initial one.
        losses: gives (T,) losses E_t from (B, T, O) outputs; E_t may depend on the outputs at t only.
        through: the fields by which gradients may cross from a timestep to the one before it, such as
            ``{"c"}`` for an LSTM's cell alone; the other fields are held constant there. ``None``: all.

    Returns:
        float64 numbers. A network without memory has no states, and its weights contribute on the diagonal
        alone. So does Wy wherever outputs are not fed back: the loss at t meets it at step t only.
    """
    own, x, states, outputs = laboratory(network, x, state)
    fields = type(states[0])._fields
    for field in through or ():
        if field not in fields:
            raise ValueError(f"through: this network's state has no field {field!r}; give one of {fields}")
    roles, length = own.weight_roles(), x.shape[1]
    seeds = output_gradient(outputs, losses)
    heard = seeds.ne(0).any(2).any(0)
    result = Triangle(
        states={name: x.new_zeros(length, length) for name, _ in named_tensors(states[0])},
        weights={role: x.new_zeros(length, length) for role in roles},
        gradient={role: torch.zeros_like(weight) for role, weight in roles.items()},
    )
    rows = torch.empty(0, dtype=torch.long)  # the timestep t of each row, ascending
    # What reaches s_k from step k + 1, by row: (R, B, H)
    arriving = {name: tensor.new_zeros(0, *tensor.shape) for name, tensor in named_tensors(states[0])}
    for k in reversed(range(length)):
        if heard[k]:
            rows = torch.cat((torch.tensor([k]), rows))
            arriving = {name: torch.cat((a.new_zeros(1, *a.shape[1:]), a)) for name, a in arriving.items()}
        if not len(rows):
            continue  # after the last loss
        back = _StepBack(own, x[:, k], states[k])
        leaving: dict[str, list[Tensor]] = {name: [] for name in arriving}
        for chunk in torch.split(torch.arange(len(rows)), back.rows_at_once):
            seed = seeds[:, k] * (rows[chunk] == k).to(x)[:, None, None]  # (R, B, O)
            totals, passed, deltas = back(seed, [a[chunk] for a in arriving.values()])
            for name, total in zip(arriving, totals, strict=True):
                if _cancels(own, name.split("/")[0], through):
                    continue
                result.states[name][rows[chunk], k] = norms(total)
            for role, delta in deltas.items():
                result.weights[role][rows[chunk], k] = back.norms(role, delta)
                result.gradient[role] += back.summed(role, delta)
            for name, tensor in zip(arriving, passed, strict=True):
                is_open = through is None or name.split("/")[0] in through
                leaving[name].append(tensor if is_open else torch.zeros_like(tensor))
        arriving = {name: _joined(parts) for name, parts in leaving.items()}
    return result


class _StepBack:
    """One timestep's graph, through which any number of losses is sent back at once."""

    def __init__(self, network: Network[Any], x_t: Tensor, state: Any) -> None:
        roles = network.weight_roles()
        with torch.enable_grad(), ProductWatch(roles) as watch:
            self._step = one_step(network, x_t, state)
        self._vectors = {
            role: torch.cat([product.vectors for product in products])
            for role, products in watch.products.items()
            if products
        }
        # The gradient by a product's result says all about a matrix, in far fewer numbers than its own.
        self._asked = {
            role: [product.result for product in watch.products[role]] if role in self._vectors else [weight]
            for role, weight in roles.items()
        }
        # ‖δᵀ x‖ = ‖δᵀ Rᵀ‖ where xᵀ = Q R
        self._factors = {role: torch.linalg.qr(x.t(), mode="r").R.t() for role, x in self._vectors.items()}
        made = [self._step.y, *self._step.before.values(), *self._step.after.values()]
        made += [tensor for asked in self._asked.values() for tensor in asked]
        self.rows_at_once = max(1, _AT_ONCE // sum(tensor.numel() for tensor in made))

    def __call__(
        self, seed: Tensor, arriving: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor], dict[str, Tensor]]:
        """Send rows back through the step.

        Args:
            seed: (R, B, O) dE_t/dy at this step, 0 in the rows of later losses.
            arriving: (R, B, H) what reaches the state that the step made, from later steps.

        Returns:
            (R, B, H) total derivatives by that state; (R, B, H) what reaches the state before it; and by role
            (R, N, rows of W) the gradient by the products with a matrix, or (R, *W) by the matrix itself.
        """
        step, asked = self._step, [tensor for tensors in self._asked.values() for tensor in tensors]
        wanted = [*step.after.values(), *step.before.values(), *asked]
        found = torch.autograd.grad(
            [step.y, *step.after.values()],
            wanted,
            [seed, *arriving],
            allow_unused=True,
            retain_graph=True,
            is_grads_batched=True,
        )
        rows = seed.shape[0]
        given = iter(
            tensor.new_zeros(rows, *tensor.shape) if gradient is None else gradient
            for tensor, gradient in zip(wanted, found, strict=True)
        )
        totals = [next(given) for _ in step.after]
        passed = [next(given) for _ in step.before]
        deltas = {role: _joined([next(given) for _ in asked], 1) for role, asked in self._asked.items()}
        return totals, passed, deltas

    def norms(self, role: str, delta: Tensor) -> Tensor:
        """(R,): the norm of each row's gradient by a matrix."""
        return norms(delta.transpose(1, 2) @ self._factors[role] if role in self._factors else delta)

    def summed(self, role: str, delta: Tensor) -> Tensor:
        """The gradient by a matrix, all rows added up."""
        whole = delta.sum(0)
        return whole.t() @ self._vectors[role] if role in self._vectors else whole


def _cancels(network: Network[Any], field: str, through: Collection[str] | None) -> bool:
    """Whether a field is the unit of others, and all of them are open, or none."""
    if field not in network.mere_units:
        return False
    group = {field, *network.mere_units[field]}
    return through is None or group <= set(through) or group.isdisjoint(through)


def _joined(parts: list[Tensor], dim: int = 0) -> Tensor:
    """As ``torch.cat``, which would copy even a single one."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)
