"""The minGRU beside its equations, written here anew with the network lending its parameters only."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models import MODELS
from models.base import Network, named_tensors

B, T, D, H, O = 3, 80, 3, 5, 2  # noqa: E741 - the package's own letters


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(**settings: Any) -> Network[Any]:
    spec = MODELS["mingru"]
    return spec.build(spec.config(hidden_size=H, **settings), D, O, seed=1).double()


def by_the_equations(network: Network[Any], x: Tensor, start: list[Tensor], positive: bool) -> list[Tensor]:
    """Outputs, then the last state of each layer, one number at a time through time."""
    W = dict(network.named_parameters())
    states, outputs = list(start), []
    for t in range(x.shape[1]):
        below = x[:, t]
        for layer in range(len(start)):
            Wz, Wh = W[f"layers.{layer}.input.weight"][:H], W[f"layers.{layer}.input.weight"][H:]
            bz, bh = W[f"layers.{layer}.input.bias"][:H], W[f"layers.{layer}.input.bias"][H:]
            z = 1 / (1 + torch.exp(-(below @ Wz.T + bz)))
            proposed = below @ Wh.T + bh
            if positive:
                proposed = torch.maximum(proposed + 0.5, torch.zeros(())) * (proposed >= 0) + (
                    1 / (1 + torch.exp(-proposed))
                ) * (proposed < 0)
            states[layer] = (1 - z) * states[layer] + z * proposed
            below = states[layer]
        outputs.append(below @ W["readout.weight"].T + W["readout.bias"])
    return [torch.stack(outputs, dim=1), *states]


@pytest.mark.parametrize("candidate", ["linear", "positive"])
@pytest.mark.parametrize("layers", [1, 2])
def test_outputs_state_and_gradients_are_those_of_the_equations(layers: int, candidate: str) -> None:
    """Long enough for the scan to be cut into chunks, from a state that is not zero."""
    network = build(layers=layers, candidate=candidate)
    x = randn(B, T, D, seed=2).requires_grad_()
    start = [randn(B, H, seed=3 + layer).requires_grad_() for layer in range(layers)]
    outputs, final = network(x, type(network.initial_state(1))(tuple(start)))
    ours = [outputs, *(tensor for _, tensor in named_tensors(final))]
    reference = by_the_equations(network, x, start, positive=candidate == "positive")
    leaves = [x, *start, *network.parameters()]

    def gradients(results: list[Tensor]) -> tuple[Tensor, ...]:
        mixture = sum((randn(*r.shape, seed=10 + k) * r).sum() for k, r in enumerate(results))
        return torch.autograd.grad(mixture, leaves)  # type: ignore[arg-type]

    for one, other in zip([*ours, *gradients(ours)], [*reference, *gradients(reference)], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


def test_state_gradients_are_those_of_autograd_on_the_equations() -> None:
    """With chunks, two layers, and a loss at some of the timesteps."""
    network = build(layers=2)
    x, names = randn(B, T, D, seed=20), ("h/0", "h/1")
    ours = network.state_gradients(x, None, lambda y: y[:, ::7].square().sum())
    W = dict(network.named_parameters())
    record: dict[str, list[Tensor]] = {name: [torch.zeros(B, H, dtype=torch.float64)] for name in names}
    loss = torch.zeros((), dtype=torch.float64)
    for t in range(T):
        below = x[:, t]
        for layer, name in enumerate(names):
            under = below @ W[f"layers.{layer}.input.weight"].T + W[f"layers.{layer}.input.bias"]
            z = under[:, :H].sigmoid()
            below = (1 - z) * record[name][-1] + z * under[:, H:]
            record[name].append(below)
        if t % 7 == 0:
            loss = loss + (below @ W["readout.weight"].T + W["readout.bias"]).square().sum()
    assert list(ours) == list(names)
    for name in names:
        totals = torch.autograd.grad(
            loss, record[name][1:], retain_graph=True, allow_unused=True, materialize_grads=True
        )
        torch.testing.assert_close(ours[name], torch.stack(totals), rtol=1e-9, atol=1e-14)


def test_a_fresh_network_keeps_its_state_as_its_bias_says() -> None:
    """For x = 0 the state shrinks by σ(keep_bias) a timestep: at 3, to about 1/e in 20."""
    network = build(keep_bias=3.0)
    with torch.no_grad():
        network.get_parameter("layers.0.input.bias")[H:] = 0  # nothing is proposed
    start = type(network.initial_state(1))((torch.ones(1, H, dtype=torch.float64),))
    _, after = network(torch.zeros(1, 20, D, dtype=torch.float64), start)
    expected = torch.full((1, H), (1 / (1 + 2.718281828459045**-3)) ** 20, dtype=torch.float64)
    torch.testing.assert_close(after.h[0], expected)
    assert 0.35 < float(expected[0, 0]) < 0.40


def test_without_a_keep_bias_only_that_bias_is_another() -> None:
    plain, biased = build(keep_bias=None), build(keep_bias=2.0)
    for (name, one), (_, other) in zip(plain.named_parameters(), biased.named_parameters(), strict=True):
        if name == "layers.0.input.bias":
            assert torch.equal(other[:H], torch.full((H,), -2.0, dtype=torch.float64))
            assert torch.equal(one[H:], other[H:])
            assert one[:H].abs().max() < 1
        else:
            assert torch.equal(one, other)


def test_positive_candidates_keep_the_state_positive() -> None:
    _, after = build(candidate="positive")(4 * randn(B, T, D, seed=30))
    assert torch.all(after.h[0] > 0)
    _, linear = build()(4 * randn(B, T, D, seed=30))
    assert torch.any(linear.h[0] < 0)


def test_multiplications_counted_by_hand() -> None:
    """Two layers of 5 units over 3 inputs, 2 outputs: 2·5·3 + 2·5·5 + 2·5; nothing from state to state."""
    network = build(layers=2)
    assert network.multiplications_per_timestep() == 90
    assert list(network.weight_roles()) == ["Wx/0", "Wx/1", "Wy"]


def test_low_precision_leaves_the_recurrence_in_single() -> None:
    """Under bfloat16 autocast the products are rounded; the state is not, and stays near."""
    network = build(layers=2).float()
    x = randn(B, 200, D, seed=40).float()
    exact, _ = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, after = network(x)
    assert after.h[0].dtype == torch.float32
    torch.testing.assert_close(outputs.float(), exact, rtol=0.05, atol=0.03)


def test_dropout_acts_between_layers_in_training_only() -> None:
    network, x = build(layers=2, dropout=0.5), randn(B, 9, D, seed=50)
    plain = build(layers=2)
    network.eval()
    assert torch.equal(network(x)[0], plain(x)[0])
    network.train()
    torch.manual_seed(0)
    outputs, state = network(x)
    expected_first = plain(x)[1].h[0]
    assert torch.equal(state.h[0], expected_first)
    assert not torch.equal(outputs, plain(x)[0])
    single = build(layers=1, dropout=0.5).train()
    assert torch.equal(single(x)[0], build(layers=1)(x)[0])


def test_an_embedding_is_a_product_in_front_of_the_first_layer() -> None:
    network = build(embedding_size=4)
    assert network.weight_roles()["We"].shape == (4, D)
    assert network.weight_roles()["Wx/0"].shape == (2 * H, 4)
    x = randn(B, 6, D, seed=60)
    We = network.weight_roles()["We"]
    outputs, _ = network(x)
    with torch.no_grad():
        network.embedding.weight.copy_(2 * We)
    doubled, _ = network(x / 2)
    torch.testing.assert_close(doubled, outputs)


def test_a_kept_state_does_not_hold_on_to_the_whole_sequence() -> None:
    """Its memory is its own: a checkpoint of it is as small as it looks."""
    _, after = build()(randn(B, T, D, seed=70))
    assert after.h[0].untyped_storage().nbytes() == B * H * 8


def test_gates_are_what_the_state_is_mixed_by() -> None:
    """Of each layer at every timestep; no gradient."""
    network = build(layers=2)
    x = randn(B, 6, D, seed=80)
    gates = network.gates(x)
    assert list(gates) == ["z/0", "z/1"]
    W = dict(network.named_parameters())
    _, states = network.unroll(x)
    below = {"z/0": x, "z/1": torch.stack([state.h[0] for state in states], dim=1)}
    for layer, (name, gate) in enumerate(gates.items()):
        Wz, bz = W[f"layers.{layer}.input.weight"][:H], W[f"layers.{layer}.input.bias"][:H]
        assert not gate.requires_grad
        torch.testing.assert_close(gate, (below[name] @ Wz.T + bz).sigmoid().detach())
