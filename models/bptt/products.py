"""Where one timestep multiplies by a weight matrix: the key to cheap gradients of very many losses.

For y = x Wᵀ the gradient of a loss by W is δᵀ x, with δ = dE/dy. For N vectors x it has rank N at most, so
its norm needs no matrix of W's size: with xᵀ = Q R, Q orthonormal, ‖δᵀ x‖ = ‖δᵀ Rᵀ‖, which is N columns wide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_OPERANDS: dict[Callable[..., Any], tuple[int, int]] = {
    F.linear: (0, 1),
    torch.addmm: (1, 2),
    **dict.fromkeys((torch.mm, torch.matmul, Tensor.mm, Tensor.matmul, Tensor.__matmul__), (0, 1)),
}
"""The functions of a plain product: which argument holds the vectors, which the matrix."""


class Product(NamedTuple):
    """One product of vectors with a weight matrix."""

    vectors: Tensor
    """(N, columns of W), detached."""
    result: Tensor
    """(N, rows of W), or a sum that it is one term of; with its graph."""


class ProductWatch(TorchFunctionMode):
    """While active, notes each product with one of the given matrices, (rows, columns) each, by role.

    ``products[role]`` lists them. A role that is used in any other way has no entry: its gradient has to be
    asked of autograd.
    """

    def __init__(self, roles: dict[str, Tensor]) -> None:
        super().__init__()
        self._roles = {id(weight): role for role, weight in roles.items()}
        self.products: dict[str, list[Product]] = {role: [] for role in roles}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        used = [role for tensor in _tensors((args, kwargs)) if (role := self._role_of(tensor)) is not None]
        makes = [tensor for tensor in _tensors(result) if tensor.requires_grad]
        # A view of a matrix (its transpose, a gate's block) is noted where it is used.
        if used and any(self._role_of(tensor) is None for tensor in makes):
            product = _as_product(func, args, result) if len(used) == 1 and not kwargs else None
            for role in used:
                if product is None:
                    self.products.pop(role, None)
                elif role in self.products:
                    self.products[role].append(product)
        return result

    def _role_of(self, tensor: Tensor) -> str | None:
        """The role of the matrix that a tensor is, or is a view of."""
        return self._roles.get(id(tensor)) or self._roles.get(id(tensor._base))


def _as_product(func: Any, args: tuple[Any, ...], result: Any) -> Product | None:
    """``result`` as the product of vectors with one whole matrix, which ``func`` was given."""
    if func not in _OPERANDS:
        return None
    vectors, matrix = (args[position] for position in _OPERANDS[func])
    weight = matrix._base
    # F.linear takes W itself, the others its transpose, which is a view of it.
    is_whole = weight is None if func is F.linear else weight is not None and matrix.is_set_to(weight.t())
    return Product(vectors.detach(), result) if is_whole and vectors.dim() == 2 else None


def _tensors(values: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists and dictionaries."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, dict):
        values = tuple(values.values())
    if isinstance(values, tuple | list):
        return [tensor for value in values for tensor in _tensors(value)]
    return []
