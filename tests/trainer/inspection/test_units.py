"""The cliff at its defaults; gates of sequences that end early; what a network's letters stand for."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import pytest
import torch

from models import MODELS
from models.base import named_tensors
from tests.trainer.inspection.making import ADDING, asked, lstm, trained
from trainer.config import catalog
from trainer.schema import CliffPath, CliffView, GatesView, RewindView, SurgeryView


def test_at_its_defaults_the_cliff_throws_the_free_descent_away_and_the_clipped_one_walks_down() -> None:
    """As in figure 6 of Pascanu, Mikolov & Bengio 2013."""
    view = cast(CliffView, asked(trained(lstm(), ADDING), "cliff").result)
    free, clipped = ([float(loss or 0) for loss in path.loss] for path in (view.free, view.clipped))

    def places(path: CliffPath) -> list[tuple[float, float]]:
        return [(float(w or 0), float(b or 0)) for w, b in zip(path.w, path.b, strict=True)]

    def longest_leap(path: CliffPath) -> float:
        return max(math.dist(here, there) for here, there in pairwise(places(path)))

    def inside(path: CliffPath) -> list[bool]:
        return [view.w[0] < w < view.w[-1] and view.b[0] < b < view.b[-1] for w, b in places(path)]

    assert longest_leap(view.free) > 40 * longest_leap(view.clipped)
    assert not inside(view.free)[-1]
    assert free[-1] > free[0]  # further up than where it began
    assert all(inside(view.clipped))
    assert clipped[-1] < clipped[0] / 50
    assert max(clipped[30:]) < clipped[0] / 10  # it does not bounce back
    assert sum(there > here for here, there in pairwise(clipped)) <= 6


def test_padding_is_neither_shown_nor_measured() -> None:
    """Reber strings end early: their batch is as long as the longest of them."""
    run = trained(lstm(), {"name": "reber"})
    _, network, batch = run.rebuilt()
    lengths = batch.lengths()[:16]
    shortest = int(lengths.argmin())
    assert lengths[shortest] < batch.length
    view = cast(GatesView, asked(run, "gates", sequence=shortest).result)
    read = len(view.sample.channels[0].values)
    assert read == lengths[shortest]
    assert {len(rows) for rows in (*view.gates.values(), *view.states.values())} == {read}
    gates = network.gates(batch.inputs[:16])["f/0"]
    kept = torch.cat([gate[:length] for gate, length in zip(gates, lengths.tolist(), strict=True)])
    assert view.saturation["f/0"].high == pytest.approx((kept > 0.9).double().mean(0).tolist())


def test_saturation_is_measured_between_the_ends_that_a_gate_has() -> None:
    """A candidate goes from -1 to 1, whether it shows a number below 0 or not."""
    run = trained(lstm(), ADDING)
    _, network, batch = run.rebuilt()
    view = cast(GatesView, asked(run, "gates").result)
    candidate = network.gates(batch.inputs[:16])["g/0"]
    assert view.saturation["g/0"].low == pytest.approx((candidate < -0.8).double().mean((0, 1)).tolist())


@pytest.mark.parametrize("name", MODELS)
def test_every_gate_and_everything_that_can_be_held_has_words(name: str) -> None:
    (entry,) = [entry for entry in catalog().models if entry.name == name]
    spec = MODELS[name]
    network = spec.build(spec.config(), 3, 2, seed=0)
    states = {key.split("/")[0] for key, _ in named_tensors(network.initial_state(1))}
    gates = {key.split("/")[0] for key in network.gates(torch.zeros(1, 2, 3))}
    held = {key.split("/")[0] for key in network.clampable()}
    assert gates <= entry.letters.keys()
    assert held - states <= entry.letters.keys()
    # Which letter keeps a memory is known, and the words must not say otherwise.
    assert all(entry.letters[gate].does == "keeps" for gate in network.kept_by.values() if gate in gates)


def test_one_letter_means_what_its_own_network_means_by_it() -> None:
    words = {entry.name: entry.letters for entry in catalog().models}
    assert words["slstm"]["z"].name == "candidate z"
    assert words["gru"]["z"].does == "keeps"
    assert words["mingru"]["z"].does == "lets in"
    assert words["ffnn"]["h"].name == words["jordan"]["h"].name == "hidden units h"


def test_surgery_says_what_it_held_by_name() -> None:
    assert cast(SurgeryView, asked(trained(lstm(), ADDING), "surgery").result).target == "i/0"


def test_a_truncation_that_was_full_is_not_told_as_off() -> None:
    run = trained(lstm(), ADDING, {"k1": None, "k2": None})
    changes = cast(RewindView, asked(run, "rewind", k1=6, k2=9, clip="as it was", updates=2).result).changes
    assert changes == {"k1": "full → 6", "k2": "unlimited → 9"}
