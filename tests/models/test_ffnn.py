"""The feed-forward network beside a plain stack of torch.nn modules, and without memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.base import EmptyState
from models.ffnn import FFNN, FFNNConfig

B, T, D, H, O = 3, 6, 4, 5, 2  # noqa: E741 - the package's own letters
FUNCTIONS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "relu": nn.ReLU, "linear": nn.Identity}


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(**settings: object) -> FFNN:
    torch.manual_seed(1)
    return FFNN(FFNNConfig.model_validate({"hidden_size": H, **settings}), D, O).double()


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("activation", FUNCTIONS)
def test_equals_a_stack_of_torch_modules_at_each_timestep(activation: str, layers: int) -> None:
    """Values and the gradients of all weights, one timestep after another."""
    ours = build(activation=activation, layers=layers)
    parts: list[nn.Module] = []
    for layer in range(layers):
        parts += [nn.Linear(H if layer else D, H), FUNCTIONS[activation]()]
    theirs = nn.Sequential(*parts, nn.Linear(H, O)).double()
    with torch.no_grad():
        for k, parameter in enumerate(theirs.parameters()):
            parameter.copy_(randn(*parameter.shape, seed=10 + k))
        for copy, parameter in zip(ours.parameters(), theirs.parameters(), strict=True):
            copy.copy_(parameter)
    x, weights = randn(B, T, D, seed=2), randn(B, T, O, seed=3)
    outputs, state = ours(x)
    expected = torch.stack([theirs(x[:, t]) for t in range(T)], dim=1)
    torch.testing.assert_close(outputs, expected, rtol=1e-12, atol=1e-12)
    assert state == EmptyState()
    got = torch.autograd.grad((weights * outputs).sum(), list(ours.parameters()))
    want = torch.autograd.grad((weights * expected).sum(), list(theirs.parameters()))
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


def test_outputs_follow_the_timesteps_whatever_their_order() -> None:
    """It has no memory: shuffled inputs give the same outputs, shuffled."""
    network, x, order = build(layers=2), randn(B, T, D, seed=4), torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(network(x[:, order])[0], network(x)[0][:, order])


def test_there_is_no_gradient_through_time() -> None:
    network = build()
    assert network.state_gradients(randn(B, T, D, seed=5), None, torch.sum) == {}
    assert "1 timestep" in network.facts()["Receptive field"]


def test_dropout_acts_between_layers_in_training_alone_and_keeps_the_mean() -> None:
    plain, thinned = build(layers=2, activation="linear"), build(layers=2, activation="linear", dropout=0.5)
    x = randn(1, 1, D, seed=6).expand(20_000, 1, D)
    expected = plain(x)[0]
    torch.testing.assert_close(thinned.eval()(x)[0], expected)
    outputs = thinned.train()(x)[0].detach()
    assert outputs.std(dim=0).min() > 0.01
    torch.testing.assert_close(outputs.mean(dim=0), expected[0].detach(), rtol=0, atol=0.03)
    single = build(layers=1, dropout=0.5).train()
    assert torch.equal(single(x)[0], single.eval()(x)[0])


def test_an_embedding_is_a_table_of_vectors_by_symbol() -> None:
    network = build(embedding_size=7)
    symbols = torch.tensor([[0, 2, 3, 2]])
    outputs, _ = network(nn.functional.one_hot(symbols, D).double())
    roles = network.weight_roles()
    assert {name: tuple(weight.shape) for name, weight in roles.items()} == {
        "We": (7, D),
        "Wx/0": (H, 7),
        "Wy": (O, H),
    }
    looked_up = nn.functional.embedding(symbols, roles["We"].t())
    _, b, _, by = (p for p in list(network.parameters())[1:])
    expected = torch.tanh(looked_up @ roles["Wx/0"].t() + b) @ roles["Wy"].t() + by
    torch.testing.assert_close(outputs, expected)
    assert network.multiplications_per_timestep() == 7 * D + H * 7 + O * H
