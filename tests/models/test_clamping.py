"""Clamped networks beside the same equations with the units overwritten by hand."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from models import MODELS
from models.base import Network, map_state
from models.clamping import Span
from tests.models.by_hand import holding, outputs_by_hand

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "lstm": [{"peepholes": True}, {"forget_gate": False}],
    "slstm": [{"forget_gate": "exponential"}],
    "mingru": [{"candidate": "positive"}],
    "jordan": [{"feedback": "softmax", "decay": 0.0}],
    "tdnn": [{"hidden_delays": 0}],
}
CASES = [(name, settings) for name in MODELS for settings in [{}, *VARIANTS.get(name, [])]]
SIZES = {"hidden_size": 4, "layers": 2, "delays": 2, "hidden_delays": 3}
B, T, D, O = 5, 7, 3, 4  # noqa: E741 - the package's own letters

each_network = pytest.mark.parametrize(
    ("name", "settings"), CASES, ids=["-".join([n, *map(str, s.values())]) for n, s in CASES]
)


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(name: str, settings: dict[str, Any]) -> tuple[Network[Any], Tensor, dict[str, Any]]:
    """A small network, an input (B, T, D), and the settings by which the network was built."""
    spec = MODELS[name]
    sizes = {key: value for key, value in SIZES.items() if key in spec.config.model_fields}
    network = spec.build(spec.config(**sizes | settings), D, O, seed=1).double().eval()
    return network, randn(B, T, D, seed=0), sizes | settings


def some_of(span: Span) -> list[float]:
    """Both ends, as far as there are any, and a number between them."""
    low, high = max(span.low, -2.0), min(span.high, 2.0)
    return [low] if low == high else [low, high, 0.25 * low + 0.75 * high]


@each_network
@pytest.mark.parametrize("length", [1, T])
def test_a_clamped_network_is_its_equations_with_the_units_overwritten(
    name: str, settings: dict[str, Any], length: int
) -> None:
    """Everything that can be held, at the ends of its range and inside it, on every path of computation."""
    network, x, settings = built(name, settings)
    x = x[:, :length]
    untouched = outputs_by_hand(name, network, settings, x, holding("", [], 0.0))
    torch.testing.assert_close(network(x)[0], untouched, rtol=1e-9, atol=1e-11)
    assert network.clampable()
    for held, span in network.clampable().items():
        assert span.units == (O if held == "s/0" else SIZES["hidden_size"])
        for value in some_of(span):
            changed = copy.deepcopy(network)
            changed.clamp(held, [1, 3], value)
            expected = outputs_by_hand(name, network, settings, x, holding(held, [1, 3], value))
            for outputs in (changed(x)[0], changed.unroll(x)[0], Network.unroll(changed, x)[0]):
                assert float((outputs - expected).detach().abs().max()) < 1e-10, f"{held} at {value}"


@each_network
def test_a_clamped_network_goes_on_from_any_state_as_step_does(name: str, settings: dict[str, Any]) -> None:
    network, x, _ = built(name, settings)
    state = network(randn(B, T, D, seed=1))[1]
    for held, span in network.clampable().items():
        changed = copy.deepcopy(network)
        changed.clamp(held, [0, 2], some_of(span)[-1])
        outputs, after = changed(x, state)
        stepped, states = Network.unroll(changed, x, state)
        torch.testing.assert_close(outputs, stepped, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(after, states[-1], rtol=1e-9, atol=1e-11)


@each_network
def test_a_clamped_gate_stands_still_and_the_others_of_its_first_timestep_stay(
    name: str, settings: dict[str, Any]
) -> None:
    network, x, _ = built(name, settings)
    before = network.gates(x)
    for gate in before.keys() & network.clampable().keys():
        if name == "slstm" and gate[0] in "if":
            continue  # told as shares of the memory, not as they are
        for value in some_of(network.clampable()[gate]):
            changed = copy.deepcopy(network)
            changed.clamp(gate, [1, 3], value)
            after = changed.gates(x)
            torch.testing.assert_close(after[gate][..., [1, 3]], torch.full((B, T, 2), value).double())
            torch.testing.assert_close(after[gate][:, 0, [0, 2]], before[gate][:, 0, [0, 2]])


@each_network
def test_nothing_of_the_input_gets_past_a_layer_whose_units_are_all_held(
    name: str, settings: dict[str, Any]
) -> None:
    network, x, _ = built(name, settings)
    changed = copy.deepcopy(network)
    changed.clamp("h/0", range(SIZES["hidden_size"]), some_of(network.clampable()["h/0"])[-1])
    if name == "lru":  # whose D goes past h
        with torch.no_grad():
            changed.weight_roles()["D/0"].zero_()
    outputs = changed(x)[0]
    torch.testing.assert_close(outputs, outputs[:1].expand_as(outputs))
    assert not torch.allclose(network(x)[0], network(x)[0][:1])


@pytest.mark.parametrize("candidate", ["linear", "positive"])
@pytest.mark.parametrize("value", [0.0, 0.3, 5.0])
def test_a_mingrus_held_state_is_the_value_itself_whatever_it_was_before(
    candidate: str, value: float
) -> None:
    network, x, _ = built("mingru", {"candidate": candidate})
    network.clamp("h/1", [0, 2], value)
    _, states = network.unroll(x, network.initial_state(B)._replace(h=(randn(B, 4, seed=2),) * 2))
    for state in states:
        torch.testing.assert_close(state.h[1][:, [0, 2]], torch.full((B, 2), value).double())


def test_a_held_lru_unit_is_0_in_both_parts_and_is_not_heard_where_it_is_not_0_yet() -> None:
    network, x, _ = built("lru", {})
    start = network(x)[1]
    network.clamp("h/0", [1], 0.0)
    after = network(x)[1]
    for tensor in (after.re[0], after.im[0]):
        assert (tensor == 0).nonzero()[:, 1].tolist() == [1] * B
    silenced = map_state(torch.clone, start)
    silenced.re[0][:, 1] = silenced.im[0][:, 1] = 0
    torch.testing.assert_close(network(x, start)[0], network(x, silenced)[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["sigmoid", "exponential"])
def test_an_slstm_whose_input_gate_never_changes_says_the_same_wherever_it_stands(
    kind: str, dtype: torch.dtype
) -> None:
    """And never 0 / 0: also at the lowest value, from an empty memory, over many timesteps."""
    network, _, _ = built("slstm", {"forget_gate": kind})
    x, said = randn(2, 500, D, seed=4).to(dtype), []
    for value in (network.clampable()["i/0"].low, 1.0, 1e6):
        changed = copy.deepcopy(network).to(dtype)
        for layer in (0, 1):
            changed.clamp(f"i/{layer}", range(4), value)
        said.append(changed(x)[0])
    assert said[0].isfinite().all()
    tolerance = 1e-4 if dtype == torch.float32 else 1e-11
    torch.testing.assert_close(said[0], said[1], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(said[2], said[1], rtol=tolerance, atol=tolerance)


def test_what_cannot_be_clamped_is_refused_with_what_can() -> None:
    def refused(model: str, held: str, units: list[int], value: float, told: str) -> None:
        network, x, _ = built(model, {})
        before = network(x)[0]
        with pytest.raises(ValueError, match=re.escape(told)):
            network.clamp(held, units, value)
        assert torch.equal(network(x)[0], before)

    refused("lstm", "z/0", [0], 0.5, "'z/0'; give one of: i/0, f/0, g/0, o/0, h/0")
    refused("lstm", "f/0", [0], 1.5, "value is 1.5; f/0 can be held at 0 to 1")
    refused("lstm", "h/0", [0], float("inf"), "value is inf; h/0 can be held at any number")
    refused("lstm", "h/0", [0], float("nan"), "any number")
    refused("lstm", "f/0", [1, 4], 0.5, "units has 4; f/0 has units 0 to 3")
    refused("lstm", "f/0", [-1], 0.5, "units has -1")
    refused("slstm", "i/0", [0], 0.0, "1e-30 or more")
    refused("lru", "h/0", [0], 0.5, "value is 0.5; h/0 can be held at 0 only")
