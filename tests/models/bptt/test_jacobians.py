"""Jacobians of a step beside torch.func.jacrev, and what follows from them beside known answers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models import MODELS
from models.activations import ACTIVATIONS
from models.base import from_named_tensors, named_tensors
from models.bptt.jacobians import (
    SLOPE_BOUNDS,
    log_singular_values,
    pascanu_bound,
    product_log_singular_values,
    recurrent_spectra,
    spectrum,
    step_jacobians,
)


def by_jacrev(case: Any) -> list[list[Tensor]]:
    """By timestep and sequence, (S, S): one sequence and one step at a time."""
    state, found = case.state, []
    for x_t in case.x.unbind(1):
        shapes = {name: tensor[:1].shape for name, tensor in named_tensors(state)}

        def after(row: Tensor, x_b: Tensor, shapes: Any = shapes) -> Tensor:
            parts, at = {}, 0
            for name, shape in shapes.items():
                parts[name] = row[at : at + shape.numel()].view(shape)
                at += shape.numel()
            _, new = case.network.step(x_b, from_named_tensors(case.state, parts))
            return torch.cat([tensor.flatten() for _, tensor in named_tensors(new)])

        rows = []
        for b in range(x_t.shape[0]):
            row = torch.cat([tensor[b].flatten() for _, tensor in named_tensors(state)])
            rows.append(torch.func.jacrev(after)(row, x_t[b : b + 1]))
        with torch.no_grad():
            _, state = case.network.step(x_t, state)
        found.append([in_fixed_units(case, jacobian, state, b) for b, jacobian in enumerate(rows)])
    return found


def in_fixed_units(case: Any, jacobian: Tensor, after: Any, b: int) -> Tensor:
    """Without what is a mere unit: of an sLSTM, c·exp(m) is what is meant, so that c changes with m by c."""
    tensors, places, at = dict(named_tensors(after)), {}, 0
    for name, tensor in tensors.items():
        places[name] = slice(at, at := at + tensor.shape[1])
    jacobian, kept = jacobian.clone(), []
    for name, place in places.items():
        field, layer = name.split("/")
        if field in case.network.mere_units:
            continue
        if case.name == "slstm" and field in "cn":
            jacobian[place] += tensors[name][b, :, None] * jacobian[places[f"m/{layer}"]]
        kept.append(torch.arange(at)[place])
    chosen = torch.cat(kept) if kept else torch.arange(0)
    return jacobian[chosen][:, chosen]


def has_memory(case: Any) -> bool:
    return any(True for _ in named_tensors(case.state))


def test_equals_jacrev_of_one_step_of_one_sequence(case: Any) -> None:
    found = step_jacobians(case.network, case.x, case.state)
    if not has_memory(case):
        assert found.shape == (6, 2, 0, 0)
        return
    expected = torch.stack([torch.stack(rows) for rows in by_jacrev(case)])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_jacobians_found_a_few_rows_at_a_time_are_the_same(
    case: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = step_jacobians(case.network, case.x, case.state)
    monkeypatch.setattr("models.bptt.jacobians.AT_ONCE", 100)
    torch.testing.assert_close(step_jacobians(case.network, case.x, case.state), whole, rtol=1e-12, atol=0)


def test_a_small_change_of_the_state_arrives_as_the_product_of_jacobians(case: Any) -> None:
    """By finite differences across three steps."""
    if not has_memory(case):
        return
    jacobians = step_jacobians(case.network, case.x, case.state)
    units = case.network.mere_units
    change = {
        name: torch.randn(tensor.shape, generator=torch.Generator().manual_seed(9), dtype=tensor.dtype)
        * (name.split("/")[0] not in units)
        for name, tensor in named_tensors(case.state)
    }
    size = 1e-6

    def state_after(sign: float) -> Tensor:
        start = {name: tensor + sign * size * change[name] for name, tensor in named_tensors(case.state)}
        state = from_named_tensors(case.state, start)
        for x_t in case.x[:, :3].unbind(1):
            _, state = case.network.step(x_t, state)
        kept = dict(named_tensors(state))
        if case.name == "slstm":  # what is meant, c and n in one unit, whatever m has become
            reached = dict(named_tensors(undisturbed))
            for name in [name for name in kept if name[0] in "cn"]:
                unit = f"m/{name[2:]}"
                kept[name] = kept[name] * (kept[unit] - reached[unit]).exp()
        return torch.cat([t.flatten(1) for name, t in kept.items() if name.split("/")[0] not in units], 1)

    with torch.no_grad():
        _, (_, _, undisturbed) = case.network.unroll(case.x[:, :3], case.state)
        measured = (state_after(1) - state_after(-1)) / (2 * size)
    moved = [tensor for name, tensor in change.items() if name.split("/")[0] not in units]
    start = torch.cat([tensor.flatten(1) for tensor in moved], 1)[:, :, None]
    predicted = (jacobians[2] @ jacobians[1] @ jacobians[0] @ start)[:, :, 0]
    torch.testing.assert_close(measured, predicted, rtol=1e-5, atol=1e-7)


def test_singular_values_of_products_are_those_of_products_multiplied_out(case: Any) -> None:
    jacobians = step_jacobians(case.network, case.x, case.state)
    found = product_log_singular_values(jacobians)
    assert found.shape == jacobians.shape[:3]
    product = torch.eye(jacobians.shape[2]).double().expand(2, -1, -1)
    for lag, jacobian in enumerate(reversed(jacobians.unbind(0)), start=1):
        product = product @ jacobian
        expected = torch.linalg.svdvals(product)
        clear = expected > 1e-9 * expected[:, :1] if has_memory(case) else expected > 0
        torch.testing.assert_close(found[lag - 1].exp()[clear], expected[clear], rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("name", "settings", "rank"),
    [("jordan", {"hidden_size": 9}, 2), ("tdnn", {"hidden_size": 2, "delays": 1, "hidden_delays": 2}, 7)],
)
def test_singular_values_of_a_step_that_wipes_directions_out_are_0_and_not_rounding(
    name: str, settings: dict[str, Any], rank: int
) -> None:
    """Two outputs feed a Jordan network back, of its four numbers; of 3·2 + 2·3 taps two steps drop 3 + 2."""
    spec = MODELS[name]
    network = spec.build(spec.config.model_validate(settings), 3, 2, seed=1)
    x = torch.rand(2, 6, 3, generator=torch.Generator().manual_seed(2))
    found = log_singular_values(step_jacobians(network, x, None))
    assert found.isfinite().sum(2).unique().tolist() == [rank]
    assert bool((found[..., :rank] > math.log(1e-12)).all())


def test_rounding_that_many_products_add_up_is_no_singular_value() -> None:
    """A projection of rank 1 between two rotations, again and again: one direction is left, at 1^lag."""
    turn = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(3)).double()).Q
    projection = turn @ torch.diag(torch.tensor([1.0, 0, 0, 0, 0, 0]).double()) @ turn.mT
    found = product_log_singular_values(projection.expand(300, 1, 6, 6))
    torch.testing.assert_close(found[:, 0, 0], torch.zeros(300).double(), rtol=0, atol=1e-11)
    assert bool(found[:, 0, 1:].isneginf().all())


def linear_elman(Ws: Tensor) -> Any:
    spec = MODELS["elman"]
    settings = {"hidden_size": Ws.shape[0], "nonlinearity": "linear"}
    network = spec.build(spec.config.model_validate(settings), 1, 1, seed=0)
    with torch.no_grad():
        network.weight_roles()["Ws/0"].copy_(Ws)
    return network


def test_products_far_beyond_what_a_number_holds_are_measured() -> None:
    """A linear network with Ws = 0.1·rotation: every singular value of lag l is 0.1^l, to below 1e-400."""
    rotation = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    jacobians = step_jacobians(linear_elman(0.1 * rotation), torch.ones(1, 450, 1), None)
    found = product_log_singular_values(jacobians)[:, 0]
    lags = torch.arange(1, 451).double()[:, None].expand(-1, 2)
    torch.testing.assert_close(found, lags * math.log(0.1), rtol=1e-6, atol=0)


def test_spectra_are_those_of_each_recurrent_matrix(case: Any) -> None:
    matrices = case.network.recurrent_matrices()
    spectra = recurrent_spectra(case.network)
    assert list(spectra) == list(matrices)
    for name, found in spectra.items():
        matrix = matrices[name].detach()
        matrix = matrix if matrix.is_complex() else matrix.to(torch.complex128)
        size = len(matrix)
        assert found.eigenvalues.shape == (size,)
        identity = torch.eye(size, dtype=torch.complex128)
        for value in found.eigenvalues:  # det(W − λ1) = 0
            assert abs(torch.linalg.det(matrix - value * identity)) < 1e-12
        assert found.radius == pytest.approx(max(abs(complex(value)) for value in found.eigenvalues))
        power = torch.ones(size, dtype=torch.complex128)
        for _ in range(2000):
            power = torch.nn.functional.normalize(matrix.mH @ (matrix @ power), dim=0)
        assert found.norm == pytest.approx(float((matrix @ power).norm()), rel=1e-4)


UNDER = {
    "lstm": {"i": torch.logit, "f": torch.logit, "g": torch.atanh, "o": torch.logit},
    "gru": {"r": torch.logit, "z": torch.logit},  # in n, the reset gate weighs what h adds
}
"""What undoes the squashing of a gate."""


@pytest.mark.parametrize("name", UNDER)
def test_a_recurrent_matrix_is_what_the_state_before_adds_under_its_gate(name: str) -> None:
    """By finite differences: each h_{t-1} moves what stands under gate f by its column of ``Ws/0/f``."""
    spec, tiny = MODELS[name], 1e-6
    network = spec.build(spec.config.model_validate({"hidden_size": 5}), 3, 1, seed=2).double()
    x, state = torch.rand(1, 1, 3).double(), network.initial_state(1)
    assert {key.split("/")[2] for key in network.recurrent_matrices()} == set(network.stacked)
    for letter, undo in UNDER[name].items():
        columns = []
        for unit in range(5):
            moved = state._replace(h=(state.h[0].clone(),))
            moved.h[0][:, unit] += tiny
            after, before = (undo(network.gates(x, s)[f"{letter}/0"][0, 0]) for s in (moved, state))
            columns.append((after - before) / tiny)
        found = network.recurrent_matrices()[f"Ws/0/{letter}"].detach()
        torch.testing.assert_close(found, torch.stack(columns, dim=1), rtol=1e-4, atol=1e-6)


def test_a_linear_recurrent_unit_has_its_own_eigenvalues() -> None:
    """Each h is multiplied by one λ at every timestep: an input at the first alone shows it."""
    spec = MODELS["lru"]
    network = spec.build(spec.config.model_validate({"hidden_size": 3, "layers": 1}), 2, 1, seed=1).double()
    x = torch.zeros(1, 2, 2).double()
    x[:, 0] = 1
    (first, second) = network.unroll(x)[1]
    before, after = (torch.complex(s.re[0][0], s.im[0][0]).detach() for s in (first, second))
    found = recurrent_spectra(network)["Ws/0"].eigenvalues
    torch.testing.assert_close(after / before, found, rtol=1e-10, atol=0)


def test_the_outputs_that_a_jordan_network_reads_meet_no_square_matrix() -> None:
    """Its Ws is (H, O): also where O divides H, no part of it maps a state to the next one."""
    spec = MODELS["jordan"]
    for outputs in (1, 2, 4):
        network = spec.build(spec.config.model_validate({"hidden_size": 4}), 2, outputs, seed=0)
        assert recurrent_spectra(network) == {}


def test_a_weight_that_is_not_finite_has_no_eigenvalues() -> None:
    found = spectrum(torch.tensor([[1.0, math.inf], [0.0, 1.0]]))
    assert bool(found.eigenvalues.isnan().all())
    assert math.isnan(found.radius)
    assert math.isnan(found.norm)


def test_a_rotation_has_its_eigenvalues_on_a_circle() -> None:
    angle = 0.7
    rotation = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    found = recurrent_spectra(linear_elman(0.9 * rotation))["Ws/0"]
    assert sorted(value.imag for value in found.eigenvalues.tolist()) == pytest.approx(
        [-0.9 * math.sin(angle), 0.9 * math.sin(angle)], rel=1e-6
    )
    assert found.radius == pytest.approx(0.9, rel=1e-6)


@pytest.mark.parametrize(
    ("scale", "activation", "must_vanish", "may_explode"),
    [(0.9, "tanh", True, False), (1.1, "tanh", False, True), (3.9, "sigmoid", True, False)],
)
def test_pascanus_bound(scale: float, activation: str, must_vanish: bool, may_explode: bool) -> None:
    Ws = scale * torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    found = pascanu_bound(Ws, SLOPE_BOUNDS[activation])
    assert found == pytest.approx((scale, {"tanh": 1, "sigmoid": 4}[activation], must_vanish, may_explode))


def test_slope_bounds_are_the_steepest_slopes_of_the_activations() -> None:
    for name, activation in ACTIVATIONS.items():
        a = torch.linspace(-5, 5, 10001, dtype=torch.float64)
        h = activation.function(a)
        assert float((h.diff() / a.diff()).max()) == pytest.approx(SLOPE_BOUNDS[name], rel=1e-4)


def test_a_stack_of_gates_has_no_bound() -> None:
    with pytest.raises(ValueError, match=r"Ws has shape \(8, 2\); give one square matrix"):
        pascanu_bound(torch.zeros(8, 2), 1.0)
