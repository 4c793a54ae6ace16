"""Surgery says on how much its numbers rest: how many sequences, how they spread, and where chance is."""

from __future__ import annotations

import copy
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainer.inspection.making import ADDING, TEXT, asked, lstm, trained
from trainer.inspection.surgery import ratio
from trainer.schema import SurgeryView, standing
from trainer.schema.standing import NEAR_CHANCE
from trainer.seeds import generator

SEQUENCES = 64


def test_spreads_are_those_of_the_sequences_and_the_change_is_taken_one_by_one() -> None:
    run = trained(lstm(), ADDING, {"steps": 40, "learning_rate": 0.03})
    view = cast(SurgeryView, asked(run, "surgery", target="o/0", value=0.5, seed=9).result)
    task, network, _ = run.rebuilt()
    batch = task.draw_validation(SEQUENCES, generator(9, "probe")).to(torch.device("cpu"), torch.float64)
    held = copy.deepcopy(network)
    held.clamp("o/0", list(range(6)), 0.5)
    each, wrong = [], []
    for judged in (network, held):
        with torch.no_grad():
            outputs, _ = judged(batch.inputs, None, batch.first)
        each.append(((outputs - batch.targets) ** 2).flatten().numpy())
        wrong.append(((outputs - batch.targets).abs() > 0.2).flatten().numpy())
    assert view.sequences == SEQUENCES
    for side, losses, errors in zip((view.untouched, view.changed), each, wrong, strict=True):
        assert side.loss_spread == pytest.approx(losses.std(ddof=1) / 8, rel=1e-3)
        assert side.error_spread == pytest.approx(errors.std(ddof=1) / 8, rel=1e-3)
        assert (side.wrong, side.total) == (errors.sum(), SEQUENCES)
    change = each[1] - each[0]
    assert view.loss_change == pytest.approx(change.mean(), rel=1e-3)
    assert view.loss_change_spread == pytest.approx(change.std(ddof=1) / 8, rel=1e-3)
    assert view.chance is not None
    assert view.chance.loss == pytest.approx(1 / 24)


def test_the_spread_of_sequences_of_different_length_is_what_drawing_others_gives() -> None:
    """Against many draws of 64 sequences from one population."""
    source = np.random.default_rng(0)
    scored = source.integers(1, 20, size=(4000, SEQUENCES)).astype(float)
    losses = scored * source.gamma(2.0, 1.0, size=scored.shape)
    means = losses.sum(1) / scored.sum(1)
    spreads = [ratio(_tensor(a), _tensor(b))[1] for a, b in zip(losses[:500], scored[:500], strict=True)]
    assert float(np.mean(spreads)) == pytest.approx(means.std(), rel=0.05)


def test_of_a_text_symbols_are_judged_and_sequences_are_counted() -> None:
    view = cast(SurgeryView, asked(trained(lstm(), TEXT), "surgery").result)
    assert view.untouched.total == view.sequences * 20
    assert view.untouched.error == view.untouched.wrong / view.untouched.total


@pytest.mark.parametrize(
    ("loss", "chance", "spread", "expected"),
    [
        (0.040, 0.0417, 0.0055, "at chance"),
        (0.0348, 0.0417, 0.0055, "at chance"),
        (0.0100, 0.0417, 0.0055, "better"),
        (0.0600, 0.0417, 0.0055, "worse"),
        (1.385, 1.386, None, "at chance"),
        (1.386 * (1 - 2 * NEAR_CHANCE), 1.386, 0.0, "better"),
        (0.1, 0.0, None, None),
        (None, 1.0, None, None),
        (1.0, None, None, None),
    ],
)
def test_a_loss_is_at_chance_where_so_few_sequences_do_not_tell_it_from_that(
    loss: float | None, chance: float | None, spread: float | None, expected: str | None
) -> None:
    assert standing(loss, chance, spread) == expected


def test_an_untrained_network_is_not_said_to_be_better_than_chance() -> None:
    run = trained(lstm(), {"name": "temporal_order", "length": 20})
    view = cast(SurgeryView, asked(run, "surgery").result)
    assert view.untouched.standing in ("at chance", "worse")


def _tensor(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
