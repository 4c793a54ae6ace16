"""The Jordan network beside its equations in a plain loop; teacher forcing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from models.base import detach
from models.jordan import Jordan, JordanConfig, JordanState

B, T, D, H, O = 3, 8, 2, 5, 3  # noqa: E741 - the package's own letters
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": lambda a: 1 / (1 + (-a).exp()),
    "relu": lambda a: a.clamp(min=0),
    "linear": lambda a: a,
    "softmax": lambda a: a.exp() / a.exp().sum(dim=1, keepdim=True),
}


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(**settings: Any) -> Jordan:
    network = Jordan(JordanConfig(hidden_size=H, **settings), D, O).double()
    with torch.no_grad():
        for k, parameter in enumerate(network.parameters()):
            parameter.copy_(randn(*parameter.shape, seed=100 + k))
    return network


def random_state(seed: int) -> JordanState:
    return JordanState((randn(B, O, seed=seed),), (randn(B, O, seed=seed + 1),))


def by_the_equations(
    network: Jordan,
    x: Tensor,
    start: JordanState,
    activation: str,
    feedback: str,
    decay: float,
    teacher: Tensor | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """All outputs, all s_t and all ŷ_t, by the equations in the class docstring, one product at a time.

    Where the teacher (B, T, O) holds a number, ŷ_t is that number.
    """
    W = network.weight_roles()
    b, by = (p for p in network.parameters() if p.dim() == 1)
    s, fed = start.s[0].clone().requires_grad_(), start.y[0]
    outputs, every_s, every_fed = [], [], []
    for t in range(x.shape[1]):
        s = decay * s + fed
        h = FUNCTIONS[activation](x[:, t] @ W["Wx/0"].T + s @ W["Ws/0"].T + b)
        y = h @ W["Wy"].T + by
        fed = FUNCTIONS[feedback](y)
        if teacher is not None:
            known = ~teacher[:, t].isnan()
            fed = known * teacher[:, t].nan_to_num() + (~known) * fed
        outputs.append(y)
        every_s.append(s)
        every_fed.append(fed)
    return torch.stack(outputs, dim=1), every_s, every_fed


@pytest.mark.parametrize("decay", [0.0, 0.7])
@pytest.mark.parametrize("feedback", ["sigmoid", "tanh", "softmax", "linear"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "linear"])
def test_equals_the_equations(activation: str, feedback: str, decay: float) -> None:
    """Outputs, final state, the gradients of all weights, and the total derivative by every state."""
    settings: dict[str, Any] = {"activation": activation, "feedback": feedback, "decay": decay}
    network, x, start = build(**settings), randn(B, T, D, seed=2) / 4, random_state(3)
    mix = randn(B, T, O, seed=5)

    def loss(outputs: Tensor) -> Tensor:
        return (mix * outputs.tanh()).sum()

    outputs, after = network(x, start)
    expected, every_s, every_fed = by_the_equations(network, x, start, **settings)
    torch.testing.assert_close(outputs, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close((after.s[0], after.y[0]), (every_s[-1], every_fed[-1]), rtol=1e-10, atol=1e-12)

    parameters = list(network.parameters())
    got = torch.autograd.grad(loss(outputs), parameters)
    want = torch.autograd.grad(loss(expected), parameters, retain_graph=True)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-10)

    gradients = network.state_gradients(x, start, loss)
    assert list(gradients) == ["s/0", "y/0"]
    of_s = torch.autograd.grad(loss(expected), every_s, retain_graph=True)
    torch.testing.assert_close(gradients["s/0"], torch.stack(of_s), rtol=1e-9, atol=1e-10)
    if feedback != "linear":  # there ŷ is the output itself, which the copy here keeps apart
        of_fed = torch.autograd.grad(loss(expected), every_fed[:-1])
        torch.testing.assert_close(gradients["y/0"][:-1], torch.stack(of_fed), rtol=1e-9, atol=1e-10)
        assert gradients["y/0"][-1].count_nonzero() == 0


def test_before_the_first_timestep_nothing_is_fed_back() -> None:
    """s_1 = 0, whatever the feedback makes of an output of 0."""
    network, x = build(feedback="sigmoid"), randn(B, 1, D, seed=6)
    W, (b, by) = network.weight_roles(), (p for p in network.parameters() if p.dim() == 1)
    expected = torch.tanh(x[:, 0] @ W["Wx/0"].T + b) @ W["Wy"].T + by
    torch.testing.assert_close(network(x)[0][:, 0], expected)


def test_the_state_is_a_fading_trace_of_the_outputs() -> None:
    """s_t = Σ α^(t-1-k) ŷ_k."""
    network, x = build(decay=0.6, feedback="tanh"), randn(B, T, D, seed=7)
    outputs, after = network(x)
    trace = sum(0.6 ** (T - 2 - k) * outputs[:, k].tanh() for k in range(T - 1))
    torch.testing.assert_close(after.s[0], trace)


def holes(teacher: Tensor) -> Tensor:
    """A third of the timesteps without a target."""
    return teacher.masked_fill((torch.arange(T) % 3 == 1)[None, :, None], torch.nan)


@pytest.mark.parametrize("feedback", ["sigmoid", "linear"])
@pytest.mark.parametrize("first", [0, 3, T])
def test_teacher_forcing_feeds_back_the_right_output_where_there_is_one(feedback: str, first: int) -> None:
    """Values, final state and gradients; none of them is touched by the NaN that stands for no target."""
    settings: dict[str, Any] = {"activation": "tanh", "feedback": feedback, "decay": 0.5}
    network, x, start = build(**settings, teacher_forcing=True), randn(B, T, D, seed=8), random_state(9)
    teacher, mix = holes(randn(B, T, O, seed=10)), randn(B, T - first, O, seed=11)
    outputs, after = network.forward_taught(x, start, first, teacher)
    expected, every_s, every_fed = by_the_equations(network, x, start, **settings, teacher=teacher)
    torch.testing.assert_close(outputs, expected[:, first:])
    torch.testing.assert_close((after.s[0], after.y[0]), (every_s[-1], every_fed[-1]))
    if first < T:
        got = torch.autograd.grad((mix * outputs).sum(), list(network.parameters()))
        want = torch.autograd.grad((mix * expected[:, first:]).sum(), list(network.parameters()))
        torch.testing.assert_close(got, want)
        assert all(gradient.isfinite().all() for gradient in got)


def test_without_any_target_teacher_forcing_changes_nothing() -> None:
    network, x, start = build(teacher_forcing=True), randn(B, T, D, seed=12), random_state(13)
    nothing = torch.full((B, T, O), torch.nan, dtype=torch.float64)
    torch.testing.assert_close(network.forward_taught(x, start, 0, nothing), network(x, start))


def test_a_target_at_every_timestep_cuts_the_gradient_through_time() -> None:
    network, start = build(teacher_forcing=True), random_state(14)
    x = randn(B, T, D, seed=15).requires_grad_()
    outputs, _ = network.forward_taught(x, start, 0, randn(B, T, O, seed=16))
    (gradient,) = torch.autograd.grad(outputs[:, -1].sum(), x)
    assert gradient[:, :-1].count_nonzero() == 0
    assert gradient[:, -1].count_nonzero() > 0


def test_the_teachers_last_word_crosses_into_the_next_window() -> None:
    network, x, start = build(teacher_forcing=True), randn(B, T, D, seed=17), random_state(18)
    teacher = holes(randn(B, T, O, seed=19))
    whole, end = network.forward_taught(x, start, 0, teacher)
    pieces, state = [], start
    for begin in range(0, T, 3):
        window = slice(begin, begin + 3)
        outputs, state = network.forward_taught(x[:, window], detach(state), 0, teacher[:, window])
        pieces.append(outputs)
    torch.testing.assert_close((torch.cat(pieces, dim=1), state), (whole, end))


def test_only_the_setting_makes_it_taught_and_sizes_follow_the_outputs() -> None:
    assert not build().taught
    network = build(teacher_forcing=True)
    assert network.taught
    shapes = {name: tuple(weight.shape) for name, weight in network.weight_roles().items()}
    assert shapes == {"Wx/0": (H, D), "Ws/0": (H, O), "Wy": (O, H)}
    assert [tuple(tensor.shape) for (tensor,) in network.initial_state(B)] == [(B, O), (B, O)]
