"""The time-delay network beside the sums of its equations, written out delay by delay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from models.base import detach, map_state
from models.tdnn import TDNN, TDNNConfig, TDNNState

B, D, H, O = 3, 2, 4, 3  # noqa: E741 - the package's own letters
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "linear": lambda a: a,
}
SIZES = [(1, 2, 4), (2, 2, 3), (3, 1, 1), (2, 3, 0), (1, 0, 2), (2, 0, 0)]
"""Layers, input delays, hidden delays."""


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(layers: int, delays: int, hidden_delays: int, **settings: Any) -> TDNN:
    torch.manual_seed(1)
    config = TDNNConfig(hidden_size=H, layers=layers, delays=delays, hidden_delays=hidden_delays, **settings)
    network = TDNN(config, D, O).double()
    with torch.no_grad():
        for k, parameter in enumerate(network.parameters()):
            parameter.copy_(randn(*parameter.shape, seed=100 + k) / 2)
    return network


def random_state(network: TDNN, seed: int) -> TDNNState:
    generator = torch.Generator().manual_seed(seed)
    return map_state(
        lambda zeros: torch.randn(zeros.shape, generator=generator, dtype=zeros.dtype),
        network.initial_state(B),
    )


def by_the_equations(
    network: TDNN, x: Tensor, state: TDNNState, activation: str = "tanh"
) -> tuple[Tensor, TDNNState, dict[str, list[Tensor]]]:
    """Outputs, final state and every state, each delay line a list of values, the newest first.

    The lines' contents after each timestep pass through one recorded tensor, so that autograd's gradient of
    it is the total derivative.
    """
    roles = network.weight_roles()
    biases = [p for name, p in network.named_parameters() if name.endswith("bias")]
    weights = [roles[f"Wx/{layer}"] for layer in range(len(state.h))] + [roles["Wy"]]
    lines = [*state.x, *state.h]
    names = ["x/0", *(f"h/{layer}" for layer in range(len(state.h)))]
    record: dict[str, list[Tensor]] = {name: [] for name in names}
    outputs = []
    for t in range(x.shape[1]):
        value = x[:, t]
        for index, (W, b) in enumerate(zip(weights, biases, strict=True)):
            width = value.shape[1]
            taps = W.shape[1] // width
            held = lines[index].reshape(B, width, taps)
            contents = [value, *(held[:, :, taps - 1 - d] for d in range(taps - 1))]  # by delay
            lines[index] = torch.stack(contents[::-1], dim=2).reshape(B, width * taps)
            record[names[index]].append(lines[index])
            contents = list(lines[index].reshape(B, width, taps).flip(2).unbind(2))
            value = b.expand(B, -1)
            for d, past in enumerate(contents):
                value = value + past @ W.reshape(-1, width, taps)[:, :, taps - 1 - d].T
            if index < len(weights) - 1:
                value = FUNCTIONS[activation](value)
        outputs.append(value)
    return torch.stack(outputs, dim=1), TDNNState((lines[0],), tuple(lines[1:])), record


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize(("layers", "delays", "hidden_delays"), SIZES)
@pytest.mark.parametrize("length", [1, 2, 9])
def test_forward_equals_the_sums_over_delays(
    layers: int, delays: int, hidden_delays: int, length: int, activation: str
) -> None:
    """Outputs, the lines after the last timestep, and the gradients of all weights."""
    network = build(layers, delays, hidden_delays, activation=activation)
    x, start = randn(B, length, D, seed=2), random_state(network, seed=3)
    outputs, after = network(x, start)
    expected, end, _ = by_the_equations(network, x, start, activation)
    torch.testing.assert_close((outputs, after), (expected, end), rtol=1e-11, atol=1e-11)
    mix = randn(B, length, O, seed=4)
    parameters = list(network.parameters())
    got = torch.autograd.grad((mix * outputs).sum(), parameters)
    want = torch.autograd.grad((mix * expected).sum(), parameters)
    torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("first", range(13))
@pytest.mark.parametrize(("layers", "delays", "hidden_delays"), SIZES)
def test_what_is_not_wanted_changes_nothing_that_is(
    layers: int, delays: int, hidden_delays: int, first: int
) -> None:
    """Outputs from ``first`` on, the state, and the gradient of x, though less is computed."""
    network = build(layers, delays, hidden_delays)
    x, start = randn(B, 12, D, seed=5).requires_grad_(), random_state(network, seed=6)
    whole, end = network(x, start)
    part, after = network(x, start, first)
    torch.testing.assert_close((part, after), (whole[:, first:], end), rtol=1e-12, atol=1e-13)
    mix, of_state = randn(B, 12 - first, O, seed=7), after.h[-1].sum()
    got = torch.autograd.grad((mix * part).sum() + of_state, x)
    want = torch.autograd.grad((mix * whole[:, first:]).sum() + end.h[-1].sum(), x)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("layers", "delays", "hidden_delays"), SIZES)
def test_an_output_sees_the_receptive_field_and_nothing_more(
    layers: int, delays: int, hidden_delays: int
) -> None:
    """1 + N + L·M timesteps, as told to the reader: there alone is the gradient of the last output not 0."""
    network = build(layers, delays, hidden_delays)
    seen = 1 + delays + layers * hidden_delays
    x = randn(B, 20, D, seed=8).requires_grad_()
    (gradient,) = torch.autograd.grad(network(x)[0][:, -1].square().sum(), x)
    reached = gradient.abs().sum(dim=(0, 2)) > 0
    assert reached.tolist() == [False] * (20 - seen) + [True] * seen
    assert network.facts()["Receptive field"].startswith(f"{seen} timestep")
    assert network.config.receptive_field == seen


def test_a_zero_state_is_zeros_before_the_first_timestep() -> None:
    """The same outputs as when zeros really came first, where no bias makes hidden units answer to them."""
    network = build(2, 2, 3)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    x = randn(B, 5, D, seed=9)
    padded = torch.cat((torch.zeros(B, 15, D).double(), x), dim=1)
    torch.testing.assert_close(network(x)[0], network(padded)[0][:, 15:])


@pytest.mark.parametrize("cut", [1, 2, 5, 11])
def test_windows_shorter_than_the_delays_hand_over_exactly(cut: int) -> None:
    network = build(2, 3, 4)
    x, state = randn(B, 12, D, seed=10), random_state(network, seed=11)
    whole, end = network(x, state)
    pieces = []
    for piece in x.split(cut, dim=1):
        outputs, state = network(piece, detach(state))
        pieces.append(outputs)
    torch.testing.assert_close((torch.cat(pieces, dim=1), state), (whole, end), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize(("layers", "delays", "hidden_delays"), SIZES)
@pytest.mark.parametrize("length", [1, 2, 9])
def test_state_gradients_equal_autograd_on_an_unrolled_copy(
    layers: int, delays: int, hidden_delays: int, length: int, activation: str
) -> None:
    """Also where a loss asks for a few outputs only, and where windows are shorter than the lines."""
    network = build(layers, delays, hidden_delays, activation=activation)
    x, start, mix = randn(B, length, D, seed=12), random_state(network, seed=13), randn(B, length, O, seed=14)

    for chosen in (slice(None), slice(-1, None)):

        def loss(outputs: Tensor, chosen: slice = chosen) -> Tensor:
            return (mix * outputs.sin())[:, chosen].sum()

        gradients = network.state_gradients(x, start, loss)
        with torch.enable_grad():
            outputs, _, record = by_the_equations(network, x.clone().requires_grad_(), start, activation)
        assert gradients.keys() == record.keys()
        for name, history in record.items():
            expected = torch.autograd.grad(loss(outputs), history, retain_graph=True)
            torch.testing.assert_close(gradients[name], torch.stack(expected), rtol=1e-10, atol=1e-12)


def test_no_gradient_reaches_a_state_that_the_last_output_no_longer_sees() -> None:
    network = build(2, 2, 3)
    gradients = network.state_gradients(randn(B, 20, D, seed=15), None, lambda y: y[:, -1].square().sum())
    reached = {name: (g.abs().sum(dim=(1, 2)) > 0).sum().item() for name, g in gradients.items()}
    assert reached == {"x/0": 9, "h/0": 7, "h/1": 4}  # each counts its own timestep and what reads it later
    assert all(g[-1].abs().sum() > 0 for g in gradients.values())


def test_dropout_zeroes_a_unit_for_as_long_as_the_line_holds_it() -> None:
    """Between layers, in training only: the state of the first layer holds zeros, that of the last none."""
    network = build(2, 1, 3, dropout=0.5)
    x = randn(B, 6, D, seed=16)
    torch.manual_seed(3)
    outputs, after = network.train()(x)
    zeros = [int((line == 0).sum()) for line in after.h]
    assert 0.2 < zeros[0] / after.h[0].numel() < 0.8
    assert zeros[1] == 0
    readout = outputs[:, -1] - after.h[1] @ network.weight_roles()["Wy"].T
    torch.testing.assert_close(readout, readout[:1].expand_as(readout))  # the bias alone is left
    a, b = (network.eval()(x)[0] for _ in range(2))
    assert torch.equal(a, b)
    assert torch.equal(a, build(2, 1, 3)(x)[0])


def test_weights_have_their_taps_side_by_side() -> None:
    network = build(2, 2, 3, embedding_size=5)
    shapes = {name: tuple(weight.shape) for name, weight in network.weight_roles().items()}
    assert shapes == {"We": (5, D), "Wx/0": (H, 5 * 3), "Wx/1": (H, H * 4), "Wy": (O, H * 4)}
    assert network.config.state_size == 2 * H * 4
