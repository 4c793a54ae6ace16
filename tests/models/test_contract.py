"""Every network in the registry meets models/base.py. A new entry is tested here from the day it is added."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import pydantic
import pytest
import torch
from torch import Tensor

from models import MODELS
from models.base import Network, detach, map_state, named_history, named_tensors

D, H, O = 3, 5, 2  # noqa: E741 - the package's own letters

Reader = Callable[[Network[Any], Tensor, Any], tuple[Tensor, Any]]


def _cases() -> list[Any]:
    """Every network, small, with 1 and 2 layers and with every value of each of its choices."""
    cases = []
    for name, spec in MODELS.items():
        fields = spec.config.model_fields
        choices: list[dict[str, Any]] = [{}]
        choices += [{key: not field.default} for key, field in fields.items() if field.annotation is bool]
        choices += [
            {key: value}
            for key, field in fields.items()
            if typing.get_origin(field.annotation) is typing.Literal
            for value in typing.get_args(field.annotation)
            if value != field.default
        ]
        for choice in choices:
            for layers in (1, 2) if "layers" in fields else (1,):
                sizes = {"hidden_size": H, "layers": layers}
                settings = {key: value for key, value in sizes.items() if key in fields} | choice
                label = "-".join([name, f"layers={layers}", *map(str, choice.values())])
                cases.append(pytest.param((name, settings), id=label))
    return cases


@pytest.fixture(params=_cases())
def network(request: pytest.FixtureRequest) -> Network[Any]:
    name, settings = request.param
    spec = MODELS[name]
    return spec.build(spec.config(**settings), D, O, seed=1).double()


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_state(network: Network[Any], batch_size: int, seed: int) -> Any:
    """A state that the network can be in (an sLSTM's n is never negative): the one after random inputs."""
    with torch.no_grad():
        _, state = read_by_step(
            network, randn(batch_size, 12, D, seed=seed), network.initial_state(batch_size)
        )
    return map_state(lambda tensor: tensor.clone().requires_grad_(), state)


def read_by_forward(network: Network[Any], x: Tensor, state: Any) -> tuple[Tensor, Any]:
    outputs, state = network(x, state)
    return outputs, state


def read_by_step(network: Network[Any], x: Tensor, state: Any) -> tuple[Tensor, Any]:
    outputs = []
    for t in range(x.shape[1]):
        y_t, state = network.step(x[:, t], state)
        outputs.append(y_t)
    return torch.stack(outputs, dim=1), state


def read_by_unroll(network: Network[Any], x: Tensor, state: Any) -> tuple[Tensor, Any]:
    outputs, states = network.unroll(x, state)
    assert len(states) == x.shape[1]
    return outputs, states[-1]


def values_and_gradients(
    read: Reader, network: Network[Any], batch_size: int, length: int
) -> dict[str, Tensor]:
    """Outputs, final state, and the gradient of a random mixture of both with respect to everything."""
    x = randn(batch_size, length, D, seed=2).requires_grad_()
    start = random_state(network, batch_size, seed=3)
    outputs, final = read(network, x, start)
    results = {"outputs": outputs} | {f"final {name}": tensor for name, tensor in named_tensors(final)}
    parts = [(randn(*r.shape, seed=4 + k) * r).sum() for k, r in enumerate(results.values())]
    leaves = {"x": x} | {f"initial {name}": tensor for name, tensor in named_tensors(start)}
    leaves |= dict(network.named_parameters())
    gradients = torch.autograd.grad(torch.stack(parts).sum(), list(leaves.values()))
    return results | {f"gradient of {name}": g for name, g in zip(leaves, gradients, strict=True)}


def assert_same(ours: dict[str, Tensor], reference: dict[str, Tensor]) -> None:
    assert ours.keys() == reference.keys()
    for name in reference:
        difference = float((ours[name] - reference[name]).detach().abs().max())
        assert difference < 1e-11, f"{name} differs by {difference}"


@pytest.mark.parametrize("read", [read_by_forward, read_by_unroll])
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("length", [1, 7])
def test_forward_and_unroll_equal_the_unrolled_step(
    network: Network[Any], read: Reader, batch_size: int, length: int
) -> None:
    """Outputs, final states, and gradients of every parameter, of the input and of the initial state."""
    assert_same(
        values_and_gradients(read, network, batch_size, length),
        values_and_gradients(read_by_step, network, batch_size, length),
    )


def test_unroll_returns_the_state_after_every_step_with_its_total_derivative(network: Network[Any]) -> None:
    """Also where a network overrides ``unroll``: same states as stepping, and the same gradient of each."""
    x, start = randn(3, 7, D, seed=5), random_state(network, 3, seed=6)
    weights = randn(3, 7, O, seed=7)

    def states_and_gradients(unroll: Callable[..., Any]) -> dict[str, Tensor]:
        outputs, states = unroll(network, x, start)
        assert outputs.shape == (3, 7, O)
        tensors = {f"{name} at {t}": s for t, state in enumerate(states) for name, s in named_tensors(state)}
        if not tensors:
            return {}  # no memory
        gradients = torch.autograd.grad(
            (weights * outputs).sum(), list(tensors.values()), allow_unused=True, materialize_grads=True
        )
        return tensors | {f"gradient of {n}": g for n, g in zip(tensors, gradients, strict=True)}

    assert_same(states_and_gradients(type(network).unroll), states_and_gradients(Network.unroll))


@pytest.mark.parametrize("length", [1, 2, 7])
def test_state_gradients_equal_autograd_over_the_unrolled_step(network: Network[Any], length: int) -> None:
    """Also where a network overrides ``state_gradients``; whether a loss asks for all outputs or the last."""
    x, start, mix = (
        randn(3, length, D, seed=13),
        random_state(network, 3, seed=14),
        randn(3, length, O, seed=15),
    )
    for chosen in (slice(None), slice(-1, None)):

        def loss(outputs: Tensor, chosen: slice = chosen) -> Tensor:
            return (mix * outputs.sin())[:, chosen].sum()

        assert_same(
            type(network).state_gradients(network, x, start, loss),
            Network.state_gradients(network, x, start, loss),
        )


def test_forward_equals_step_in_single_precision_too(network: Network[Any]) -> None:
    """The kernels may differ by dtype, and float32 is what people train in."""
    network.float()
    x = randn(3, 7, D, seed=8).float()
    outputs, _ = network(x)
    stepped, _ = read_by_step(network, x, network.initial_state(3))
    torch.testing.assert_close(outputs, stepped, rtol=1e-5, atol=1e-6)


def test_initial_state_is_zero_and_is_what_no_state_means(network: Network[Any]) -> None:
    start = network.initial_state(3)
    for _, tensor in named_tensors(start):
        assert tensor.dim() == 2
        assert tensor.shape[0] == 3
        assert tensor.dtype == torch.float64
        assert not tensor.requires_grad
        assert torch.count_nonzero(tensor) == 0
    x = randn(3, 7, D, seed=9)
    for read in (read_by_forward, read_by_unroll):
        (with_none, end_none), (with_zero, end_zero) = read(network, x, None), read(network, x, start)
        assert torch.equal(with_none, with_zero)
        assert_same(dict(named_tensors(end_none)), dict(named_tensors(end_zero)))


def test_state_handed_over_continues_the_sequence(network: Network[Any]) -> None:
    """Two windows, the second from the first's detached state, give what the whole sequence gives."""
    x = randn(3, 7, D, seed=10)
    whole, end = network(x)
    first, middle = network(x[:, :4])
    middle = detach(middle)
    assert all(not tensor.requires_grad for _, tensor in named_tensors(middle))
    second, last = network(x[:, 4:], middle)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-10, atol=1e-12)
    assert_same(dict(named_tensors(last)), dict(named_tensors(end)))


