"""The networks beside PyTorch's modules with the same weights, and beside the formulas of its manual."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest
import torch
from torch import Tensor, nn

from models import MODELS
from models.base import Network, named_tensors

D, H, O = 3, 5, 2  # noqa: E741 - the package's own letters
GATES = {"elman": 1, "lstm": 4, "gru": 3}


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(name: str, layers: int, **settings: Any) -> Network[Any]:
    spec = MODELS[name]
    config = spec.config.model_validate({"hidden_size": H, "layers": layers, **settings})
    return spec.build(config, D, O, seed=21).double()


def torch_module(name: str, layers: int) -> nn.RNNBase:
    kind: Any = {"elman": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[name]
    module: nn.RNNBase = kind(D, H, layers, batch_first=True, dtype=torch.float64)
    return module


def close(ours: Tensor, reference: Tensor) -> None:
    torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("way", ["forward", "unroll"])
@pytest.mark.parametrize("name", GATES)
def test_equals_torch_nn_with_copied_weights(name: str, way: str, layers: int) -> None:
    """Values, final state, and the gradients of all weights, from a state that is not zero."""
    ours, theirs, readout = build(name, layers), torch_module(name, layers), nn.Linear(H, O).double()
    parameters = [*theirs.parameters(), *readout.parameters()]
    with torch.no_grad():
        for k, parameter in enumerate(parameters):
            parameter.copy_(randn(*parameter.shape, seed=30 + k) / 2)
        for copy, parameter in zip(ours.parameters(), parameters, strict=True):
            copy.copy_(parameter)
    x = randn(4, 6, D, seed=50)
    start = [randn(layers, 4, H, seed=51 + k) for k in range(len(ours.initial_state(4)))]
    state = type(ours.initial_state(4))(*(tuple(tensor.unbind(0)) for tensor in start))

    if way == "forward":
        outputs, final = ours(x, state)
    else:
        outputs, states = ours.unroll(x, state)
        final = states[-1]
    hidden, after = theirs(x, tuple(start) if name == "lstm" else start[0])
    expected = readout(hidden)

    close(outputs, expected)
    for tensors, reference in zip(final, after if name == "lstm" else [after], strict=True):
        close(torch.stack(tensors), reference)
    weights = randn(4, 6, O, seed=60)
    gradients = torch.autograd.grad((weights * outputs).sum(), list(ours.parameters()))
    references = torch.autograd.grad((weights * expected).sum(), parameters)
    for gradient, reference in zip(gradients, references, strict=True):
        close(gradient, reference)


def layer_parameters(network: Network[Any], layer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    named = dict(network.named_parameters())
    W_i, W_h, b_i, b_h = (
        next(tensor for key, tensor in named.items() if key.endswith(f"{kind}_l{layer}"))
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return W_i, W_h, b_i, b_h


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_elman_step_is_the_formula_of_the_manual(nonlinearity: str) -> None:
    network = build("elman", 1, nonlinearity=nonlinearity)
    W_ih, W_hh, b_ih, b_hh = layer_parameters(network, 0)
    x, h = randn(4, D, seed=70), randn(4, H, seed=71)
    y, state = network.step(x, type(network.initial_state(1))((h,)))
    a = x @ W_ih.T + b_ih + h @ W_hh.T + b_hh
    h_next = torch.tanh(a) if nonlinearity == "tanh" else a.clamp(min=0)
    close(state.h[0], h_next)
    Wy, by = network.weight_roles()["Wy"], list(network.parameters())[-1]
    close(y, h_next @ Wy.T + by)


def test_lstm_step_is_the_formula_of_the_manual() -> None:
    """torch.nn.LSTM: weights are (W_ii|W_if|W_ig|W_io), read here row block by row block."""
    network = build("lstm", 1)
    W_i, W_h, b_i, b_h = layer_parameters(network, 0)
    x, h, c = randn(4, D, seed=72), randn(4, H, seed=73), randn(4, H, seed=74)
    _, state = network.step(x, type(network.initial_state(1))((h,), (c,)))

    def gate(block: int) -> Tensor:
        rows = slice(block * H, (block + 1) * H)
        return x @ W_i[rows].T + b_i[rows] + h @ W_h[rows].T + b_h[rows]

    i, f, g, o = torch.sigmoid(gate(0)), torch.sigmoid(gate(1)), torch.tanh(gate(2)), torch.sigmoid(gate(3))
    c_next = f * c + i * g
    close(state.c[0], c_next)
    close(state.h[0], o * torch.tanh(c_next))


def test_gru_step_is_the_formula_of_the_manual() -> None:
    """torch.nn.GRU: weights are (W_ir|W_iz|W_in), and the reset gate comes after the product."""
    network = build("gru", 1)
    W_i, W_h, b_i, b_h = layer_parameters(network, 0)
    x, h = randn(4, D, seed=75), randn(4, H, seed=76)
    _, state = network.step(x, type(network.initial_state(1))((h,)))
    R, Z, N = slice(0, H), slice(H, 2 * H), slice(2 * H, 3 * H)
    r = torch.sigmoid(x @ W_i[R].T + b_i[R] + h @ W_h[R].T + b_h[R])
    z = torch.sigmoid(x @ W_i[Z].T + b_i[Z] + h @ W_h[Z].T + b_h[Z])
    n = torch.tanh(x @ W_i[N].T + b_i[N] + r * (h @ W_h[N].T + b_h[N]))
    close(state.h[0], (1 - z) * n + z * h)


@pytest.mark.parametrize("name", GATES)
def test_second_layer_reads_the_new_state_of_the_first(name: str) -> None:
    """One step of a stack equals torch.nn's cells, one above the other."""
    network = build(name, 2)
    state = network.initial_state(4)
    cell_kind: Any = {"elman": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}[name]
    x = randn(4, D, seed=77)
    _, after = network.step(x, state)
    below = x
    for layer in range(2):
        cell = cell_kind(below.shape[1], H, dtype=torch.float64)
        with torch.no_grad():
            for copy, parameter in zip(cell.parameters(), layer_parameters(network, layer), strict=True):
                copy.copy_(parameter)
        result = cell(below)
        fields = result if name == "lstm" else (result,)
        for tensors, reference in zip(after, fields, strict=True):
            close(tensors[layer], reference)
        below = fields[0]


