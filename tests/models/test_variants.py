"""What the settings of the recurrent networks do, beside formulas written out here from the papers."""

from __future__ import annotations

import math
from typing import Any

import pydantic
import pytest
import torch
from torch import Tensor, nn

from models import MODELS
from models.base import Network

D, H, O = 3, 5, 2  # noqa: E741 - the package's own letters


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(name: str, seed: int = 3, **settings: Any) -> Network[Any]:
    spec = MODELS[name]
    return spec.build(spec.config.model_validate({"hidden_size": H, **settings}), D, O, seed=seed).double()


def close(ours: Tensor, reference: Tensor) -> None:
    torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("forget_gate", [True, False])
@pytest.mark.parametrize("peepholes", [True, False])
def test_lstm_variants_follow_the_papers(forget_gate: bool, peepholes: bool) -> None:
    """Gers & Schmidhuber 2000: i and f look at the cell before, o at the cell after. 1997: none forgets.

    One unit at a time, in plain numbers.
    """
    network = build("lstm", forget_gate=forget_gate, peepholes=peepholes, forget_bias=None)
    W = {name: parameter.tolist() for name, parameter in network.named_parameters()}
    gates = "ifgo" if forget_gate else "igo"
    x = randn(1, 6, D, seed=4)
    outputs, final = network(x)

    def sigmoid(a: float) -> float:
        return 1 / (1 + math.exp(-a))

    h, c = [0.0] * H, [0.0] * H
    for t in range(6):
        new_h, new_c = [], []
        for unit in range(H):
            a = {}
            for k, gate in enumerate(gates):
                row = k * H + unit
                a[gate] = W["rnn.bias_ih_l0"][row] + W["rnn.bias_hh_l0"][row]
                a[gate] += sum(
                    w * v for w, v in zip(W["rnn.weight_ih_l0"][row], x[0, t].tolist(), strict=True)
                )
                a[gate] += sum(w * v for w, v in zip(W["rnn.weight_hh_l0"][row], h, strict=True))
            p = {gate: W[f"peepholes.{gate}0"][unit] if peepholes else 0.0 for gate in gates if gate != "g"}
            f = sigmoid(a["f"] + p["f"] * c[unit]) if forget_gate else 1.0
            cell = f * c[unit] + sigmoid(a["i"] + p["i"] * c[unit]) * math.tanh(a["g"])
            new_c.append(cell)
            new_h.append(sigmoid(a["o"] + p["o"] * cell) * math.tanh(cell))
        h, c = new_h, new_c
        expected = [
            b + sum(w * v for w, v in zip(row, h, strict=True))
            for row, b in zip(W["readout.weight"], W["readout.bias"], strict=True)
        ]
        close(outputs[0, t], torch.tensor(expected, dtype=torch.float64))
    close(final.c[0][0], torch.tensor(c, dtype=torch.float64))


def test_the_lstm_without_forget_gate_keeps_its_cell_for_ever() -> None:
    """With its input gate shut, the cell of 1997 is the same after 500 timesteps; that is its whole point."""
    network = build("lstm", forget_gate=False)
    with torch.no_grad():
        for name in ("bias_ih_l0", "bias_hh_l0"):
            network.get_parameter(f"rnn.{name}")[:H] = -500.0
    start = network.initial_state(2)
    start = start._replace(c=(randn(2, H, seed=5),))
    _, final = network(randn(2, 500, D, seed=6), start)
    assert torch.equal(final.c[0], start.c[0])


@pytest.mark.parametrize(("name", "function"), [("sigmoid", torch.sigmoid), ("linear", lambda a: a)])
def test_elman_nonlinearities_beyond_pytorchs(name: str, function: Any) -> None:
    network = build("elman", nonlinearity=name)
    W = dict(network.named_parameters())
    x, h = randn(4, 6, D, seed=7), torch.zeros(4, H, dtype=torch.float64)
    outputs, _ = network(x)
    for t in range(6):
        h = function(
            x[:, t] @ W["rnn.weight_ih_l0"].T
            + W["rnn.bias_ih_l0"]
            + h @ W["rnn.weight_hh_l0"].T
            + W["rnn.bias_hh_l0"]
        )
        close(outputs[:, t], h @ W["readout.weight"].T + W["readout.bias"])


# --- How weights start -------------------------------------------------------------------------------


def recurrent_blocks(network: Network[Any]) -> list[Tensor]:
    return [
        block.detach()
        for role, Ws in network.weight_roles().items()
        if role.startswith("Ws")
        for block in Ws.split(Ws.shape[1])
    ]


def deviation(tensor: Tensor) -> float:
    return float(tensor.detach().square().mean().sqrt())


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_orthogonal_start(name: str) -> None:
    for block in recurrent_blocks(build(name, init="orthogonal", layers=2)):
        torch.testing.assert_close(block @ block.T, torch.eye(H).double(), rtol=0, atol=1e-6)


def test_identity_start_with_relu_adds_its_inputs_up() -> None:
    """IRNN (Le et al. 2015): with Ws = I and no bias, positive contributions only ever add to the state."""
    network = build("elman", init="identity", nonlinearity="relu", hidden_size=64)
    roles = network.weight_roles()
    assert torch.equal(roles["Ws/0"], torch.eye(64).double())
    assert 0.0008 < deviation(roles["Wx/0"]) < 0.0012
    x = randn(1, 20, D, seed=8)
    contributions = x[0] @ roles["Wx/0"].detach().T  # (T, H)
    state, expected = network.initial_state(1), torch.zeros(64, dtype=torch.float64)
    for t in range(20):
        _, state = network.step(x[:, t], state)
        expected = (expected + contributions[t]).clamp(min=0)
        close(state.h[0][0], expected)


