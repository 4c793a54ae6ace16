"""Gates beside the equations of the papers, and what they carry."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models import MODELS
from models.base import named_tensors
from models.bptt.gates import carried, saturation
from models.bptt.jacobians import step_jacobians

H = 3


def build(name: str, **settings: Any) -> Any:
    spec = MODELS[name]
    return spec.build(spec.config.model_validate({"hidden_size": H, **settings}), 2, 1, seed=8).double()


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def parts(network: Any, layer: int, x: Tensor, h: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """What the input and what the state give to each gate."""
    W = network.rnn.get_parameter
    below = x @ W(f"weight_ih_l{layer}").T + W(f"bias_ih_l{layer}")
    before = h @ W(f"weight_hh_l{layer}").T + W(f"bias_hh_l{layer}")
    return tuple(below.split(H, dim=1)), tuple(before.split(H, dim=1))


@pytest.mark.parametrize("forget_gate", [True, False])
@pytest.mark.parametrize("peepholes", [True, False])
def test_gates_of_an_lstm_are_those_of_its_equations(forget_gate: bool, peepholes: bool) -> None:
    network = build("lstm", layers=2, forget_gate=forget_gate, peepholes=peepholes)
    x, state = randn(4, 5, 2), network.initial_state(4)
    h, c = [randn(4, H, seed=1), randn(4, H, seed=2)], [randn(4, H, seed=3), randn(4, H, seed=4)]
    found = network.gates(x, type(state)(tuple(h), tuple(c)))
    letters = "ifgo" if forget_gate else "igo"
    assert sorted(found) == sorted(f"{letter}/{layer}" for letter in letters for layer in range(2))
    with torch.no_grad():
        for t in range(5):
            below = x[:, t]
            for layer in range(2):
                a, s = parts(network, layer, below, h[layer])
                sums = {letter: a[n] + s[n] for n, letter in enumerate(letters)}
                peep = {
                    k: network.peepholes[f"{k}{layer}"] if peepholes else 0.0 for k in letters if k != "g"
                }
                i, g = torch.sigmoid(sums["i"] + peep["i"] * c[layer]), torch.tanh(sums["g"])
                f = torch.sigmoid(sums["f"] + peep["f"] * c[layer]) if forget_gate else None
                c[layer] = (c[layer] if f is None else f * c[layer]) + i * g
                o = torch.sigmoid(sums["o"] + peep["o"] * c[layer])
                below = h[layer] = o * torch.tanh(c[layer])
                for letter, gate in {"i": i, "f": f, "g": g, "o": o}.items():
                    if gate is not None:
                        torch.testing.assert_close(found[f"{letter}/{layer}"][:, t], gate)


def test_gates_of_a_gru_are_those_of_its_equations() -> None:
    network = build("gru", layers=2)
    x, h = randn(4, 5, 2), [torch.zeros(4, H).double() for _ in range(2)]
    found = network.gates(x)
    with torch.no_grad():
        for t in range(5):
            below = x[:, t]
            for layer in range(2):
                (xr, xz, xn), (sr, sz, sn) = parts(network, layer, below, h[layer])
                r, z = torch.sigmoid(xr + sr), torch.sigmoid(xz + sz)
                n = torch.tanh(xn + r * sn)
                below = h[layer] = (1 - z) * n + z * h[layer]
                for letter, gate in {"r": r, "z": z, "n": n}.items():
                    torch.testing.assert_close(found[f"{letter}/{layer}"][:, t], gate)


def test_an_embedding_comes_before_the_gates() -> None:
    network = build("lstm", embedding_size=4)
    x = randn(2, 3, 2)
    alone = build("lstm", embedding_size=4).rnn
    again = network.gates(x)["i/0"][:, 0]
    embedded = x[:, 0] @ network.embedding.weight.T
    expected = torch.sigmoid((embedded @ alone.weight_ih_l0.T + alone.bias_ih_l0 + alone.bias_hh_l0)[:, :H])
    torch.testing.assert_close(again, expected.detach())


def test_every_network_says_which_gates_it_has_and_names_those_that_keep_its_state(case: Any) -> None:
    found = case.network.gates(case.x, case.state)
    for name, gate in found.items():
        assert gate.shape[:2] == case.x.shape[:2], name
        assert not gate.requires_grad
    fields = type(case.state)._fields
    for field, letter in case.network.kept_by.items():
        assert field in fields
        layers = [name.split("/")[1] for name, _ in named_tensors(case.state) if name.startswith(f"{field}/")]
        for layer in layers:
            assert (
                0 <= float(found[f"{letter}/{layer}"].min()) <= float(found[f"{letter}/{layer}"].max()) <= 1
            )


def test_an_lstms_forget_gate_is_the_jacobian_of_its_cell() -> None:
    network, x = build("lstm"), randn(2, 4, 2)
    cell = step_jacobians(network, x, None)[:, :, H:, H:]  # ∂c_t/∂c_{t−1}, h held constant
    torch.testing.assert_close(cell, torch.diag_embed(network.gates(x)["f/0"].transpose(0, 1)))


def test_what_is_carried_is_the_product_of_the_gates_in_between() -> None:
    gate = randn(2, 6, H).sigmoid()
    found = carried(gate)
    for t in range(6):
        for k in range(6):
            expected = float(gate[:, k + 1 : t + 1].prod(1).mean()) if k <= t else 0.0
            assert float(found[t, k]) == pytest.approx(expected)


def test_a_gate_that_shuts_wholly_carries_nothing_past() -> None:
    gate = torch.ones(1, 4, 1)
    gate[0, 2] = 0
    assert carried(gate).tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]


def test_saturation_counts_the_time_near_each_end() -> None:
    values = torch.tensor([[[0.05, 0.5], [0.95, 0.91], [0.5, 0.99], [0.02, 0.89]]])
    found = saturation(values)
    assert found.low.tolist() == [0.5, 0.0]
    assert found.high.tolist() == [0.25, 0.5]
    of_tanh = saturation(2 * values - 1, floor=-1)
    assert (of_tanh.low.tolist(), of_tanh.high.tolist()) == (found.low.tolist(), found.high.tolist())


def test_what_is_carried_is_a_mean_over_the_sequences_that_have_not_ended() -> None:
    gate, lengths = torch.rand(3, 6, H, generator=torch.Generator().manual_seed(1)), torch.tensor([2, 5, 4])
    found = carried(gate, lengths)
    for t in range(6):
        for k in range(6):
            there = [
                float(gate[b, k + 1 : t + 1].double().prod(0).mean()) for b in range(3) if t < lengths[b]
            ]
            expected = sum(there) / len(there) if there and k <= t else 0.0
            assert float(found[t, k]) == pytest.approx(expected)