def test_sequences_of_a_batch_do_not_touch_each_other(network: Network[Any]) -> None:
    x = randn(3, 7, D, seed=11)
    together, _ = network(x)
    alone, _ = network(x[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-10, atol=1e-12)


def test_no_output_depends_on_a_later_input(network: Network[Any]) -> None:
    x = randn(2, 7, D, seed=12).requires_grad_()
    outputs, _ = network(x)
    (gradient,) = torch.autograd.grad(outputs[:, 3].sum(), x)
    assert torch.count_nonzero(gradient[:, 4:]) == 0
    assert torch.count_nonzero(gradient[:, 3]) > 0


def test_weight_roles_are_the_networks_own_matrices(network: Network[Any]) -> None:
    """The parameters themselves, not copies: analysis reads them, and regularisers push on them."""
    own = {id(parameter) for parameter in network.parameters()}
    roles = network.weight_roles()
    assert roles["Wy"].shape[0] == O
    for name, weight in roles.items():
        assert id(weight) in own, name
        assert weight.dim() == 2, name
    matrices = sum(parameter.numel() for parameter in network.parameters() if parameter.dim() == 2)
    assert network.multiplications_per_timestep() == matrices


@pytest.mark.parametrize("name", MODELS)
def test_weights_come_from_the_seed_alone(name: str) -> None:
    """Same seed, same weights, whatever the global generator has done; which is left where it was."""
    spec = MODELS[name]

    def build(seed: int) -> Tensor:
        network = spec.build(spec.config(), D, O, seed)
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

    first = build(13)
    torch.rand(1)
    before = torch.get_rng_state()
    again = build(13)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, build(14))


