"""The sLSTM beside the paper's equations *without* the stabiliser, which these sizes do not need."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models import MODELS
from models.base import Network, map_state

B, T, D, H, O = 3, 9, 3, 5, 2  # noqa: E741 - the package's own letters
KINDS = ["sigmoid", "exponential"]


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(**settings: Any) -> Network[Any]:
    spec = MODELS["slstm"]
    return spec.build(spec.config(hidden_size=H, **settings), D, O, seed=1).double()


def by_the_equations(network: Network[Any], x: Tensor, kind: str) -> tuple[Tensor, dict[str, list[Tensor]]]:
    """Outputs and the unstabilised states of every layer, from zero."""
    W = dict(network.named_parameters())
    layers = sum("weight_ih" in name for name in W)
    zero = torch.zeros(B, H, dtype=torch.float64)
    record: dict[str, list[Tensor]] = {f"{key}/{k}": [zero] for k in range(layers) for key in "hcn"}
    outputs = []
    for t in range(x.shape[1]):
        below = x[:, t]
        for k in range(layers):
            before = record[f"h/{k}"][-1]

            def under(row: int, below: Tensor = below, before: Tensor = before, k: int = k) -> Tensor:
                rows = slice(row * H, (row + 1) * H)
                return (
                    below @ W[f"rnn.weight_ih_l{k}"][rows].T
                    + W[f"rnn.bias_ih_l{k}"][rows]
                    + before @ W[f"rnn.weight_hh_l{k}"][rows].T
                    + W[f"rnn.bias_hh_l{k}"][rows]
                )

            i = torch.exp(under(0))
            f = torch.exp(under(1)) if kind == "exponential" else 1 / (1 + torch.exp(-under(1)))
            z, o = torch.tanh(under(2)), 1 / (1 + torch.exp(-under(3)))
            record[f"c/{k}"].append(f * record[f"c/{k}"][-1] + i * z)
            record[f"n/{k}"].append(f * record[f"n/{k}"][-1] + i)
            below = o * record[f"c/{k}"][-1] / record[f"n/{k}"][-1]
            record[f"h/{k}"].append(below)
        outputs.append(below @ W["readout.weight"].T + W["readout.bias"])
    return torch.stack(outputs, dim=1), {name: states[1:] for name, states in record.items()}


@pytest.mark.parametrize("way", ["forward", "unroll"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_stabilised_network_is_the_unstabilised_one(kind: str, layers: int, way: str) -> None:
    """Outputs, h, the true c and n, and the gradients of everything."""
    network = build(forget_gate=kind, layers=layers)
    x = randn(B, T, D, seed=2).requires_grad_()
    if way == "forward":
        outputs, final = network(x)
    else:
        outputs, states = network.unroll(x)
        final = states[-1]
    expected, record = by_the_equations(network, x, kind)
    torch.testing.assert_close(outputs, expected, rtol=1e-11, atol=1e-12)
    for k in range(layers):
        unit = final.m[k].exp()
        torch.testing.assert_close(final.h[k], record[f"h/{k}"][-1], rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(final.c[k] * unit, record[f"c/{k}"][-1], rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(final.n[k] * unit, record[f"n/{k}"][-1], rtol=1e-11, atol=1e-12)
    leaves = [x, *network.parameters()]
    weights = randn(B, T, O, seed=3)
    ours = torch.autograd.grad((weights * outputs).sum(), leaves)
    reference = torch.autograd.grad((weights * expected).sum(), leaves)
    for one, other in zip(ours, reference, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_state_gradients_are_those_of_the_unstabilised_equations(kind: str) -> None:
    """dE/dh as it is, dE/dc and dE/dn in the unit of what is stored: times exp(m)."""
    network = build(forget_gate=kind, layers=2)
    x = randn(B, T, D, seed=4)

    def loss(y: Tensor) -> Tensor:
        return y[:, ::4].square().sum()

    ours = network.state_gradients(x, None, loss)
    _, states = network.unroll(x)
    outputs, record = by_the_equations(network, x, kind)
    for name, tensors in record.items():
        field, layer = name.split("/")
        totals = torch.stack(
            torch.autograd.grad(
                loss(outputs), tensors, retain_graph=True, allow_unused=True, materialize_grads=True
            )
        )
        unit = torch.stack([state.m[int(layer)] for state in states]).exp() if field in "cn" else 1
        torch.testing.assert_close(ours[name], totals * unit, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_the_choice_of_the_stabiliser_has_no_gradient(kind: str) -> None:
    """Autograd's own total derivative by m is rounding; what is reported is 0."""
    network = build(forget_gate=kind)
    x = randn(B, T, D, seed=5)

    def loss(y: Tensor) -> Tensor:
        return y.square().sum()

    outputs, states = network.unroll(x)
    by_autograd = torch.autograd.grad(loss(outputs), [state.m[0] for state in states], retain_graph=True)
    of_c = torch.autograd.grad(loss(outputs), [state.c[0] for state in states])
    largest = max(float(gradient.abs().max()) for gradient in of_c)
    assert all(float(gradient.abs().max()) < 1e-13 * largest for gradient in by_autograd)
    assert torch.count_nonzero(network.state_gradients(x, None, loss)["m/0"]) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_state_and_its_slope_are_right_for_every_part_of_the_state(kind: str) -> None:
    """One step from a state whose unit is shifted: the same memory in other units gives the same outputs,
    and the slope by each part, m included, is that of finite differences."""
    network = build(forget_gate=kind)
    _, state = network(randn(B, T, D, seed=6))
    state = map_state(Tensor.detach, state)
    x = randn(B, D, seed=7)
    shift = randn(B, H, seed=8)
    shifted = state._replace(
        c=(state.c[0] * shift.exp(),), n=(state.n[0] * shift.exp(),), m=(state.m[0] - shift,)
    )
    torch.testing.assert_close(network.step(x, state)[0], network.step(x, shifted)[0], rtol=1e-11, atol=0)

    def outputs(h: Tensor, c: Tensor, n: Tensor, m: Tensor) -> tuple[Tensor, ...]:
        y, after = network.step(x, type(state)((h,), (c,), (n,), (m,)))
        return y, after.h[0], after.c[0], after.n[0], after.m[0]

    leaves = [tensors[0].clone().requires_grad_() for tensors in state]
    assert torch.autograd.gradcheck(outputs, leaves)


