"""Sequences of different lengths are padded to one batch: no view measures what is padding.

Each is compared with sequences that are read one by one, cut to their own ends.
"""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from models import MODELS
from models.base import named_tensors
from tests.trainer.inspection.making import Trained, asked, lstm, numbers, trained
from trainer.inspection.base import Probe
from trainer.schema import JacobiansView, Stretch, TriangleView, TruncationView
from trainer.tasks.base import Batch
from trainer.tasks.counting import Counting
from trainer.tasks.reber import Reber

REBER, COUNTING = {"name": "reber"}, {"name": "counting", "length": 8}
PADDED = [REBER, COUNTING]
COUNT = 4


def strings(run: Trained, count: int = COUNT) -> list[Batch]:
    """The first sequences of the run's probe, each a batch of its own without any padding."""
    _, _, probe = run.rebuilt()
    assert probe.mask is not None
    lengths = probe.mask[:count].sum(1).tolist()
    assert len(set(lengths)) > 1
    return [
        Batch(
            inputs=probe.inputs[b : b + 1, :length],
            targets=probe.targets[b : b + 1, :length],
            first=0,
            mask=torch.ones(1, length, dtype=torch.bool),
        )
        for b, length in enumerate(lengths)
    ]


def alone(run: Trained, view: str, one: Batch, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Any:
    """What a view answers where there is no other sequence, and so no padding."""
    with monkeypatch.context() as patch:
        for task in (Reber, Counting):
            patch.setattr(task, "draw_validation", lambda *_: one)
        return asked(run, view, sequences=1, **settings).result


@pytest.mark.parametrize("task", PADDED, ids=lambda task: task["name"])
@pytest.mark.parametrize("length", [None, 6])
def test_singular_values_are_means_over_each_sequences_own_timesteps(
    task: dict[str, Any], length: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained({"name": "elman", "hidden_size": 5}, task)
    settings = {"follow": 100} | ({} if length is None else {"length": length})
    found = cast(JacobiansView, asked(run, "jacobians", sequences=COUNT, **settings).result)
    each = [alone(run, "jacobians", one, monkeypatch, **settings) for one in strings(run)]
    for kind in ("step", "product"):
        for part in ("largest", "median", "smallest"):
            rows = [getattr(getattr(one, kind), part) for one in each]
            expected = []
            for t in range(max(map(len, rows))):
                there = [row[t] for row in rows if t < len(row)]
                logs = [math.log(value) if kind == "step" else value for value in there]
                mean = sum(logs) / len(logs)
                expected.append(math.exp(mean) if kind == "step" else mean)
            assert getattr(getattr(found, kind), part) == pytest.approx(expected, rel=1e-3)
    assert found.stretch is not None
    assert found.stretch.lengths == [len(one.step.largest) for one in each]
    assert found.stretch.begins == [one.begin for one in each]


def test_one_padded_sequence_is_measured_as_if_it_were_drawn_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained(lstm(), REBER)
    first = strings(run)[0]
    found = cast(JacobiansView, asked(run, "jacobians", sequences=1, follow=100).result)
    by_itself = alone(run, "jacobians", first, monkeypatch, follow=100)
    # Exponents are followed over fresh sequences, which are others here and there.
    assert found.model_copy(update={"lyapunov": None}) == by_itself.model_copy(update={"lyapunov": None})
    assert len(found.step.largest) == first.length


@pytest.mark.parametrize("task", PADDED, ids=lambda task: task["name"])
def test_the_triangle_is_of_the_last_timesteps_of_each_sequence(task: dict[str, Any]) -> None:
    """By hand: each string alone from its own sixth-last timestep on, every loss back to every step."""
    length = 6
    run = trained(lstm(), task)
    judge, network, _ = run.rebuilt()
    found = cast(TriangleView, asked(run, "triangle", sequences=COUNT, length=length).result)
    each, roles = strings(run), network.weight_roles()
    scored = sum(one.length for one in each)
    whole = {role: torch.zeros_like(weight) for role, weight in roles.items()}
    squares = torch.zeros(length, length, dtype=torch.float64)
    kept: list[Tensor] = []
    for one in each:
        begin = max(0, one.length - length)
        with torch.no_grad():
            _, state = network(one.inputs[:, :begin]) if begin else (None, network.initial_state(1))
        forget = network.gates(one.inputs[:, begin:], state)["f/0"][0]
        kept.append(forget)
        outputs, states = network.unroll(one.inputs[:, begin:], state)
        losses = judge.elementwise_loss(outputs, one.targets[:, begin:])[0] / scored
        for role, gradient in zip(
            roles, torch.autograd.grad(losses.sum(), [*roles.values()], retain_graph=True), strict=True
        ):
            whole[role] += gradient
        for t, loss in enumerate(losses):
            of_states = torch.autograd.grad(
                loss,
                [after.h[0] for after in states],
                retain_graph=True,
                materialize_grads=True,
                allow_unused=True,
            )
            for k, gradient in enumerate(of_states):
                squares[t, k] += gradient.square().sum()
    for role, gradient in whole.items():
        assert found.totals[role] == pytest.approx(float(gradient.norm()), rel=1e-4)
    torch.testing.assert_close(numbers(found.states["h/0"]), squares.sqrt(), rtol=1e-4, atol=1e-12)
    for t in range(length):
        there = [gate for gate in kept if len(gate) > t]
        for k in range(t + 1):
            products = [gate[k + 1 : t + 1].prod(0) for gate in there]
            expected = float(torch.stack(products).mean())
            assert found.carried["c/0"][t][k] == pytest.approx(expected, rel=1e-4)


def test_lags_are_taken_apart_over_the_last_timesteps_of_each_sequence() -> None:
    run = trained(lstm(), REBER, {"k1": 4, "k2": 6})
    judge, network, _ = run.rebuilt()
    found = cast(TruncationView, asked(run, "truncation", sequences=COUNT, length=5).result)
    each, roles = strings(run), network.weight_roles()
    scored = sum(one.length for one in each)
    at_lag_0 = {role: torch.zeros_like(weight) for role, weight in roles.items()}
    for one in each:
        with torch.no_grad():
            _, states = network.unroll(one.inputs)
        for t in range(max(0, one.length - 5), one.length):
            before = states[t - 1] if t else network.initial_state(1)
            output, _ = network.step(one.inputs[:, t], before)
            loss = judge.elementwise_loss(output[:, None], one.targets[:, t : t + 1]).sum() / scored
            for role, part in zip(roles, torch.autograd.grad(loss, [*roles.values()]), strict=True):
                at_lag_0[role] += part
    for role, gradient in at_lag_0.items():
        assert found.lag_norms[role][0] == pytest.approx(float(gradient.norm()), rel=1e-4)
    lengths = [one.length for one in each]
    assert (found.length, found.shortest, found.sequences) == (max(lengths), min(lengths), COUNT)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_begins_each_stretch_with_the_state_of_that_very_sequence(name: str) -> None:
    run = trained({"name": name, "hidden_size": 5}, REBER)
    task, network, probe = run.rebuilt()
    stretch = Probe(task, probe.rows(0, COUNT), network, 5)
    for b, one in enumerate(strings(run)):
        begin = one.length - 5
        with torch.no_grad():
            _, state = network(one.inputs[:, :begin])
        expected = dict(named_tensors(state))
        for name_of, held in named_tensors(stretch.state if expected else network.initial_state(1)):
            torch.testing.assert_close(held[b], expected[name_of][0])
        torch.testing.assert_close(stretch.batch.inputs[b], one.inputs[0, begin:])


def test_the_last_timesteps_of_a_batch_are_each_sequences_own() -> None:
    """Over every combination of first scored timestep, holes in the mask, and length, by loops."""
    source = torch.Generator().manual_seed(4)
    for first in (0, 3):
        mask = torch.rand(6, 9 - first, generator=source) < 0.5
        mask[:, 0] = True
        batch = Batch(
            inputs=torch.randn(6, 9, 2, generator=source),
            targets=torch.randint(5, (6, 9 - first), generator=source),
            first=first,
            mask=mask,
        )
        ends = [first + max(t for t in range(9 - first) if row[t]) + 1 for row in mask]
        for length in (None, 1, 2, 4, 9):
            found, begins = batch.last(length)
            assert found.mask is not None
            assert begins.tolist() == [0 if length is None else max(0, end - length) for end in ends]
            assert found.length == max(end - int(begin) for end, begin in zip(ends, begins, strict=True))
            for b, (end, begin) in enumerate(zip(ends, begins.tolist(), strict=True)):
                own = end - begin
                assert torch.equal(found.inputs[b, :own], batch.inputs[b, begin:end])
                assert not found.inputs[b, own:].any()
                expected = {
                    t - begin: int(batch.targets[b, t - first])
                    for t in range(max(begin, first), end)
                    if mask[b, t - first]
                }
                places = (found.mask[b].nonzero().flatten() + found.first).tolist()
                assert {t: int(found.targets[b, t - found.first]) for t in places} == expected


def test_a_reader_is_told_which_timesteps_were_measured() -> None:
    for begins, lengths, words in (
        ([0, 0], [9, 9], ""),
        ([2, 2], [9, 9], "timesteps 3 to 11"),
        ([0, 0], [7, 9], "each sequence to its own end, 7 to 9 timesteps"),
        ([2, 5], [9, 9], "the last 9 timesteps of each sequence, counted from the first of them"),
        (
            [0, 5],
            [7, 9],
            "the last 9 timesteps of each sequence (all of a shorter one), counted from the first of them",
        ),
    ):
        assert Stretch(begins=begins, lengths=lengths).words == words
