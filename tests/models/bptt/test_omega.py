"""Ω against finite differences, against Jacobians taken one by one, and against the paper's formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from models import MODELS
from models.base import Network, from_named_tensors, named_tensors
from models.bptt.omega import omega, recurrent_weights

B, T, D, H, O = 3, 6, 2, 4, 2  # noqa: E741


def build(name: str, **settings: Any) -> Network[Any]:
    spec = MODELS[name]
    known = {"hidden_size": H, **settings}
    config = spec.config(**{key: value for key, value in known.items() if key in spec.config.model_fields})
    network = spec.build(config, D, O, seed=5).double().eval()
    with torch.no_grad():  # weights large enough that gradients neither vanish nor keep their length
        for weight in recurrent_weights(network).values():
            weight.mul_(2.0)
    return network


def inputs() -> Tensor:
    return torch.randn(B, T, D, dtype=torch.float64, generator=torch.Generator().manual_seed(8))


def at_the_end(outputs: Tensor) -> Tensor:
    return (outputs[:, -1] - 0.3).square().mean()


def everywhere(outputs: Tensor) -> Tensor:
    return (outputs - torch.linspace(-1, 1, T, dtype=torch.float64)[:, None]).square().mean()


LOSSES = (at_the_end, everywhere)
NETWORKS = [
    pytest.param(name, layers, id=f"{name}-{layers}")
    for name in MODELS
    for layers in ((1, 2) if "layers" in MODELS[name].config.model_fields else (1,))
    if recurrent_weights(MODELS[name].build(MODELS[name].config(), D, O, seed=0))
]


def flat(state: Any, of: int) -> Tensor:
    """All numbers of sequence ``of``'s state, in one row."""
    return torch.cat([tensor[of] for _, tensor in named_tensors(state)])


def from_flat(like: Any, row: Tensor) -> Any:
    """A state of one sequence, from its numbers in one row."""
    parts, begin = {}, 0
    for name, tensor in named_tensors(like):
        parts[name] = row[None, begin : begin + tensor.shape[1]]
        begin += tensor.shape[1]
    return from_named_tensors(like, parts)


def error_vectors(
    network: Network[Any], x: Tensor, loss: Callable[[Tensor], Tensor]
) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """For each sequence and timestep: the state before it, and dE/ds after it.

    dE/ds by nudging: each number of the state after timestep t is moved by itself, what that timestep says
    is said again from the moved state, and everything later follows.
    """
    outputs, states = network.unroll(x)
    befores, vectors = [], []
    for of in range(B):
        visited = [network.initial_state(B), *states]
        befores.append([flat(state, of).detach() for state in visited[:-1]])
        vectors.append([])
        for t in range(T):
            moved = flat(states[t], of).detach().requires_grad_()
            state = from_flat(states[t], moved)
            said = [output[None] for output in outputs[of].detach()]
            said[t] = network.readout(state.h[-1])[0][None]  # type: ignore[operator]
            for later in range(t + 1, T):
                said[later], state = network.step(x[of : of + 1, later], state)
            whole = outputs.detach().clone()
            whole[of] = torch.cat(said)
            (vector,) = torch.autograd.grad(loss(whole), [moved])
            vectors[-1].append(vector)
    return befores, vectors


def one_by_one(network: Network[Any], x: Tensor, befores: Any, vectors: Any) -> float:
    """Ω with the Jacobian of every single step written out."""
    terms = []
    like = network.initial_state(1)
    for of in range(B):
        for t in range(T):
            x_t = x[of : of + 1, t]

            def step(row: Tensor, x_t: Tensor = x_t) -> Tensor:
                return flat(network.step(x_t, from_flat(like, row))[1], 0)

            J = jacobian(step, befores[of][t])
            v = vectors[of][t]
            if float(v @ v) >= 1e-20:
                terms.append(float(((v @ J).square().sum() / v.square().sum() - 1).square()))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("name", "layers"), [("elman", 1), ("elman", 2), ("gru", 1), ("lstm", 1), ("lstm", 2)]
)
def test_value_and_gradient_agree_with_jacobians_and_finite_differences(
    name: str, layers: int, loss: Callable[[Tensor], Tensor]
) -> None:
    """States and dE/ds are held while a weight is nudged: the derivative is the immediate one."""
    network, x = build(name, layers=layers), inputs()
    befores, vectors = error_vectors(network, x, loss)
    found = omega(network, x, None, loss)
    assert float(found.value) == pytest.approx(one_by_one(network, x, befores, vectors), rel=1e-9)
    nudge = 1e-6
    for role, weight in recurrent_weights(network).items():
        for place in ((0, 0), (1, 2), (weight.shape[0] - 1, 1)):
            sides = []
            for sign in (1, -1):
                with torch.no_grad():
                    weight[place] += sign * nudge
                    sides.append(one_by_one(network, x, befores, vectors))
                    weight[place] -= sign * nudge
            slope = (sides[0] - sides[1]) / (2 * nudge)
            assert float(found.gradients[role][place]) == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_a_plain_network_has_the_omega_of_the_papers_formula(nonlinearity: str) -> None:
    """v_k = v_{k+1} diag(φ') Ws, written out; for ReLU also the authors' gradient, which holds the slopes."""
    network, x = build("elman", nonlinearity=nonlinearity), inputs()
    (Ws,) = recurrent_weights(network).values()
    roles = network.weight_roles()
    driven = x @ roles["Wx/0"].T + network.rnn.bias_ih_l0 + network.rnn.bias_hh_l0  # type: ignore[union-attr]
    squash = torch.tanh if nonlinearity == "tanh" else torch.relu
    h = [torch.zeros(B, H, dtype=torch.float64)]
    for t in range(T):
        h.append(squash(driven[:, t] + h[-1] @ Ws.T))
    y = network.readout(torch.stack(h[1:], dim=1))  # type: ignore[operator]
    dE = [g.detach() for g in torch.autograd.grad(everywhere(y), h[1:], retain_graph=True)]
    held = [state.detach() for state in h]

    def papers(slopes_are_held: bool) -> Tensor:
        ratios, counted = [], 0
        for t in range(T):
            after = held[t + 1] if slopes_are_held else squash(driven[:, t].detach() + held[t] @ Ws.T)
            slope = 1 - after**2 if nonlinearity == "tanh" else (after > 0).double()
            carried = (dE[t] * slope) @ Ws
            ratios.append((carried.square().sum(1) / dE[t].square().sum(1) - 1).square().sum())
            counted += B
        return torch.stack(ratios).sum() / counted

    found = omega(network, x, None, everywhere)
    for slopes_are_held in (False, True):
        value = papers(slopes_are_held)
        assert float(found.value) == pytest.approx(value.item(), rel=1e-12)
        (gradient,) = torch.autograd.grad(value, [Ws])
        if nonlinearity == "relu" or not slopes_are_held:
            torch.testing.assert_close(found.gradients["Ws/0"], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "layers"), NETWORKS)