@pytest.mark.parametrize(("start", "size"), [("sigmoid", 0.01), ("basic_tanh", 0.1)])
def test_two_of_pascanus_starts(start: str, size: float) -> None:
    network = build("elman", init=start, hidden_size=100)
    for role, weight in network.weight_roles().items():
        assert 0.8 * size < deviation(weight) < 1.2 * size, role
    for name, parameter in network.named_parameters():
        if "bias" in name:
            assert torch.count_nonzero(parameter) == 0


def test_smart_tanh_is_sparse_with_its_spectral_radius() -> None:
    network = build("elman", init="smart_tanh", hidden_size=50)
    (Ws,) = recurrent_blocks(network)
    assert (Ws != 0).sum(dim=1).tolist() == [15] * 50
    assert float(torch.linalg.eigvals(Ws).abs().max()) == pytest.approx(0.95, rel=1e-5)
    assert 0.005 < deviation(network.weight_roles()["Wy"]) < 0.015


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
@pytest.mark.parametrize("start", ["pytorch", "orthogonal"])
def test_spectral_radius_is_the_number_set(name: str, start: str) -> None:
    """By repeated squaring: the growth rate of a matrix power, not the routine that the network used."""
    for block in recurrent_blocks(build(name, init=start, spectral_radius=1.3, layers=2)):
        power, logarithm = block.clone(), 0.0
        for _ in range(12):  # to the power of 4096
            power = power @ power
            size = float(power.norm())
            power, logarithm = power / size, 2 * logarithm + math.log(size)
        assert math.exp(logarithm / 4096) == pytest.approx(1.3, rel=5e-3)


def test_eigenvalues_of_a_huge_matrix_are_refused() -> None:
    for settings in ({"spectral_radius": 1.0}, {"init": "smart_tanh"}):
        with pytest.raises(pydantic.ValidationError, match="512 or less"):
            MODELS["elman"].config.model_validate({"hidden_size": 513, **settings})
        # Each layer has its own, and the time goes with the cube of the size.
        with pytest.raises(pydantic.ValidationError, match="256 or less"):
            MODELS["elman"].config.model_validate({"hidden_size": 257, "layers": 8, **settings})
        MODELS["elman"].config.model_validate({"hidden_size": 256, "layers": 8, **settings})


# --- Dropout and embedding ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_dropout_acts_between_layers_and_in_training_only(name: str) -> None:
    """The mean over many masks is what no dropout gives to first order; evaluation draws no mask at all."""
    torch.manual_seed(0)
    network, plain = build(name, layers=2, dropout=0.4), build(name, layers=2)
    x = randn(2, 4, D, seed=9)
    network.eval()
    with torch.no_grad():
        expected, _ = plain(x)
        close(network(x)[0], expected)
        close(network.unroll(x)[0], expected)
        network.train()
        for read in (lambda: network(x)[0], lambda: network.unroll(x)[0]):
            drawn = torch.stack([read() for _ in range(2000)])
            assert deviation(drawn - drawn.mean(dim=0)) > 0.01
            torch.testing.assert_close(drawn.mean(dim=0), expected, rtol=0, atol=0.05)
        alone = build(name, layers=1, dropout=0.4).train()
        close(alone(x)[0], build(name, layers=1)(x)[0])


def test_dropout_keeps_the_share_that_it_says() -> None:
    """A linear network that passes its lower layer on as it is: the output counts the masks."""
    torch.manual_seed(1)
    network = build("elman", layers=2, dropout=0.25, nonlinearity="linear", hidden_size=64)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        roles = network.weight_roles()
        roles["Wx/0"].fill_(1 / D)
        roles["Wx/1"].copy_(torch.eye(64))
        outputs, states = network.train().unroll(torch.ones(50, 4, D, dtype=torch.float64))
    kept = torch.stack([state.h[1] for state in states])
    assert {0.0, round(1 / 0.75, 6)} == {round(value, 6) for value in kept.unique().tolist()}
    assert float((kept > 0).double().mean()) == pytest.approx(0.75, abs=0.02)
    assert torch.count_nonzero(outputs) == 0


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_an_embedding_is_a_table_of_vectors(name: str) -> None:
    """One-hot symbols in, beside nn.Embedding in front of a network that reads vectors."""
    network = build(name, embedding_size=7)
    table = network.weight_roles()["We"]
    assert table.shape == (7, D)
    symbols = torch.tensor([[0, 2, 1, 2]])
    vectors = nn.functional.embedding(symbols, table.T)  # (1, 4, 7)
    spec = MODELS[name]
    bare = spec.build(spec.config(hidden_size=H), 7, O, seed=3).double()  # type: ignore[call-arg]
    bare.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("embedding")})
    expected, _ = bare(vectors)
    one_hot = nn.functional.one_hot(symbols, D).double()
    close(network(one_hot)[0], expected)
    close(network.unroll(one_hot)[0], expected)
    assert list(network.state_gradients(one_hot, None, lambda y: y.sum())) == list(
        bare.state_gradients(vectors, None, lambda y: y.sum())
    )
