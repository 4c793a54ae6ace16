"""What a run records of its gradient beside its norms, computed anew from the weights of a checkpoint."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models.base import Network, detach
from tests.trainer.training.conftest import ServiceInMemory
from trainer import recordings
from trainer.checkpoint import unpack
from trainer.config import resolve
from trainer.corpora import builtin_corpora
from trainer.schema import RunConfig
from trainer.seeds import generator
from trainer.tasks.base import Batch

STEPS = 20


def config(task: dict[str, Any], **training: Any) -> RunConfig:
    return RunConfig.model_validate(
        {
            "model": {"name": "gru", "hidden_size": 6},
            "task": task,
            "training": {"steps": STEPS, "batch_size": 4, "accelerator": "cpu", **training},
            "analysis": {"every": STEPS, "probe_size": 5, "samples_every": None},
            "seed": 3,
        }
    )


def trained(service: ServiceInMemory, settings: RunConfig) -> tuple[Network[Any], Batch, Any]:
    """The network as its last checkpoint holds it, the run's probe, and the task."""
    service.train(settings)
    resolved = resolve(settings, lambda name: builtin_corpora()[name].text)
    network = resolved.network()
    step, data = service.checkpoints[-1]
    assert step == STEPS
    network.load_state_dict(unpack(data)["module"]["network"])
    probe = resolved.task.draw_validation(5, generator(3, "probe"))
    return network.eval(), probe, resolved.task


def mean_loss(task: Any, batch: Batch, outputs: Tensor) -> Tensor:
    return task.elementwise_loss(outputs[:, batch.first :], batch.targets).mean()


def test_credit_is_the_gradient_at_markers_over_that_elsewhere(service: ServiceInMemory) -> None:
    network, probe, task = trained(service, config({"name": "temporal_order", "length": 12}))
    assert probe.informative is not None
    x = probe.inputs.clone().requires_grad_()
    state, outputs, states = network.initial_state(5), [], []
    for t in range(12):
        y_t, state = network.step(x[:, t], state)
        outputs.append(y_t)
        states.append(state.h[0])
    loss = mean_loss(task, probe, torch.stack(outputs, dim=1))
    of_x, *of_h = torch.autograd.grad(loss, [x, *states])
    for key, norms in (
        ("credit/x", of_x.norm(dim=2)),  # (B, T)
        ("credit/h/0", torch.stack(of_h, dim=1).norm(dim=2)),
    ):
        marked, others = [], []
        for b in range(5):
            markers = set(probe.informative[b].tolist())
            marked.append(sum(float(norms[b, t]) for t in markers) / len(markers))
            others.append(
                sum(float(norms[b, t]) for t in range(12) if t not in markers) / (12 - len(markers))
            )
        recorded = service.points(key)
        assert sorted(recorded) == [0, STEPS]
        assert recorded[STEPS] == pytest.approx(sum(marked) / sum(others), rel=1e-4)


def test_the_gradient_is_that_of_the_losses_of_training(service: ServiceInMemory) -> None:
    """With target replication every timestep has a loss: the state's gradient there is not what came back."""
    network, probe, _ = trained(service, config({"name": "adding", "length": 12}, loss_at="all"))
    state, outputs, states = network.initial_state(5), [], []
    for t in range(12):
        y_t, state = network.step(probe.inputs[:, t], state)
        outputs.append(y_t)
        states.append(state.h[0])
    loss = (torch.stack(outputs, dim=1) - probe.targets[:, -1:]).square().mean()
    norms = [float(gradient.norm()) for gradient in torch.autograd.grad(loss, states)]
    assert service.vectors("h/0")[STEPS] == pytest.approx(norms, rel=1e-4)


def test_truncation_compares_the_windows_gradient_with_the_full_one(service: ServiceInMemory) -> None:
    """k1 = 5, k2 = 10 on a stream of 20 characters; windows written out by hand, with detach."""
    network, probe, task = trained(service, config({"name": "characters", "length": 20}, k1=5, k2=10))
    weights = list(network.weight_roles().values())
    full = torch.autograd.grad(mean_loss(task, probe, network(probe.inputs)[0]), weights)
    truncated = [torch.zeros_like(weight) for weight in weights]
    for start, begin, end in ((0, 0, 5), (0, 5, 10), (5, 10, 15), (10, 15, 20)):
        before = detach(network(probe.inputs[:, :start])[1]) if start else network.initial_state(5)
        outputs, _ = network(probe.inputs[:, start:end], before)
        losses = task.elementwise_loss(outputs[:, begin - start :], probe.targets[:, begin:end])
        for total, part in zip(truncated, torch.autograd.grad(losses.sum() / 100, weights), strict=True):
            total += part
    for role, ours, theirs in zip(network.weight_roles(), truncated, full, strict=True):
        cosine = float((ours * theirs).sum() / ours.norm() / theirs.norm())
        assert service.points(f"truncation/cosine/{role}")[STEPS] == pytest.approx(cosine, abs=1e-4)
        ratio = float(ours.norm() / theirs.norm())
        assert service.points(f"truncation/norm_ratio/{role}")[STEPS] == pytest.approx(ratio, rel=1e-4)
    together = service.points("truncation/cosine/all")[STEPS]
    assert 0 < together < 1
    assert not math.isclose(together, 1, abs_tol=1e-6)


