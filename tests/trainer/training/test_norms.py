"""Norms, cosines and clips of gradients near either end of what their numbers can hold, beside exact ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from models import MODELS
from trainer.clipping import clip_gradients
from trainer.corpora import builtin_corpora
from trainer.cursor import Cursor
from trainer.module import RecurrentTraining
from trainer.norms import cosine, total_norm
from trainer.schema import TrainingConfig
from trainer.tasks import TASKS

SIZES = {torch.float32: [1e-44, 1e-38, 1e-30, 1e-22, 1.0, 1e15, 1e19, 8e21, 1e38]}
SIZES[torch.float64] = [*SIZES[torch.float32], 1e-320, 1e-300, 1e-160, 1e154, 1e200, 1e300]
EACH = [(dtype, size) for dtype, sizes in SIZES.items() for size in sizes]


def gradients(dtype: torch.dtype, size: float) -> list[Tensor]:
    """Of three parameters, in float32 or float64; the last one is a thousandth of the others."""
    source = torch.Generator().manual_seed(1)
    parts = [torch.randn(*shape, generator=source, dtype=torch.float64) for shape in ((4, 3), (5,), (2,))]
    return [(part * scale * size).to(dtype) for part, scale in zip(parts, (1, 1, 1e-3), strict=True)]


def exact(tensors: Sequence[Tensor]) -> list[Fraction]:
    return [Fraction(value) for tensor in tensors for value in tensor.double().flatten().tolist()]


def root(value: Fraction) -> float:
    """The square root of a fraction of any size."""
    shift = (value.numerator.bit_length() - value.denominator.bit_length()) // 2
    return math.ldexp(math.sqrt(value / Fraction(4) ** shift), shift)


def exact_norm(tensors: Sequence[Tensor]) -> float:
    return root(sum((value * value for value in exact(tensors)), Fraction(0)))


@pytest.mark.parametrize(("dtype", "size"), EACH)
def test_a_norm_is_the_exact_one_whatever_the_size(dtype: torch.dtype, size: float) -> None:
    found = gradients(dtype, size)
    assert float(total_norm(found)) == pytest.approx(exact_norm(found), rel=1e-6)


@pytest.mark.parametrize("dtype", SIZES)
def test_a_norm_beyond_all_numbers_of_its_own_type_is_not_infinite(dtype: torch.dtype) -> None:
    """Of float32 it is a larger number; of float64 the largest one."""
    most = torch.finfo(dtype).max
    found = float(total_norm([torch.full((9,), most, dtype=dtype)]))
    assert found == pytest.approx(min(3 * Fraction(most), Fraction(torch.finfo(torch.float64).max)))


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_norm_is_not_finite_where_an_entry_is_not(bad: float) -> None:
    assert not math.isfinite(total_norm([torch.ones(3), torch.tensor([1.0, bad])]))


def test_a_gradient_of_zeros_has_the_norm_0_and_is_left_alone() -> None:
    zeros = [torch.zeros(3), torch.zeros(2, 2)]
    assert float(total_norm(zeros)) == 0
    clipped = clip_gradients(zeros, "norm", 1.0)
    assert (float(clipped.before), float(clipped.after), bool(clipped.acted)) == (0, 0, False)
    assert not any(bool(gradient.any()) for gradient in zeros)


@pytest.mark.parametrize("threshold", [1e-6, 1.0, 1e3])
@pytest.mark.parametrize(("dtype", "size"), EACH)
def test_clipping_by_norm_keeps_the_direction_whatever_the_size(
    dtype: torch.dtype, size: float, threshold: float
) -> None:
    clipped = gradients(dtype, size)
    before = exact_norm(clipped)
    found = clip_gradients(clipped, "norm", threshold)
    assert bool(found.acted) == (before > threshold)
    assert float(found.after) == pytest.approx(min(before, threshold), rel=1e-6)
    assert exact_norm(clipped) == pytest.approx(min(before, threshold), rel=1e-6)
    if before > threshold:
        untouched = gradients(dtype, size)
        expected = [Fraction(threshold) / Fraction(before) * value for value in exact(untouched)]
        assert [float(v) for v in exact(clipped)] == pytest.approx([float(v) for v in expected], rel=1e-6)
    else:
        assert exact(clipped) == exact(gradients(dtype, size))


@pytest.mark.parametrize(("dtype", "size"), EACH)
def test_the_cosine_of_a_clip_by_value_is_the_exact_one(dtype: torch.dtype, size: float) -> None:
    cut = gradients(dtype, size)
    found = clip_gradients(cut, "value", size / 2)
    before = gradients(dtype, size)
    product = sum((u * v for u, v in zip(exact(before), exact(cut), strict=True)), Fraction(0))
    lengths = [sum((v * v for v in exact(side)), Fraction(0)) for side in (before, cut)]
    expected = root(product * product / lengths[0] / lengths[1])
    assert float(found.after) == pytest.approx(exact_norm(cut), rel=1e-6)
    assert found.cosine is not None
    assert float(found.cosine) == pytest.approx(expected, rel=1e-6)
    assert expected < 0.999 or size < 1e-40


def test_a_cosine_of_opposite_gradients_is_minus_one() -> None:
    for size in (1e-30, 1.0, 1e30):
        one = gradients(torch.float32, size)
        other = [-gradient for gradient in one]
        norms = total_norm(one), total_norm(other)
        assert float(cosine(one, other, norms)) == pytest.approx(-1, rel=1e-6)


@pytest.mark.parametrize("rule", ["norm", "value", None])
@pytest.mark.parametrize("precision", ["32", "64", "bf16"])
def test_a_run_whose_gradient_explodes_goes_on(precision: str, rule: Any) -> None:
    """A linear Elman network of radius 1.5, 60 timesteps: the squares of its gradient are beyond float32."""
    spec, task_spec = MODELS["elman"], TASKS["adding"]
    settings = {"hidden_size": 32, "nonlinearity": "linear", "spectral_radius": 1.5}
    network = spec.build(spec.config.model_validate(settings), 2, 1, seed=0)
    task = task_spec.build(
        task_spec.config.model_validate({"length": 60}), lambda c: builtin_corpora()[c].text
    )
    config = TrainingConfig.model_validate(
        {"optimizer": "sgd", "learning_rate": 1e-9, "precision": precision, "clip": rule}
    )
    trained = RecurrentTraining(network, task, config, torch.Generator().manual_seed(0))
    trained.optimizer = torch.optim.SGD(network.parameters(), lr=config.learning_rate)
    trained.parameters_list = list(network.parameters())
    trained.cursor = Cursor(
        network,
        task,
        batch_size=32,
        k1=None,
        k2=None,
        generator=trained.generator,
        device=torch.device("cpu"),
        dtype=trained.dtype_of_numbers,
    )
    trained._clock_began = 0.0
    (update,) = trained._collect([trained._update()])
    assert trained.failure is None
    assert 1e19 < update.norm_before < math.inf
    assert update.norm_after == pytest.approx(
        {"norm": 1.0, None: update.norm_before}.get(rule, update.norm_after)
    )
    if rule == "norm":
        after = [p.grad for p in network.parameters() if p.grad is not None]
        assert exact_norm(after) == pytest.approx(1.0, rel=1e-6)
