"""Truncation beside windows that were cut by hand; and the triangle's gates beside its paths."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from dashboard.charts.triangle import by_lag, kept_curve
from models.base import detach
from tests.trainer.inspection.making import TEXT, Trained, asked, lstm, trained
from trainer.checkpoint import pack, unpack
from trainer.inspection.truncation import SPEC
from trainer.schema import TriangleView, TruncationView


def by_hand(
    run: Trained, k1: int, k2: int | None, *, sequences: int = 4, losses_from: int = 0
) -> tuple[float, float]:
    """Cosine and norm ratio of truncated and full gradient, step by step over whole sequences."""
    task, network, probe = run.rebuilt()
    x, length = probe.inputs[:sequences], probe.length
    weights = list(network.weight_roles().values())
    with torch.no_grad():
        _, after = network.unroll(x)
    before = [network.initial_state(sequences), *after]

    def gradient(start: int, begin: int, end: int) -> Tensor:
        """Of the losses of [begin, end), back to ``start``."""
        state, loss = detach(before[start]), x.new_zeros(())
        for t in range(start, end):
            output, state = network.step(x[:, t], state)
            if t >= max(begin, probe.first, losses_from):
                target = probe.targets[:sequences, t - probe.first, None]
                loss = loss + task.elementwise_loss(output[:, None], target).sum()
        if not loss.requires_grad:
            return x.new_zeros(sum(weight.numel() for weight in weights))
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, weights)])

    cut = [(begin, min(begin + k1, length)) for begin in range(0, length, k1)]
    starts = [0 if k2 is None else max(0, end - k2) for _, end in cut]
    ours = torch.stack([gradient(start, *span) for start, span in zip(starts, cut, strict=True)]).sum(0)
    full = gradient(0, 0, length)
    return float(torch.cosine_similarity(ours, full, dim=0)), float(ours.norm() / full.norm())


def view_of(run: Trained, **settings: Any) -> TruncationView:
    return cast(TruncationView, asked(run, "truncation", **settings).result)


def found_in(view: TruncationView) -> tuple[float | None, float | None]:
    return view.own["all"].cosine, view.own["all"].norm_ratio


def test_the_runs_own_windows_are_those_of_training_over_whole_long_sequences() -> None:
    """Of the last 60 timesteps alone, k2 = 60 would be the whole gradient: cosine 1."""
    run = trained(lstm(48), {"name": "adding", "length": 200}, {"k1": 50, "k2": 60})
    view = view_of(run)
    expected = by_hand(run, 50, 60)
    assert expected[0] < 0.97
    assert found_in(view) == pytest.approx(expected, rel=1e-3)
    assert (view.begin, view.length, view.losses_from) == (0, run.rebuilt()[2].length, 0)
    for place, k2 in enumerate(view.k2):
        swept = view.sweep["all"].cosine[place], view.sweep["all"].norm_ratio[place]
        assert swept == pytest.approx(by_hand(run, 50, k2), rel=1e-3)


def test_a_shorter_stretch_is_of_the_lags_alone() -> None:
    run = trained(lstm(), TEXT, {"k1": 6, "k2": 8, "batch_size": 8})
    view = view_of(run, length=7)
    assert (view.begin, view.length, len(view.lags)) == (13, 20, 7)
    assert found_in(view) == pytest.approx(by_hand(run, 6, 8), rel=1e-3)
    assert view.own == view_of(run).own
    assert view.k2 == [6, 12, 20]
    for place, k2 in enumerate(view.k2):
        swept = view.sweep["all"].cosine[place], view.sweep["all"].norm_ratio[place]
        assert swept == pytest.approx(by_hand(run, 6, k2), rel=1e-3)


def test_where_lags_are_of_a_stretch_only_k1_of_1_is_swept_over_whole_sequences_too() -> None:
    run = trained(lstm(), TEXT, {"k1": 1, "k2": 3, "batch_size": 8})
    assert view_of(run).k1 is None
    view = view_of(run, length=7)
    assert (view.k1, view.k2) == (1, [1, 2, 4, 8, 16, 20])
    assert view.sweep["all"].cosine[2] == pytest.approx(by_hand(run, 1, 4)[0], rel=1e-3)


def test_without_k2_every_window_reaches_back_to_the_first_timestep() -> None:
    run = trained(lstm(), TEXT, {"k1": 5, "batch_size": 8})
    view = view_of(run)
    assert (view.own_k1, view.own_k2) == (5, None)
    assert by_hand(run, 5, None) == pytest.approx((1.0, 1.0))
    assert found_in(view) == pytest.approx((1.0, 1.0))


def test_of_windows_that_overlap_too_much_only_the_last_losses_are_measured_back_through_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = trained(lstm(), TEXT, {"k1": 2, "k2": 14, "batch_size": 8})
    timestep = sum(weight.numel() for weight in run.rebuilt()[1].parameters()) + 40_000
    monkeypatch.setattr(f"{SPEC.compute.__module__}.MOST_WORK", 30 * timestep)
    view = view_of(run, sequences=1)
    assert view.losses_from == 16  # two windows of 14 timesteps each are within 30 timesteps, three are not
    assert found_in(view) == pytest.approx(by_hand(run, 2, 14, sequences=1, losses_from=16), rel=1e-3)
    assert (view.k2[-1], view.sweep["all"].cosine[-1]) == (20, pytest.approx(1))
    assert 16 not in view.k2  # that would take as long
    assert view.begin > 0


def test_of_very_long_sequences_fewer_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained(lstm(), TEXT, {"k1": 4, "k2": 6, "batch_size": 8})
    timestep = sum(weight.numel() for weight in run.rebuilt()[1].parameters()) + 40_000
    monkeypatch.setattr(f"{SPEC.compute.__module__}.MOST_WORK", 130 * timestep)
    view = view_of(run)
    assert view.sequences == 3
    assert found_in(view) == pytest.approx(by_hand(run, 4, 6, sequences=3), rel=1e-3)


@pytest.mark.parametrize("task", [{"name": "adding", "length": 12}, TEXT])
def test_through_the_cell_alone_a_gradient_fades_by_what_the_gates_keep(task: dict[str, Any]) -> None:
    """With one unit and one sequence ∂c_t/∂c_k through c is ∏ f and nothing else: the curves coincide."""
    run = trained(lstm(1), task)
    stored = copy.deepcopy(unpack(run.data))
    weights = stored["module"]["network"]
    # The gate hangs on what is read, so that its product hangs on where it begins.
    weights["rnn.weight_ih_l0"][1] = torch.linspace(-8, 4, weights["rnn.weight_ih_l0"].shape[1]).double()
    weights["rnn.weight_hh_l0"][1] = 0
    weights["rnn.bias_ih_l0"][1] = 3
    view = cast(
        TriangleView,
        asked(run._replace(data=pack(stored)), "triangle", sequences=1, paths=True).result,
    )
    through_c = view.paths["c"]["c/0"]
    kept = kept_curve(view.carried["c/0"], through_c).values
    assert kept == pytest.approx(by_lag(through_c), rel=1e-3, abs=1e-30)
    of_all = kept_curve(view.carried["c/0"], view.states["c/0"]).values  # as it is drawn
    assert of_all == pytest.approx(kept, rel=1e-3)
