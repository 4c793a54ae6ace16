"""Gradient at informative timesteps beside gradient at distractors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models import MODELS
from models.base import map_state, named_tensors
from models.bptt.credit import Credit, credit, credit_gradients


def measured(network: Any, x: Tensor, state: Any, loss: Any, informative: Tensor) -> dict[str, Credit]:
    return credit(credit_gradients(network, x, state, loss), informative)


MARKERS = torch.tensor([[0, 2], [4, 4]])


def test_equals_means_over_an_unrolled_copy(case: Any) -> None:
    """Input and states by stepping with autograd; a timestep named twice counts once."""
    found = measured(case.network, case.x, case.state, lambda y: case.losses(y).sum(), MARKERS)
    inputs = [x_t.clone().requires_grad_() for x_t in case.x.unbind(1)]
    state = map_state(lambda tensor: tensor.clone().requires_grad_(), case.state)
    outputs, record = [], {"x": list(inputs)}
    for x_t in inputs:
        y_t, state = case.network.step(x_t, state)
        outputs.append(y_t)
        for name, tensor in named_tensors(state):
            record.setdefault(name, []).append(tensor)
    assert list(found) == list(record)
    loss = case.losses(torch.stack(outputs, 1)).sum()
    for name, tensors in record.items():
        gradients = torch.autograd.grad(
            loss, tensors, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        norms = [[float(g[b].norm()) for g in gradients] for b in range(2)]
        informative = [(norms[0][0] + norms[0][2]) / 2, norms[1][4]]
        others = [sum(norms[0][t] for t in (1, 3, 4, 5)) / 4, sum(norms[1][t] for t in (0, 1, 2, 3, 5)) / 5]
        assert found[name].informative.tolist() == pytest.approx(informative, rel=1e-8, abs=1e-12), name
        assert found[name].distractors.tolist() == pytest.approx(others, rel=1e-8, abs=1e-12), name
        if sum(others) > 1e-10:
            assert found[name].ratio == pytest.approx(sum(informative) / sum(others))


def build_elman(**settings: Any) -> Any:
    spec = MODELS["elman"]
    config = spec.config.model_validate({"hidden_size": 2, "nonlinearity": "relu", **settings})
    return spec.build(config, 2, 1, seed=0).double()


def test_a_network_that_reads_its_marker_alone_hears_nothing_else() -> None:
    """A ReLU unit that opens only where the second input, the marker, is 1, and adds up what it then sees."""
    network = build_elman()
    roles = network.weight_roles()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        roles["Wx/0"].copy_(torch.tensor([[1.0, 9.0], [0.0, 0.0]]))
        network.get_parameter("rnn.bias_ih_l0")[0] = -9.0
        roles["Ws/0"].copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        roles["Wy"].copy_(torch.tensor([[0.0, 1.0]]))
    x = torch.zeros(1, 6, 2, dtype=torch.float64)
    x[0, :, 0], x[0, 2, 1] = 0.5, 1.0
    found = measured(network, x, None, lambda y: y[:, -1].sum(), torch.tensor([[2]]))["x"]
    assert found.informative.tolist() == pytest.approx([math.hypot(1, 9)])
    assert found.distractors.tolist() == [0.0]
    assert found.ratio == math.inf


def test_sequences_without_distractors_are_left_out_of_the_ratio() -> None:
    network, x = build_elman(), torch.ones(2, 3, 2, dtype=torch.float64)

    def loss(outputs: Tensor) -> Tensor:
        return outputs.sum()

    found = measured(network, x, None, loss, torch.tensor([[0, 1, 2], [0, 0, 0]]))["x"]
    assert found.distractors.isnan().tolist() == [True, False]
    assert found.ratio == pytest.approx(float(found.informative[1] / found.distractors[1]))


def test_a_gradient_that_is_no_number_leaves_no_ratio() -> None:
    """A sequence whose distractors get NaN is not one without distractors: the others do not speak for it."""
    gradient = torch.ones(3, 2, 4)  # (T, B, H)
    gradient[1, 0, 2] = torch.nan
    found = credit({"h/0": gradient}, torch.tensor([[0], [0]]))["h/0"]
    assert math.isnan(found.ratio)
    assert found.means[0] == 2


def test_what_follows_a_sequences_end_counts_for_nothing() -> None:
    gradients = {"x": torch.tensor([[1.0, 8.0], [2.0, 3.0], [4.0, 5.0], [9.0, 6.0]])[:, :, None]}  # (T, B, 1)
    found = credit(gradients, torch.tensor([[1], [0]]), lengths=torch.tensor([3, 4]))["x"]
    assert found.informative.tolist() == [2.0, 8.0]
    assert found.distractors.tolist() == pytest.approx([(1 + 4) / 2, (3 + 5 + 6) / 3])
    alone = credit(gradients, torch.tensor([[0], [0]]), lengths=torch.tensor([1, 4]))["x"]
    assert alone.distractors.isnan().tolist() == [True, False]