@pytest.mark.parametrize("kind", KINDS)
def test_gates_that_would_overflow_stay_finite(kind: str) -> None:
    """In float32, where exp(89) is infinite: input gates of exp(±300), and gradients through them."""
    network = build(forget_gate=kind).float()
    with torch.no_grad():
        network.get_parameter("rnn.weight_ih_l0")[:H] *= 1000  # i comes first
    x = randn(B, 50, D, seed=9).float()
    outputs, final = network(x)
    assert torch.isfinite(outputs).all()
    assert float(outputs.detach().abs().max()) < 10
    assert all(torch.isfinite(tensors[0]).all() for tensors in final)
    assert float(final.m[0].detach().max()) > 100
    outputs.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_the_memory_is_a_weighted_mean_of_what_was_written(kind: str) -> None:
    """|c / n| ≤ 1, as each z is a tanh; and h therefore stays in (−1, 1)."""
    _, final = build(forget_gate=kind)(5 * randn(B, 40, D, seed=10))
    assert float((final.c[0] / final.n[0]).detach().abs().max()) <= 1
    assert float(final.n[0].detach().min()) > 0


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_forget_gates_of_either_kind_start_at_the_same_value(kind: str, layers: int) -> None:
    """σ(2.5) for x = 0, h = 0; and no other bias is touched."""
    network, plain = (
        build(forget_gate=kind, forget_bias=2.5, layers=layers),
        build(forget_bias=None, layers=layers),
    )
    forget = slice(H, 2 * H)  # i, f, z, o
    for layer in range(layers):
        bias = sum(network.get_parameter(f"rnn.bias_{side}_l{layer}")[forget] for side in ("ih", "hh"))
        assert isinstance(bias, Tensor)
        gate = bias.exp() if kind == "exponential" else bias.sigmoid()
        torch.testing.assert_close(
            gate, torch.full((H,), 2.5, dtype=torch.float64).sigmoid(), rtol=1e-6, atol=0
        )
    for (name, one), (_, other) in zip(network.named_parameters(), plain.named_parameters(), strict=True):
        untouched = torch.ones(one.shape[0], dtype=torch.bool)
        if "bias_" in name:
            untouched[forget] = False
        assert torch.equal(one[untouched], other[untouched])


@pytest.mark.parametrize("kind", KINDS)
def test_gates_say_how_the_memory_is_mixed(kind: str) -> None:
    """c / n is the old one times f plus z times i, at every timestep, i and f adding up to 1."""
    network = build(forget_gate=kind, layers=2)
    x = randn(B, T, D, seed=11)
    gates = network.gates(x)
    _, record = by_the_equations(network, x, kind)
    for k in range(2):
        memory = torch.stack([c / n for c, n in zip(record[f"c/{k}"], record[f"n/{k}"], strict=True)], dim=1)
        before = torch.cat((torch.zeros(B, 1, H, dtype=torch.float64), memory[:, :-1]), dim=1)
        i, f, z, o = (gates[f"{name}/{k}"] for name in "ifzo")
        torch.testing.assert_close(f * before + i * z, memory.detach())
        torch.testing.assert_close(o * memory, torch.stack(record[f"h/{k}"], dim=1))
        torch.testing.assert_close(i + f, torch.ones(B, T, H, dtype=torch.float64))