@pytest.mark.parametrize("name", MODELS)
def test_config_refuses_unknown_fields_and_values_out_of_range(name: str) -> None:
    config = MODELS[name].config
    with pytest.raises(pydantic.ValidationError, match="hidden_sise"):
        config.model_validate({"hidden_sise": 5})
    schema = config.model_json_schema()
    for field, given in schema["properties"].items():
        rule = next((option for option in given.get("anyOf", []) if option["type"] != "null"), given)
        outside = [rule[key] + by for key, by in (("minimum", -1), ("maximum", 1)) if key in rule]
        outside += ["neither of them"] if "enum" in rule or rule["type"] == "boolean" else []
        assert outside, f"{field} has no bounds: any value would be built"
        for value in outside:
            with pytest.raises(pydantic.ValidationError, match=field):
                config.model_validate({field: value})
    settings = config()
    field = next(iter(schema["properties"]))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(settings, field, getattr(settings, field))


@pytest.mark.parametrize("name", MODELS)
def test_catalogue_texts_are_there(name: str) -> None:
    """The launch form is drawn from these: help for every field, one line of summary, one equation a line."""
    spec = MODELS[name]
    for field, rule in spec.config.model_json_schema()["properties"].items():
        assert rule.get("description"), f"{field} has no docstring"
    assert spec.title
    assert spec.source
    assert spec.summary.endswith(".")
    assert "\n" not in spec.summary
    for equation in spec.equations.splitlines():
        assert equation.count("=") >= 1, equation
        assert equation.count("{") == equation.count("}"), equation


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("first", [0, 1, 4, 5])
def test_outputs_from_a_timestep_on_are_those_of_the_whole_and_the_state_is_the_same(
    name: str, first: int
) -> None:
    spec = MODELS[name]
    network = spec.build(spec.config(), 3, 2, seed=1).double()
    x = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    whole, after = network(x)
    part, state = network(x, first=first)
    torch.testing.assert_close(part, whole[:, first:], rtol=1e-12, atol=1e-14)
    for one, other in zip(state, after, strict=True):
        torch.testing.assert_close(one, other)


def gates_and_states(network: Network[Any], x: Tensor) -> dict[str, Tensor]:
    """(B, T, H) by name."""
    with torch.no_grad():
        history = named_history(network.unroll(x)[1])
        return network.gates(x) | {name: torch.stack(parts, 1) for name, parts in history.items()}


def with_large_weights(network: Network[Any]) -> Network[Any]:
    """The same network with weights and biases of either sign, far from where they start."""
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter.copy_(20 * randn(*parameter.shape, seed=20 + number))
    return network


def test_what_is_squashed_stays_inside_its_range_and_large_weights_bring_it_to_the_ends(
    network: Network[Any],
) -> None:
    x = randn(8, 12, D, seed=3)
    found = gates_and_states(network, x)
    assert network.ranges().keys() <= found.keys()
    extreme = gates_and_states(with_large_weights(network), x)
    for name, (floor, ceiling) in network.ranges().items():
        assert floor <= float(found[name].min()) <= float(found[name].max()) <= ceiling
        low, high = float(extreme[name].min()), float(extreme[name].max())
        assert floor <= low <= floor + 0.02 * (ceiling - floor), name
        assert ceiling - 0.02 * (ceiling - floor) <= high <= ceiling, name


def test_a_gate_that_large_weights_do_not_drive_beyond_1_has_a_range(network: Network[Any]) -> None:
    """Of the gates and what they let in, all that a sigmoid or tanh makes is declared."""
    found = with_large_weights(network).gates(randn(8, 12, D, seed=3))
    bounded = {name for name, gate in found.items() if float(gate.abs().max()) <= 1}
    assert bounded == network.ranges().keys() & found.keys()
    for letter, end in network.keeps_at.items():
        layers = [name for name in found if name.startswith(f"{letter}/")]
        assert all(end in network.ranges()[name] for name in layers)
    for letter in network.kept_by.values():
        assert network.keeps_at[letter] == 1
