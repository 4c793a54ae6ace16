"""Every registered network, small and in float64, with each step's weights taken apart by hand."""

from __future__ import annotations

import copy
import functools
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from models import MODELS
from models.base import Network, detach, map_state, named_tensors

B, T, D, O = 2, 6, 3, 2  # noqa: E741 - the package's own letters


class Case(NamedTuple):
    """A network, what it reads, and the state that it starts from."""

    name: str
    network: Network[Any]
    x: Tensor
    """(B, T, D)"""
    state: Any

    def losses(self, outputs: Tensor) -> Tensor:
        """(B, T, O) gives (T,), every term of its own size; the one at t = 3 counts for nothing."""
        weights = torch.tensor([0.5, 1.0, 2.0, 0.0, -1.0, 3.0]).to(outputs)[: outputs.shape[1]]
        return weights * (outputs - 0.3).square().mean((0, 2))

    def pairs(self, through: frozenset[str] | None = None) -> Pairs:
        return _pairs(self.name, through)


class Pairs(NamedTuple):
    """By loss t and step k, from T copies of the network with a step each; zeros for k > t."""

    states: dict[tuple[int, int, str], Tensor]
    weights: dict[tuple[int, int, str], Tensor]


@pytest.fixture(params=list(MODELS))
def case(request: pytest.FixtureRequest) -> Case:
    return build(request.param)


def build(name: str) -> Case:
    spec = MODELS[name]
    sizes = {"hidden_size": 3, "layers": 2, "embedding_size": 4}
    settings = {field: size for field, size in sizes.items() if field in spec.config.model_fields}
    network = spec.build(spec.config.model_validate(settings), D, O, seed=5).double()
    generator = torch.Generator().manual_seed(6)
    past, x = torch.randn(2, B, T, D, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        _, state = network(past)  # a state that the network can really be in
    return Case(name, network, x, detach(state))


@functools.cache
def _pairs(name: str, through: frozenset[str] | None) -> Pairs:
    case = build(name)
    copies = [copy.deepcopy(case.network) for _ in range(T)]
    state = map_state(lambda tensor: tensor.clone().requires_grad_(), case.state)
    outputs, made = [], []
    for t, network in enumerate(copies):
        if through is not None:
            state = type(state)(
                *(
                    layers if field in through else tuple(tensor.detach() for tensor in layers)
                    for field, layers in zip(state._fields, state, strict=True)
                )
            )
        y_t, state = network.step(case.x[:, t].clone().requires_grad_(), state)
        outputs.append(y_t)
        made.append(dict(named_tensors(state)))
    losses = case.losses(torch.stack(outputs, 1))
    pairs = Pairs({}, {})
    for t in range(T):
        for k in range(T):
            for tensors, into in ((made[k], pairs.states), (copies[k].weight_roles(), pairs.weights)):
                found = (
                    torch.autograd.grad(
                        losses[t],
                        list(tensors.values()),
                        retain_graph=True,
                        allow_unused=True,
                        materialize_grads=True,
                    )
                    if tensors
                    else ()
                )
                into.update({(t, k, key): g for key, g in zip(tensors, found, strict=True)})
    return pairs