@pytest.mark.parametrize("name", GATES)
def test_weight_roles_have_the_literatures_names_and_torch_shapes(name: str) -> None:
    network, rows = build(name, 2), GATES[name] * H
    shapes = {role: tuple(weight.shape) for role, weight in network.weight_roles().items()}
    assert shapes == {
        "Wx/0": (rows, D),
        "Ws/0": (rows, H),
        "Wx/1": (rows, H),
        "Ws/1": (rows, H),
        "Wy": (O, H),
    }


@pytest.mark.parametrize(("name", "count"), [("elman", 100), ("lstm", 370), ("gru", 280)])
def test_multiplications_counted_by_hand(name: str, count: int) -> None:
    """Two layers of 5 units over 3 inputs, 2 outputs: gates × (5·3 + 5·5 + 5·5 + 5·5) + 2·5."""
    assert build(name, 2).multiplications_per_timestep() == count


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [("hidden_size", (1, 2048), (0, 2049, 10**9)), ("layers", (1, 8), (0, 9))],
)
def test_sizes_have_their_limits(
    name: str, field: str, allowed: tuple[int, ...], refused: tuple[int, ...]
) -> None:
    config = MODELS[name].config
    assert config.model_fields[field].default == {"hidden_size": 64, "layers": 1}[field]
    for value in allowed:
        assert getattr(config(**{field: value}), field) == value
    for value in refused:
        with pytest.raises(pydantic.ValidationError, match=field):
            config(**{field: value})


def test_states_are_named_as_the_literature_names_them() -> None:
    names = {name: [key for key, _ in named_tensors(build(name, 2).initial_state(1))] for name in GATES}
    assert names == {
        "elman": ["h/0", "h/1"],
        "lstm": ["h/0", "h/1", "c/0", "c/1"],
        "gru": ["h/0", "h/1"],
    }


@pytest.mark.parametrize("layers", [1, 2])
def test_forget_bias_is_what_the_forget_gates_start_with_and_nothing_else_changes(layers: int) -> None:
    """For x = 0 and h = 0 the gate's pre-activation is the sum of its two biases."""
    spec = MODELS["lstm"]
    plain = spec.build(spec.config(hidden_size=4, layers=layers, forget_bias=None), 3, 2, seed=1)
    biased = spec.build(spec.config(hidden_size=4, layers=layers, forget_bias=2.5), 3, 2, seed=1)
    for (name, one), (_, other) in zip(plain.named_parameters(), biased.named_parameters(), strict=True):
        forget = torch.zeros(one.shape[0], dtype=torch.bool)
        if "bias_ih" in name or "bias_hh" in name:
            forget[4:8] = True  # torch.nn.LSTM stacks i, f, g, o
        assert torch.equal(one[~forget], other[~forget])
    for layer in range(layers):
        rnn = biased.rnn
        total = getattr(rnn, f"bias_ih_l{layer}") + getattr(rnn, f"bias_hh_l{layer}")
        assert torch.equal(total[4:8], torch.full((4,), 2.5))


class _Refusing(torch.autograd.Function):
    """What cuDNN does with a backward pass that its forward pass was not told of."""

    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        return tensor.view_as(tensor)

    @staticmethod
    def backward(_: Any, *__: Tensor) -> Tensor:  # type: ignore[override]
        raise RuntimeError("cudnn RNN backward can only be called in training mode")


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", GATES)
def test_a_backward_pass_in_eval_mode_is_one_that_cudnn_allows(name: str, layers: int) -> None:
    """On a GPU the kernel refuses it unless its forward pass had ``train``; dropout must stay off even so."""
    network = build(name, layers, dropout=0.5 if layers > 1 else 0.0).eval()
    kernel: Any = network.kernel

    def strict(*inputs: Any, train: bool, **rest: Any) -> tuple[Tensor, ...]:
        outputs, *states = kernel(*inputs, train=train, **rest)
        return (outputs if train or not outputs.requires_grad else _Refusing.apply(outputs)), *states

    x = randn(2, 5, D, seed=3).requires_grad_()
    expected = torch.autograd.grad(network.unroll(x)[0].sum(), [x, *network.parameters()])
    network.kernel = strict  # type: ignore[assignment]
    found = torch.autograd.grad(network(x)[0].sum(), [x, *network.parameters()])
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, theirs)
