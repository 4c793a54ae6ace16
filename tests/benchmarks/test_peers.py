"""The plain modules of benchmarks/peers.py compute what the networks do that are measured beside them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.peers import PEERS
from models import MODELS

D, H, O = 2, 8, 1  # noqa: E741 - the package's own letters


def complex_of(interleaved: Tensor) -> Tensor:
    """(2N, M) with real and imaginary rows in turn, as (N, M)."""
    return torch.complex(interleaved[0::2].contiguous(), interleaved[1::2].contiguous())


def lru_layer(ours: dict[str, Tensor], layer: int) -> dict[str, Tensor]:
    W = {name.split(".")[2]: tensor for name, tensor in ours.items() if name.startswith(f"layers.{layer}.")}
    W |= {"B": complex_of(W["B"]).T, "C": complex_of(W["C"].T).conj(), "D": W["D"].T}
    return {f"layers.{layer}.{name}": tensor for name, tensor in W.items()}


def weights_for_peer(name: str, ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our weights under the peer's names."""
    readout = {key: tensor for key, tensor in ours.items() if key.startswith("readout.")}
    if name == "ffnn":
        inputs = {f"layers.0.{kind}": ours[f"hidden.0.{kind}"] for kind in ("weight", "bias")}
        return inputs | {key.replace("readout", "layers.2"): tensor for key, tensor in readout.items()}
    if name == "tdnn":
        taps = {"hidden": 3, "readout": 5}
        kernels = {
            f"{unit}.weight": ours[f"units.{k}.weight"].unflatten(1, (-1, count))
            for k, (unit, count) in enumerate(taps.items())
        }
        return kernels | {f"{unit}.bias": ours[f"units.{k}.bias"] for k, unit in enumerate(taps)}
    if name == "mingru":
        rows = {"gate": slice(0, H), "candidate": slice(H, 2 * H)}
        return readout | {
            f"{part}.{kind}": ours[f"layers.0.input.{kind}"][of]
            for part, of in rows.items()
            for kind in ("weight", "bias")
        }
    if name == "lru":
        return readout | lru_layer(ours, 0) | lru_layer(ours, 1)
    if name == "slstm":
        sides = {"ih": "input", "hh": "state"}
        return readout | {
            f"{part}.{kind}": ours[f"rnn.{kind}_{side}_l0"]
            for side, part in sides.items()
            for kind in ("weight", "bias")
        }
    return ours  # named alike


@pytest.mark.parametrize("first", [0, 3, 19])
@pytest.mark.parametrize("name", MODELS)
def test_a_peer_with_our_weights_gives_our_outputs(name: str, first: int) -> None:
    """With the network's default settings, from the first wanted timestep on."""
    spec = MODELS[name]
    network: Any = spec.build(spec.config.model_validate({"hidden_size": H}), D, O, seed=1)
    peer = PEERS[name](D, H, O)
    peer.load_state_dict(weights_for_peer(name, dict(network.state_dict())))
    x = torch.randn(3, 20, D, generator=torch.Generator().manual_seed(2))
    outputs, _ = network(x, None, first)
    torch.testing.assert_close(peer(x, first), outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_peer_has_as_many_numbers_to_learn(name: str) -> None:
    spec = MODELS[name]
    network = spec.build(spec.config.model_validate({"hidden_size": H}), D, O, seed=1)
    ours = sum(parameter.numel() for parameter in network.parameters())
    theirs = sum(
        parameter.numel() * (1 + parameter.is_complex()) for parameter in PEERS[name](D, H, O).parameters()
    )
    assert theirs == ours
