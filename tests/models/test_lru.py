"""The LRU beside its equations in complex numbers, the network lending its parameters only."""

from __future__ import annotations

import io
import math
from typing import Any, NamedTuple

import pydantic
import pytest
import torch
from torch import Tensor

from models import MODELS
from models.base import Network, named_tensors

B, T, D, H, O = 3, 80, 3, 5, 2  # noqa: E741 - the package's own letters


def randn(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def build(hidden: int = H, **settings: Any) -> Network[Any]:
    spec = MODELS["lru"]
    return spec.build(spec.config(hidden_size=hidden, **settings), D, O, seed=1).double()


class Equations(NamedTuple):
    """What one layer's equations are about, as complex numbers."""

    eigenvalues: Tensor
    gamma: Tensor
    B: Tensor
    C: Tensor
    D: Tensor


def equations(network: Network[Any], layer: int) -> Equations:
    W = {
        name.split(".")[2]: p for name, p in network.named_parameters() if name.startswith(f"layers.{layer}.")
    }
    return Equations(
        eigenvalues=torch.exp(-torch.exp(W["nu"]) + 1j * torch.exp(W["theta"])),
        gamma=torch.exp(W["gamma"]),
        B=W["B"][0::2] + 1j * W["B"][1::2],
        C=W["C"][:, 0::2] - 1j * W["C"][:, 1::2],
        D=W["D"],
    )


def gelu(v: Tensor) -> Tensor:
    return v * (1 + torch.erf(v / math.sqrt(2))) / 2


def by_the_equations(
    network: Network[Any], x: Tensor, start: list[Tensor]
) -> tuple[Tensor, list[list[Tensor]]]:
    """(B, T, O) outputs and each layer's complex states."""
    histories, outputs = [[h] for h in start], []
    layers = [equations(network, layer) for layer in range(len(start))]
    readout = dict(network.named_parameters())
    for t in range(x.shape[1]):
        u = x[:, t]
        for layer, history in zip(layers, histories, strict=True):
            history.append(layer.eigenvalues * history[-1] + layer.gamma * ((u + 0j) @ layer.B.T))
            u = gelu((history[-1] @ layer.C.T).real + u @ layer.D.T)
        outputs.append(u @ readout["readout.weight"].T + readout["readout.bias"])
    return torch.stack(outputs, dim=1), [history[1:] for history in histories]


@pytest.mark.parametrize("layers", [1, 2])
def test_outputs_state_and_gradients_are_those_of_the_equations(layers: int) -> None:
    """Long enough for the scan to be cut into chunks, from a state that is not zero."""
    network = build(layers=layers)
    x = randn(B, T, D, seed=2).requires_grad_()
    start = [randn(B, H, seed=3 + k, dtype=torch.complex128).requires_grad_() for k in range(layers)]
    kind = type(network.initial_state(1))
    outputs, final = network(x, kind(tuple(h.real for h in start), tuple(h.imag for h in start)))
    ours = [outputs, *final.re, *final.im]
    expected, histories = by_the_equations(network, x, start)
    last = [history[-1] for history in histories]
    reference = [expected, *(h.real for h in last), *(h.imag for h in last)]
    leaves = [x, *start, *network.parameters()]

    def gradients(results: list[Tensor]) -> tuple[Tensor, ...]:
        mixture = sum((randn(*r.shape, seed=10 + k) * r).sum() for k, r in enumerate(results))
        return torch.autograd.grad(mixture, leaves)  # type: ignore[arg-type]

    for one, other in zip([*ours, *gradients(ours)], [*reference, *gradients(reference)], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_state_gradients_are_those_of_autograd_on_the_equations() -> None:
    """Real and imaginary part apart, with chunks, two layers, and a loss at some of the timesteps."""
    network = build(layers=2)
    x = randn(B, T, D, seed=20)

    def loss(y: Tensor) -> Tensor:
        return y[:, ::7].square().sum()

    ours = network.state_gradients(x, None, loss)
    outputs, histories = by_the_equations(network, x, [torch.zeros(B, H, dtype=torch.complex128)] * 2)
    assert list(ours) == ["re/0", "re/1", "im/0", "im/1"]
    for layer, history in enumerate(histories):
        totals = torch.stack(
            torch.autograd.grad(
                loss(outputs), history, retain_graph=True, allow_unused=True, materialize_grads=True
            )
        )
        torch.testing.assert_close(ours[f"re/{layer}"], totals.real, rtol=1e-9, atol=1e-14)
        torch.testing.assert_close(ours[f"im/{layer}"], totals.imag, rtol=1e-9, atol=1e-14)


def test_eigenvalues_start_uniform_on_the_ring() -> None:
    """|λ|² uniform between the squares of its bounds, and the phase up to its own: by their quantiles."""
    network = build(hidden=400, ring_min=0.5, ring_max=0.9, max_phase=1.0)
    eigenvalues = equations(network, 0).eigenvalues.detach()
    squares = ((eigenvalues.abs() ** 2 - 0.25) / (0.81 - 0.25)).sort().values
    phases = eigenvalues.angle().sort().values
    even = (torch.arange(400) + 0.5) / 400
    for found in (squares, phases):
        assert found[0] >= -1e-6
        assert found[-1] <= 1 + 1e-6
        assert float((found - even).abs().max()) < 1.63 / math.sqrt(400)  # Kolmogorov-Smirnov, 1%


def test_what_is_written_is_scaled_so_that_the_state_has_the_size_of_the_input() -> None:
    """γ = √(1 − |λ|²) at the start: white noise gives each unit the variance ‖B‖², whatever its λ."""
    network = build(hidden=40, ring_min=0.5, ring_max=0.99)
    layer = equations(network, 0)
    torch.testing.assert_close(layer.gamma**2, 1 - layer.eigenvalues.abs() ** 2, rtol=1e-5, atol=0)
    x = randn(200, 600, D, seed=30)
    _, final = network(x)
    power = (final.re[0] ** 2 + final.im[0] ** 2).detach().mean(dim=0)
    ratio = power / (layer.B.detach().abs() ** 2).sum(dim=1)
    assert float(ratio.min()) > 0.6
    assert float(ratio.max()) < 1.5


def test_no_start_gives_a_number_that_is_not_finite() -> None:
    """The whole disc, its rim alone, and a ring of no width."""
    for settings in (
        {"ring_min": 0.0, "ring_max": 1.0},
        {"ring_min": 0.999999, "ring_max": 1.0},
        {"ring_min": 0.5, "ring_max": 0.5},
    ):
        network = build(hidden=400, **settings)
        assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
        assert equations(network, 0).eigenvalues.abs().max() < 1


def test_a_ring_inside_out_is_refused_with_both_bounds() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"ring_min is 0.95 and ring_max is 0.9"):
        MODELS["lru"].config(ring_min=0.95, ring_max=0.9)  # type: ignore[call-arg]


def test_facts_say_how_long_the_state_lasts() -> None:
    """|λ| = 1/2 halves at every timestep."""
    network = build()
    with torch.no_grad():
        network.get_parameter("layers.0.nu").fill_(math.log(math.log(2)))
        network.get_parameter("layers.0.nu")[0] = math.log(math.log(2) / 100)
    assert network.facts() == {"State halves in": "1 to 100 timesteps, by unit"}


def test_multiplications_counted_by_hand() -> None:
    """Two layers of 5 units over 3 inputs, 2 outputs: B 10·3 + 10·5, C 2·5·10, D 5·3 + 5·5, Wy 2·5."""
    network = build(layers=2)
    assert network.multiplications_per_timestep() == 80 + 100 + 40 + 10
    assert list(network.weight_roles()) == ["Wx/0", "C/0", "D/0", "Wx/1", "C/1", "D/1", "Wy"]


def test_low_precision_leaves_the_recurrence_in_single() -> None:
    """Under bfloat16 autocast the products are rounded; the state is not, and stays near."""
    network = build(layers=2).float()
    x = randn(B, 200, D, seed=40).float()
    exact, _ = network(x)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, after = network(x)
        stepped, _ = network.step(x[:, 0], network.initial_state(B))
    assert after.re[0].dtype == after.im[0].dtype == torch.float32
    torch.testing.assert_close(outputs.float(), exact, rtol=0.05, atol=0.05)
    torch.testing.assert_close(stepped.float(), exact[:, 0], rtol=0.05, atol=0.05)


def test_a_state_goes_through_a_checkpoint() -> None:
    """Its tensors are real, small, and the same when they come back."""
    _, after = build(layers=2)(randn(B, T, D, seed=50))
    written = io.BytesIO()
    torch.save(dict(named_tensors(after)), written)
    assert all(tensor.untyped_storage().nbytes() == B * H * 8 for _, tensor in named_tensors(after))
    written.seek(0)
    read = torch.load(written, weights_only=True)
    assert all(torch.equal(tensor, read[name]) for name, tensor in named_tensors(after))
