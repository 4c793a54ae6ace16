"""Clamped units: gates are seen to stand still, and states are held by hand beside them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from models import MODELS
from models.base import Network, from_named_tensors, named_tensors

CASES = [
    ("lstm", {}),
    ("lstm", {"peepholes": True}),
    ("lstm", {"forget_gate": False}),
    ("gru", {}),
    ("elman", {}),
    ("slstm", {}),  # whose exponential gates have no place to stand at: its h alone
]
LAYERS = {"hidden_size": 4, "layers": 2}


def built(name: str, settings: dict[str, Any]) -> tuple[Network[Any], Tensor]:
    spec = MODELS[name]
    network = spec.build(spec.config(**LAYERS, **settings), 3, 2, seed=1).double().eval()
    x = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return network, x


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_clamped_gate_stands_still_and_the_others_of_its_first_timestep_stay(
    name: str, settings: dict[str, Any]
) -> None:
    network, x = built(name, settings)
    before = network.gates(x)
    for gate in (gate for gate in network.clampable() if not gate.startswith("h/")):
        low, high = network.clampable()[gate]
        for value in (low, high, 0.25 * low + 0.75 * high):
            changed = copy.deepcopy(network)
            changed.clamp(gate, [1, 3], value)
            after = changed.gates(x)
            torch.testing.assert_close(
                after[gate][..., [1, 3]], torch.full((5, 7, 2), value, dtype=torch.float64)
            )
            torch.testing.assert_close(after[gate][:, 0, [0, 2]], before[gate][:, 0, [0, 2]])


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_clamped_state_is_heard_at_its_value_by_the_next_timestep(
    name: str, settings: dict[str, Any]
) -> None:
    """Beside the untouched network, whose lower h is overwritten by hand before every step.

    One timestep of lower h also reaches the layer above and the readout: that is checked by a network whose
    unit says the value anyway.
    """
    network, x = built(name, settings)
    changed = copy.deepcopy(network)
    changed.clamp("h/0", [2], 0.3)
    changed.clamp("h/1", [0], -0.4)
    state = from_named_tensors(network.initial_state(5), dict(named_tensors(network.initial_state(5))))
    other = changed.initial_state(5)
    for x_t in x.unbind(1):
        held = {field: tensor.clone() for field, tensor in named_tensors(other)}
        held["h/0"][:, 2], held["h/1"][:, 0] = 0.3, -0.4
        _, state = network.step(x_t, from_named_tensors(other, held))
        _, other = changed.step(x_t, other)
        # The layer below hears only itself: all of its units but the held one, whose own gate may keep it.
        kept = [0, 1, 3]
        torch.testing.assert_close(dict(named_tensors(other))["h/0"][:, kept], state.h[0][:, kept])


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_clamped_state_is_heard_at_its_value_by_the_readout_and_the_layer_above(
    name: str, settings: dict[str, Any]
) -> None:
    network, x = built(name, settings)
    changed = copy.deepcopy(network)
    changed.clamp("h/1", [1], 0.7)
    outputs, states = changed.unroll(x)
    top = torch.stack([state.h[1] for state in states], dim=1).clone()
    top[..., 1] = 0.7
    torch.testing.assert_close(outputs, network.readout(top))  # type: ignore[operator]
    torch.testing.assert_close(changed(x)[0], outputs)
    deaf = copy.deepcopy(network)
    deaf.clamp("h/0", list(range(4)), 0.5)
    rows = deaf(x)[0]
    torch.testing.assert_close(rows, rows[:1].expand_as(rows))  # nothing of x gets past a held layer


def test_what_cannot_be_clamped_is_refused_with_what_can() -> None:
    network, _ = built("lstm", {})
    with pytest.raises(ValueError, match="'z/0'; give one of: i/0, f/0, g/0, o/0, h/0"):
        network.clamp("z/0", [0], 0.5)
    with pytest.raises(ValueError, match=r"value is 1\.5; give one from 0 to 1"):
        network.clamp("f/0", [0], 1.5)
    spec = MODELS["ffnn"]
    with pytest.raises(ValueError, match=r"\(none\)"):
        spec.build(spec.config(), 3, 2, seed=0).clamp("h/0", [0], 0.5)
