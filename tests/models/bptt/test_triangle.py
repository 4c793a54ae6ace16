"""The itemised triangle, beside autograd on T copies of the network, one for each step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import MODELS
from models.base import Network, named_tensors
from models.bptt import triangle as module
from models.bptt.gates import carried
from models.bptt.products import ProductWatch
from models.bptt.triangle import Triangle, triangle


def assert_equals_pairs(found: Triangle, case: Any, through: frozenset[str] | None = None) -> None:
    pairs, length = case.pairs(through), case.x.shape[1]
    assert list(found.states) == [name for name, _ in named_tensors(case.state)]
    assert list(found.weights) == list(found.gradient) == list(case.network.weight_roles())
    for norms, by_hand in ((found.states, pairs.states), (found.weights, pairs.weights)):
        for key, values in norms.items():
            expected = torch.tensor(
                [[by_hand[t, k, key].norm().item() for k in range(length)] for t in range(length)]
            ).double()
            torch.testing.assert_close(values, expected, rtol=1e-6, atol=1e-13, msg=f"{case.name} {key}")


def test_every_pair_equals_autograd_on_a_copy_unrolled_by_hand(case: Any) -> None:
    assert_equals_pairs(triangle(case.network, case.x, case.state, case.losses), case)


def test_all_pairs_together_are_the_full_gradient(case: Any) -> None:
    found = triangle(case.network, case.x, case.state, case.losses)
    roles = case.network.weight_roles()
    outputs, _ = case.network(case.x, case.state)
    full = torch.autograd.grad(case.losses(outputs).sum(), list(roles.values()))
    for role, gradient in zip(roles, full, strict=True):
        torch.testing.assert_close(found.gradient[role], gradient, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("t", [0, 2, 5])
def test_a_row_adds_up_to_the_gradient_of_its_loss(case: Any, t: int) -> None:
    found = triangle(case.network, case.x, case.state, lambda y: case.losses(y) * (torch.arange(6) == t))
    roles = case.network.weight_roles()
    outputs, _ = case.network(case.x, case.state)
    full = torch.autograd.grad(case.losses(outputs)[t], list(roles.values()))
    for role, gradient in zip(roles, full, strict=True):
        torch.testing.assert_close(found.gradient[role], gradient, rtol=1e-9, atol=1e-13)
        assert found.weights[role][torch.arange(6) != t].count_nonzero() == 0


def test_each_field_alone_is_a_path_with_the_others_held_constant(case: Any) -> None:
    for field in type(case.state)._fields:
        found = triangle(case.network, case.x, case.state, case.losses, through={field})
        assert_equals_pairs(found, case, frozenset({field}))


def test_few_rows_at_once_give_the_same(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    assert_equals_pairs(triangle(case.network, case.x, case.state, case.losses), case)


def test_the_networks_own_weights_gradients_and_mode_are_left_alone(case: Any) -> None:
    case.network.float().train().requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in case.network.state_dict().items()}
    found = triangle(case.network, case.x.float(), None, case.losses)
    assert all(norms.dtype == torch.float64 for norms in found.weights.values())
    assert any(norms.any() for norms in found.weights.values())
    for name, tensor in case.network.state_dict().items():
        assert torch.equal(tensor, before[name])
    for parameter in case.network.parameters():
        assert parameter.grad is None
        assert not parameter.requires_grad
        assert parameter.dtype == torch.float32
    assert case.network.training


def test_through_the_cell_alone_an_lstms_gradient_shrinks_by_the_product_of_its_forget_gates() -> None:
    """One unit, one loss, at the end: dE/dc_k ÷ dE/dc_T is the product of the gates in between."""
    spec = MODELS["lstm"]
    network = spec.build(spec.config.model_validate({"hidden_size": 1, "forget_bias": 0.5}), 2, 1, 3).double()
    x = torch.randn(1, 7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))

    def at_last(outputs: Tensor) -> Tensor:
        return outputs[:, :, 0].sum(0) * (torch.arange(7) == 6)

    row = triangle(network, x, None, at_last, through={"c"}).states["c/0"][6]
    torch.testing.assert_close(row / row[6], carried(network.gates(x)["f/0"])[6], rtol=1e-12, atol=0)


def test_gradients_far_below_single_precision_are_measured() -> None:
    """A linear unit with Ws = 0.1: 1e-119 of the gradient is left after 119 steps."""
    spec = MODELS["elman"]
    settings = {"hidden_size": 1, "nonlinearity": "linear"}
    network = spec.build(spec.config.model_validate(settings), 1, 1, seed=0)
    with torch.no_grad():
        network.weight_roles()["Ws/0"].fill_(0.1)
    found = triangle(network, torch.ones(1, 120, 1), None, lambda y: y.sum((0, 2)))
    row = found.states["h/0"][119]
    ratio = torch.log10(row[0] / row[119])
    torch.testing.assert_close(ratio, torch.tensor(-119.0).double(), rtol=1e-6, atol=0)


def test_a_field_that_the_state_lacks_is_named() -> None:
    spec = MODELS["elman"]
    network = spec.build(spec.config(), 1, 1, seed=0)
    with pytest.raises(ValueError, match=r"through: .* no field 'c'; give one of \('h',\)"):
        triangle(network, torch.ones(1, 2, 1), None, lambda y: y.sum((0, 2)), through={"c"})


def uses(apply: Any, weight: Tensor, x: Tensor) -> tuple[dict[str, Any], Tensor]:
    with ProductWatch({"W": weight}) as watch:
        made = apply(x, weight)
    return watch.products, made


PLAIN = {
    "linear": lambda x, W: F.linear(x, W),
    "linear with bias": lambda x, W: F.linear(x, W, torch.ones(3)),
    "mm": lambda x, W: torch.mm(x, W.t()),
    "matmul": lambda x, W: x @ W.T,
    "addmm": lambda x, W: torch.addmm(torch.ones(3), x, W.t()).chunk(1)[0],
    "twice": lambda x, W: x @ W.t() + 2 * F.linear(x.cos(), W),
}
OTHER = {
    "scaled weight": lambda x, W: F.linear(x, 2 * W),
    "untransposed": lambda x, W: x @ W,
    "a part": lambda x, W: F.linear(x, W[:2]),
    "scaled sum": lambda x, W: torch.addmm(torch.ones(3), x, W.t(), alpha=2.0),
    "einsum": lambda x, W: torch.einsum("bd,hd->bh", x, W),
    "also elsewhere": lambda x, W: F.linear(x, W) + W.sum(),
    "by itself": lambda x, W: F.linear(x, W) + F.linear(W, W),
    "three axes": lambda x, W: (x[None] @ W.t())[0],
}


@pytest.mark.parametrize("apply", PLAIN.values(), ids=PLAIN)
def test_plain_products_with_a_matrix_are_recognised_and_give_its_gradient(apply: Any) -> None:
    weight, x = nn.Parameter(torch.randn(3, 3)), torch.randn(3, 3)
    products, made = uses(apply, weight, x)
    assert products["W"]
    (full,) = torch.autograd.grad(made.sin().sum(), weight, retain_graph=True)
    deltas = torch.autograd.grad(made.sin().sum(), [product.result for product in products["W"]])
    parts = [d.t() @ product.vectors for d, product in zip(deltas, products["W"], strict=True)]
    torch.testing.assert_close(torch.stack(parts).sum(0), full)


@pytest.mark.parametrize("apply", OTHER.values(), ids=OTHER)
def test_any_other_use_of_a_matrix_takes_it_off_the_list(apply: Any) -> None:
    """Square, so that a product with W in place of its transpose would go unnoticed by its shape."""
    products, _ = uses(apply, nn.Parameter(torch.randn(3, 3)), torch.randn(3, 3))
    assert "W" not in products


def test_a_network_that_scales_its_weights_first_is_measured_all_the_same() -> None:
    class Scaled(Network[Any]):
        def __init__(self) -> None:
            super().__init__()
            inner = MODELS["elman"]
            self.inner = inner.build(inner.config.model_validate({"hidden_size": 3}), 2, 2, seed=1)
            self.W = nn.Parameter(torch.randn(2, 2, generator=torch.Generator().manual_seed(2)))

        def initial_state(self, batch_size: int) -> Any:
            return self.inner.initial_state(batch_size)

        def forward(self, x: Tensor, state: Any = None, first: int = 0) -> tuple[Tensor, Any]:
            outputs, states = self.unroll(x, state)
            return outputs[:, first:], states[-1]

        def step(self, x_t: Tensor, state: Any) -> tuple[Tensor, Any]:
            return self.inner.step(F.linear(x_t, self.W.exp()), state)

        def weight_roles(self) -> dict[str, Tensor]:
            return {"W": self.W, **self.inner.weight_roles()}

    network, x = Scaled().double(), torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(3)).double()

    def losses(outputs: Tensor) -> Tensor:
        return outputs.square().sum((0, 2))

    found = triangle(network, x, None, losses)
    (full,) = torch.autograd.grad(losses(network(x)[0]).sum(), network.W)
    torch.testing.assert_close(found.gradient["W"], full)
    (first,) = torch.autograd.grad(losses(network(x)[0])[0], network.W)
    torch.testing.assert_close(found.weights["W"][0, 0], first.norm())


@pytest.mark.parametrize("kind", ["sigmoid", "exponential"])
def test_no_loss_says_anything_to_the_unit_of_an_slstms_memory(kind: str) -> None:
    """Its derivative is 0, and autograd's is rounding; through a part of the memory alone it is more."""
    spec = MODELS["slstm"]
    settings = {"hidden_size": 4, "layers": 2, "forget_gate": kind}
    network = spec.build(spec.config.model_validate(settings), 2, 1, seed=0).double()
    x = torch.randn(2, 9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(8))

    def losses(outputs: Tensor) -> Tensor:
        return outputs.square().mean((0, 2))

    def of(through: set[str] | None) -> Tensor:
        return triangle(network, x, None, losses, through).states["m/0"]

    for through in (None, {"h"}, {"c", "n", "m"}, {"h", "c", "n", "m"}):
        assert not of(through).any()
    for through in ({"c"}, {"m"}, {"n", "m"}):
        assert float(of(through).max()) > 1e-9
    assert triangle(network, x, None, losses).states["c/0"][-1].all()
