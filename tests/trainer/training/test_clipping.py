"""Clipping: the two rules, and that it stands between backward and the optimiser's step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models import MODELS
from trainer import module as module_under_test
from trainer.clipping import Clipped, clip_gradients
from trainer.corpora import builtin_corpora
from trainer.module import RecurrentTraining
from trainer.schema import TrainingConfig
from trainer.tasks import TASKS


def some_gradients(scale: float) -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(5)
    return [
        scale * torch.randn(*shape, dtype=torch.float64, generator=source) for shape in ((4, 3), (7,), (2, 2))
    ]


def norm(gradients: list[torch.Tensor]) -> float:
    return float(sum((g**2).sum() for g in gradients)) ** 0.5


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 50.0])
@pytest.mark.parametrize("threshold", [0.25, 1.0, 7.0])
def test_norm_after_is_the_smaller_of_norm_before_and_threshold(scale: float, threshold: float) -> None:
    gradients = some_gradients(scale)
    untouched = [g.clone() for g in gradients]
    before = norm(gradients)
    clipped = clip_gradients(gradients, "norm", threshold)
    assert float(clipped.before) == pytest.approx(before, rel=1e-12)
    assert norm(gradients) == pytest.approx(min(before, threshold), rel=1e-12)
    assert float(clipped.after) == pytest.approx(norm(gradients), rel=1e-12)
    assert bool(clipped.acted) == (before > threshold)
    for new, old in zip(gradients, untouched, strict=True):  # the direction is kept
        torch.testing.assert_close(new * before, old * norm(gradients))


def test_norm_clipping_agrees_with_pytorchs_own_up_to_its_epsilon() -> None:
    parameters = [nn.Parameter(torch.zeros_like(g)) for g in some_gradients(3.0)]
    for parameter, gradient in zip(parameters, some_gradients(3.0), strict=True):
        parameter.grad = gradient
    nn.utils.clip_grad_norm_(parameters, 1.0)
    ours = some_gradients(3.0)
    clip_gradients(ours, "norm", 1.0)
    for one, parameter in zip(ours, parameters, strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-6, atol=0)


def test_value_clipping_cuts_each_entry_and_measures_what_is_left() -> None:
    gradients = some_gradients(2.0)
    expected = [g.clamp(-0.5, 0.5) for g in gradients]
    clipped = clip_gradients(gradients, "value", 0.5)
    assert all(torch.equal(one, other) for one, other in zip(gradients, expected, strict=True))
    assert float(clipped.after) == pytest.approx(norm(expected), rel=1e-12)
    assert bool(clipped.acted)
    assert not bool(clip_gradients(gradients, "value", 0.5).acted)


def test_the_cosine_says_how_far_value_clipping_bends_the_gradient() -> None:
    """Beside PyTorch's cosine of the flattened vectors; a zero gradient is not bent; by norm none ever is."""
    before = torch.cat([g.flatten() for g in some_gradients(2.0)])
    for threshold in (0.1, 0.5, 100.0):
        gradients = some_gradients(2.0)
        clipped = clip_gradients(gradients, "value", threshold)
        after = torch.cat([g.flatten() for g in gradients])
        assert clipped.cosine is not None
        expected = float(nn.functional.cosine_similarity(before, after, dim=0))
        assert float(clipped.cosine) == pytest.approx(expected, rel=1e-12)
        assert (float(clipped.cosine) < 0.999) == (threshold < 100)
    zero = clip_gradients([torch.zeros(3)], "value", 1.0)
    assert zero.cosine is not None
    assert float(zero.cosine) == 1
    assert clip_gradients(some_gradients(2.0), "norm", 0.1).cosine is None


def test_off_changes_nothing() -> None:
    gradients = some_gradients(100.0)
    clipped = clip_gradients(gradients, None, 1.0)
    assert all(torch.equal(one, other) for one, other in zip(gradients, some_gradients(100.0), strict=True))
    assert float(clipped.before) == float(clipped.after)
    assert not bool(clipped.acted)


def one_update(clip_at: float) -> float:
    """Length of the weights' way in one SGD step with learning rate 1: the norm of the gradient it used."""
    spec, task_spec = MODELS["lstm"], TASKS["adding"]
    network = spec.build(spec.config(hidden_size=8), 2, 1, seed=0)  # type: ignore[call-arg]
    config = TrainingConfig(batch_size=4, optimizer="sgd", learning_rate=1.0, clip="norm", clip_at=clip_at)
    task = task_spec.build(task_spec.config(), lambda name: builtin_corpora()[name].text)
    trained = RecurrentTraining(network, task, config, torch.Generator().manual_seed(0))
    trained.optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    trained.parameters_list = list(network.parameters())
    trained.cursor = module_under_test.Cursor(
        network, task, batch_size=4, k1=None, k2=None, generator=trained.generator, device=torch.device("cpu")
    )
    trained._clock_began = 0.0
    old = [p.detach().clone() for p in network.parameters()]
    reported = trained._collect([trained._update()])[0]
    moved = norm([new.detach() - was for new, was in zip(network.parameters(), old, strict=True)])
    assert reported.norm_after == pytest.approx(min(reported.norm_before, clip_at), rel=1e-5)
    return moved


def test_the_step_uses_the_clipped_gradient() -> None:
    assert one_update(clip_at=0.01) == pytest.approx(0.01, rel=1e-4)
    assert one_update(clip_at=100.0) > 0.02


def test_that_test_fails_when_the_clip_comes_before_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scripts of the TCN benchmark clip before ``backward()``: nothing is there yet to be cut."""

    def too_early(gradients: list[torch.Tensor], rule: str, threshold: float) -> Clipped:
        return clip_gradients([torch.zeros_like(g) for g in gradients], rule, threshold)  # type: ignore[arg-type]

    monkeypatch.setattr(module_under_test, "clip_gradients", too_early)
    with pytest.raises(AssertionError):
        test_the_step_uses_the_clipped_gradient()