def test_every_network_with_state_to_state_weights_has_an_omega(name: str, layers: int) -> None:
    """In float32 too, from a state that is not the first; parameters' own gradients are left alone."""
    network = build(name, layers=layers).float()
    x = inputs().float()
    _, state = network(x)
    found = omega(network, x, state, lambda outputs: everywhere(outputs.double()))
    assert torch.isfinite(found.value)
    assert set(found.gradients) == set(recurrent_weights(network))
    assert any(bool(gradient.abs().max() > 0) for gradient in found.gradients.values())
    assert all(bool(gradient.isfinite().all()) for gradient in found.gradients.values())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_rotation_keeps_every_gradients_length_so_that_omega_is_nothing() -> None:
    network = build("elman", nonlinearity="linear")
    with torch.no_grad():
        (Ws,) = recurrent_weights(network).values()
        Ws.copy_(torch.linalg.qr(torch.randn(H, H, dtype=torch.float64)).Q)
    found = omega(network, inputs(), None, everywhere)
    assert float(found.value) == pytest.approx(0, abs=1e-20)
    assert float(found.gradients["Ws/0"].abs().max()) < 1e-12


def test_following_its_gradient_brings_a_vanishing_gradient_back() -> None:
    """What the regulariser is for: Ws at 0.3 lets gradients shrink to 9% a step, in squares."""
    network, x = build("elman", nonlinearity="linear"), inputs()
    (Ws,) = recurrent_weights(network).values()
    with torch.no_grad():
        Ws.copy_(0.3 * torch.eye(H))
    first = omega(network, x, None, at_the_end)
    assert float(first.value) == pytest.approx((0.09 - 1) ** 2)
    for _ in range(200):
        with torch.no_grad():
            Ws -= 0.05 * omega(network, x, None, at_the_end).gradients["Ws/0"]
    assert float(omega(network, x, None, at_the_end).value) < 1e-3


def test_timesteps_that_no_gradient_reaches_are_left_out() -> None:
    """A loss on the first output alone: only the step to the first state counts."""
    network, x = build("elman"), inputs()

    def at_the_beginning(outputs: Tensor) -> Tensor:
        return outputs[:, 0].square().sum()

    whole = omega(network, x, None, at_the_beginning)
    alone = omega(network, x[:, :1], None, at_the_beginning)
    assert float(whole.value) == pytest.approx(float(alone.value), rel=1e-12)
    nothing = omega(network, x, None, lambda outputs: 0 * outputs.sum())
    assert float(nothing.value) == 0
    assert float(nothing.gradients["Ws/0"].abs().max()) == 0


@pytest.mark.parametrize("name", ["ffnn", "tdnn"])
def test_a_network_without_state_to_state_weights_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no state-to-state weights"):
        omega(build(name), inputs(), None, everywhere)


@pytest.mark.parametrize(("name", "layers"), NETWORKS)
@pytest.mark.parametrize("scale", [1e22, 1e-6])
def test_omega_is_the_same_whatever_the_size_of_the_loss(name: str, layers: int, scale: float) -> None:
    """In float32, where the squares of such a gradient are infinite: Ω is made of ratios alone."""
    network = build(name, layers=layers).float()
    x = inputs().float()
    expected = omega(network, x, None, at_the_end)
    found = omega(network, x, None, lambda outputs: scale * at_the_end(outputs))
    torch.testing.assert_close(found.value, expected.value, rtol=1e-4, atol=1e-7)
    for role, gradient in expected.gradients.items():
        torch.testing.assert_close(found.gradients[role], gradient, rtol=1e-3, atol=1e-5)