@pytest.mark.parametrize("truncation", [{}, {"k1": 1, "k2": 20}])
def test_nothing_is_compared_without_truncation_or_where_it_would_cost_too_much(
    service: ServiceInMemory, truncation: dict[str, int]
) -> None:
    service.train(config({"name": "characters", "length": 20}, **truncation))
    keys = {key for report in service.reports for key in report.metrics}
    assert not any(key.startswith(("truncation/", "credit/")) for key in keys)


def test_value_clipping_reports_how_far_it_bends_each_gradient(service: ServiceInMemory) -> None:
    service.train(config({"name": "temporal_order", "length": 12}, clip="value", clip_at=1e-3))
    bent = service.points("clip_cosine")
    assert sorted(bent) == list(range(1, STEPS + 1))
    assert all(0 < value < 1 for value in bent.values())
    service.reports.clear()
    service.train(config({"name": "temporal_order", "length": 12}))
    assert not service.points("clip_cosine")


def test_eigenvalues_are_recorded_at_each_validation(service: ServiceInMemory) -> None:
    """Their largest size beside the growth rate of a high power of Ws; their sum beside its trace."""
    settings = config({"name": "temporal_order", "length": 12}, validate_every=10)
    settings = settings.model_copy(update={"model": {"name": "elman", "hidden_size": 6, "layers": 2}})
    network, _, _ = trained(service, settings)
    for role in ("Ws/0", "Ws/1"):
        recorded = service.points(f"spectral_radius/{role}")
        assert sorted(recorded) == [0, 10, STEPS]
        Ws = network.weight_roles()[role].detach().double()
        power, logarithm = Ws, 0.0
        for _ in range(12):  # to the power of 4096
            power = power @ power
            size = float(power.norm())
            power, logarithm = power / size, 2 * logarithm + math.log(size)
        assert recorded[STEPS] == pytest.approx(math.exp(logarithm / 4096), rel=5e-3)
        vectors = service.vectors(f"eigenvalues/{role}")
        assert sorted(vectors) == [0, 10, STEPS]
        real, imaginary = vectors[STEPS][::2], vectors[STEPS][1::2]
        assert len(real) == 6
        assert sum(real) == pytest.approx(float(Ws.trace()), abs=1e-5)
        assert sum(imaginary) == pytest.approx(0, abs=1e-5)
        assert max(map(math.hypot, real, imaginary)) == pytest.approx(recorded[STEPS], rel=1e-6)


def test_each_gates_eigenvalues_are_recorded_apart(service: ServiceInMemory) -> None:
    network, _, _ = trained(service, config({"name": "temporal_order", "length": 12}))
    Ws = network.weight_roles()["Ws/0"].detach().double()
    for gate, block in zip("rzn", Ws.chunk(3), strict=True):
        real = service.vectors(f"eigenvalues/Ws/0/{gate}")[STEPS][::2]
        assert sum(real) == pytest.approx(float(block.trace()), abs=1e-5)


def test_eigenvalues_that_would_hold_up_the_run_are_not_recorded(
    service: ServiceInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "MOST_SPECTRA", 1)
    service.train(config({"name": "temporal_order", "length": 12}))
    assert not any(key.startswith("spectral_radius") for report in service.reports for key in report.metrics)
    assert not service.vectors("eigenvalues/Ws/0/r")


def test_credit_counts_the_timesteps_of_each_sequence_alone_not_its_padding(service: ServiceInMemory) -> None:
    """Strings of the Reber grammar, each by itself and unpadded."""
    network, probe, task = trained(service, config({"name": "reber"}))
    assert probe.mask is not None
    lengths = probe.mask.sum(1).tolist()
    assert len(set(lengths)) > 1
    marked, others = [], []
    for b, length in enumerate(lengths):
        x = probe.inputs[b : b + 1, :length].clone().requires_grad_()
        losses = task.elementwise_loss(network(x)[0], probe.targets[b : b + 1, :length])
        (gradient,) = torch.autograd.grad(losses.sum(), [x])
        norms = gradient[0].norm(dim=1).tolist()
        marked.append(norms.pop(1))
        others.append(sum(norms) / len(norms))
    assert service.points("credit/x")[STEPS] == pytest.approx(sum(marked) / sum(others), rel=1e-4)
