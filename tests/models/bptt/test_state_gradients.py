"""The gradient of a loss at every timestep's state, beside an unrolled copy written out here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from models import MODELS
from models.base import EmptyState, Network, named_tensors
from models.bptt.state_gradients import state_gradient_norms

Nudge = dict[tuple[str, int], Tensor]
"""By state ("c/1") and timestep: a (B, H) tensor added to that state right after it is made."""


def build(name: str, hidden: int, layers: int = 1, **settings: Any) -> Network[Any]:
    spec = MODELS[name]
    sizes = {"hidden_size": hidden, "layers": layers}
    had = {key: size for key, size in sizes.items() if key in spec.config.model_fields}
    config = spec.config.model_validate({**had, **settings})
    return spec.build(config, 3, 2, seed=41)


def randn(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def unrolled_copy(
    name: str, network: Network[Any], x: Tensor, start: dict[str, Tensor], nudge: Nudge | None = None
) -> tuple[Tensor, dict[str, list[Tensor]]]:
    """Outputs and all states by the formulas of torch.nn's manual: the network lends its parameters only."""
    W = dict(network.named_parameters())
    layers = sum("weight_ih" in key for key in W)
    record: dict[str, list[Tensor]] = {key: [] for key in start}

    def keep(key: str, value: Tensor) -> Tensor:
        value = value + (nudge or {}).get((key, len(record[key])), 0)
        record[key].append(value)
        return value

    outputs = []
    for t in range(x.shape[1]):
        below = x[:, t]
        for layer in range(layers):
            W_i, W_h, b_i, b_h = (
                W[f"rnn.{kind}_l{layer}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            H = W_h.shape[1]
            h = record[f"h/{layer}"][-1] if t else start[f"h/{layer}"]
            xs, hs = below @ W_i.T + b_i, h @ W_h.T + b_h
            X = [xs[:, k * H : (k + 1) * H] for k in range(4)]
            S = [hs[:, k * H : (k + 1) * H] for k in range(4)]
            if name == "elman":
                h = torch.tanh(xs + hs)
            elif name == "lstm":
                c = record[f"c/{layer}"][-1] if t else start[f"c/{layer}"]
                i, f, o = torch.sigmoid(X[0] + S[0]), torch.sigmoid(X[1] + S[1]), torch.sigmoid(X[3] + S[3])
                c = keep(f"c/{layer}", f * c + i * torch.tanh(X[2] + S[2]))
                h = o * torch.tanh(c)
            else:
                r, z = torch.sigmoid(X[0] + S[0]), torch.sigmoid(X[1] + S[1])
                h = (1 - z) * torch.tanh(X[2] + r * S[2]) + z * h
            below = keep(f"h/{layer}", h)
        outputs.append(below @ W["readout.weight"].T + W["readout.bias"])
    return torch.stack(outputs, dim=1), record


def random_start(
    name: str, network: Network[Any], batch: int, hidden: int, layers: int
) -> tuple[dict[str, Tensor], Any]:
    """The same random state, by key for the copy and as the network's own type."""
    fields = ("h", "c") if name == "lstm" else ("h",)
    dtype = next(network.parameters()).dtype
    start = {
        f"{field}/{layer}": randn(batch, hidden, seed=80 + 10 * k + layer, dtype=dtype)
        for k, field in enumerate(fields)
        for layer in range(layers)
    }
    kind = type(network.initial_state(1))
    return start, kind(*(tuple(start[f"{field}/{layer}"] for layer in range(layers)) for field in fields))


def loss_at_last(outputs: Tensor) -> Tensor:
    return ((outputs[:, -1] - 0.5) ** 2).mean()


def loss_at_all(outputs: Tensor) -> Tensor:
    return ((outputs - 0.5) ** 2).mean()


def expected_norms(
    name: str, network: Network[Any], x: Tensor, start: dict[str, Tensor], loss: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    outputs, record = unrolled_copy(name, network, x, start)
    norms = {}
    for key, tensors in record.items():
        gradients = torch.autograd.grad(loss(outputs), tensors, allow_unused=True, retain_graph=True)
        entries = [torch.zeros(1).to(x) if g is None else g.pow(2).sum().sqrt().view(1) for g in gradients]
        norms[key] = torch.cat(entries)
    return norms


@pytest.mark.parametrize("loss", [loss_at_last, loss_at_all])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_equals_autograd_on_an_unrolled_copy(
    name: str, layers: int, loss: Callable[[Tensor], Tensor]
) -> None:
    network = build(name, hidden=6, layers=layers).double()
    x = randn(4, 9, 3, seed=42)
    start, state = random_start(name, network, 4, 6, layers)
    norms = state_gradient_norms(network, x, state, loss)
    expected = expected_norms(name, network, x, start, loss)
    assert norms.keys() == expected.keys()
    for key, values in expected.items():
        assert values.shape == (9,)
        assert values.min() > 0
        torch.testing.assert_close(norms[key], values, rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_equals_autograd_in_single_precision_at_the_default_size(name: str) -> None:
    """H = 64 over 50 timesteps, as a run records it, to 1e-6."""
    network = build(name, hidden=64)
    x = randn(16, 50, 3, seed=43, dtype=torch.float32)
    norms = state_gradient_norms(network, x, None, loss_at_all)
    zeros = {key: torch.zeros(16, 64) for key in norms}
    for key, values in expected_norms(name, network, x, zeros, loss_at_all).items():
        torch.testing.assert_close(norms[key].float(), values, rtol=0, atol=1e-6)
        torch.testing.assert_close(norms[key].float(), values, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("name", "key"), [("elman", "h/1"), ("lstm", "h/0"), ("lstm", "c/0"), ("lstm", "c/1"), ("gru", "h/0")]
)
def test_equals_finite_differences(name: str, key: str) -> None:
    """Nudge each entry of one state after timestep 2, carry it through, and see the loss move.

    A nudged c_t moves h_t as well; a nudged h_t leaves c_t where it was.
    """
    batch, hidden, t, size = 2, 3, 2, 1e-5
    network = build(name, hidden=hidden, layers=2).double()
    x = randn(batch, 6, 3, seed=44)
    start, state = random_start(name, network, batch, hidden, 2)

    def loss_after(nudge: Tensor) -> float:
        with torch.no_grad():
            return float(loss_at_all(unrolled_copy(name, network, x, start, {(key, t): nudge})[0]))

    slopes = []
    for entry in torch.eye(batch * hidden, dtype=torch.float64):
        nudge = size * entry.view(batch, hidden)
        slopes.append((loss_after(nudge) - loss_after(-nudge)) / (2 * size))
    measured = torch.tensor(slopes, dtype=torch.float64).norm()
    norms = state_gradient_norms(network, x, state, loss_at_all)
    torch.testing.assert_close(norms[key][t], measured, rtol=1e-6, atol=0)


def test_one_linear_unit_fades_by_its_weight_each_step() -> None:
    """A ReLU unit that stays above 0, with Ws = 0.5: |Wy|·0.5^(T−1−t) for the last y; index 0 is first."""
    network = build("elman", hidden=1, nonlinearity="relu").double()
    roles = network.weight_roles()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        roles["Wx/0"].fill_(1.0)
        roles["Ws/0"].fill_(0.5)
        roles["Wy"].copy_(torch.tensor([[-3.0], [0.0]]))
    x = torch.ones(1, 5, 3, dtype=torch.float64)
    norms = state_gradient_norms(network, x, None, lambda outputs: outputs[0, -1, 0])
    assert norms["h/0"].tolist() == [3 / 16, 3 / 8, 3 / 4, 3 / 2, 3.0]


@pytest.mark.parametrize("name", MODELS)
def test_states_that_the_loss_never_sees_have_zero_gradient(name: str) -> None:
    network = build(name, hidden=4, layers=2)
    norms = state_gradient_norms(network, randn(2, 6, 3, seed=45).float(), None, lambda y: y[:, 2].sum())
    for key, values in norms.items():
        if not key.startswith("m/"):  # an sLSTM's stabiliser, whose gradient is 0 throughout: see there
            # What a Jordan network feeds back of an output is read one timestep later.
            assert torch.all(values[:2] > 0), key
            assert values[2] > 0 or key == "y/0"
        assert torch.all(values[3:] == 0), key


@pytest.mark.parametrize("name", MODELS)
def test_leaves_no_trace(name: str) -> None:
    """Works where gradients are off; parameters' .grad, mode, state and generator stay as they were."""
    network = build(name, hidden=4)
    x = randn(2, 6, 3, seed=46).float()
    _, state = network(x)  # attached to a graph, as in the middle of training
    first, *others = network.parameters()
    first.grad = torch.full_like(first, 7.0)
    for mode in (True, False):
        network.train(mode)
        before = torch.get_rng_state()
        with torch.no_grad():
            norms = state_gradient_norms(network, x, state, loss_at_all)
            assert not torch.is_grad_enabled()
        assert all(not values.requires_grad for values in norms.values())
        assert network.training is mode
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.grad, torch.full_like(first, 7.0))
    assert all(parameter.grad is None for parameter in others)
    for _, tensor in named_tensors(state):
        if tensor.requires_grad:  # a TDNN's first delay line holds inputs
            torch.autograd.grad(tensor.sum(), first, retain_graph=True, allow_unused=True)


@pytest.mark.parametrize("name", MODELS)
def test_frozen_parameters_change_nothing(name: str) -> None:
    network = build(name, hidden=4).double()
    x = randn(2, 6, 3, seed=47)
    expected = state_gradient_norms(network, x, None, loss_at_last)
    network.requires_grad_(False)
    norms = state_gradient_norms(network, x, None, loss_at_last)
    for key, values in expected.items():
        torch.testing.assert_close(norms[key], values, rtol=1e-12, atol=0)


def test_a_state_that_only_stores_inputs_counts_and_one_that_nothing_reads_is_zero() -> None:
    """A delay of one step, y_t = s_{t−1} and s_t = x_t: the loss sum(y²) gives 2‖x_t‖, and 0 at the end."""

    class OneField(NamedTuple):
        s: tuple[Tensor, ...]

    class Delay(Network[OneField]):
        def initial_state(self, batch_size: int) -> OneField:
            return OneField((torch.zeros(batch_size, 3),))

        def forward(self, x: Tensor, state: OneField | None = None) -> tuple[Tensor, OneField]:
            outputs, states = self.unroll(x, state)
            return outputs, states[-1]

        def step(self, x_t: Tensor, state: OneField) -> tuple[Tensor, OneField]:
            return state.s[0], OneField((x_t,))

        def weight_roles(self) -> dict[str, Tensor]:
            return {}

    x = randn(2, 4, 3, seed=48).float()
    norms = state_gradient_norms(Delay(), x, None, lambda outputs: outputs.pow(2).sum())
    expected = torch.tensor([2 * float(x[:, t].norm()) for t in range(3)] + [0.0])
    torch.testing.assert_close(norms["s/0"].float(), expected)


def test_a_network_without_memory_has_no_states_to_report() -> None:
    class FeedForward(Network[EmptyState]):
        def __init__(self) -> None:
            super().__init__()
            self.readout = nn.Linear(3, 2)

        def initial_state(self, batch_size: int) -> EmptyState:  # noqa: ARG002 - the contract's signature
            return EmptyState()

        def forward(self, x: Tensor, state: EmptyState | None = None) -> tuple[Tensor, EmptyState]:
            return self.readout(x), state or EmptyState()

        def step(self, x_t: Tensor, state: EmptyState) -> tuple[Tensor, EmptyState]:
            return self.readout(x_t), state

        def weight_roles(self) -> dict[str, Tensor]:
            return {"Wy": self.readout.weight}

    assert state_gradient_norms(FeedForward(), torch.zeros(2, 4, 3), None, loss_at_all) == {}


def test_a_gradient_too_small_to_square_in_float32_is_still_measured() -> None:
    """Scaled by 1e-30, float32 gradients are exact but their squares underflow."""
    spec = MODELS["elman"]
    network = spec.build(spec.config(hidden_size=4), 2, 1, seed=0)
    x = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(1))
    whole = state_gradient_norms(network, x, None, lambda outputs: outputs.square().sum())
    tiny = state_gradient_norms(network, x, None, lambda outputs: outputs.square().sum() * 1e-30)
    torch.testing.assert_close(tiny["h/0"] * 1e30, whole["h/0"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_quicker_way_gives_what_autograd_gives(name: str) -> None:
    """A network's own ``state_gradients``, beside autograd over its unrolled steps: every entry."""
    for settings in ({}, {"nonlinearity": "relu"} if name == "elman" else {}):
        network = build(name, hidden=5, layers=3, **settings).double()
        x = randn(4, 11, 3, seed=51)
        _, state = network(randn(4, 11, 3, seed=52))
        quick = network.state_gradients(x, state, loss_at_all)
        by_autograd = Network.state_gradients(network, x, state, loss_at_all)
        assert list(quick) == list(by_autograd)
        for key, gradient in by_autograd.items():
            assert quick[key].shape == gradient.shape
            torch.testing.assert_close(quick[key], gradient, rtol=1e-9, atol=1e-15)
