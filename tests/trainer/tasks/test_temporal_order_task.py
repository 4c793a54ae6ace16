"""The temporal order task against the rules of its source, recomputed from the inputs alone."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trainer.tasks.base import Batch
from trainer.tasks.temporal_order import TemporalOrder, TemporalOrderConfig

ALPHABET = "XYcdef"
CLASSES = ("X,X", "Y,X", "X,Y", "Y,Y")


def make(length: int) -> TemporalOrder:
    return TemporalOrder(TemporalOrderConfig(length=length))


def drawn(length: int, batch_size: int, seed: int) -> Batch:
    return make(length).draw(batch_size, torch.Generator().manual_seed(seed))


def spell(batch: Batch, row: int) -> str:
    one_hot = batch.inputs[row]
    assert (one_hot.sum(dim=1) == 1).all()
    assert ((one_hot == 0) | (one_hot == 1)).all()
    return "".join(ALPHABET[channel] for channel in one_hot.nonzero()[:, 1].tolist())


@given(length=st.integers(10, 300), batch_size=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_a_batch_has_the_format_of_pascanus_code(length: int, batch_size: int, seed: int) -> None:
    batch = drawn(length, batch_size, seed)
    assert batch.length == length
    assert batch.first == length - 1
    for row in range(batch_size):
        text = spell(batch, row)
        early, late = (step for step, symbol in enumerate(text) if symbol in "XY")  # exactly two
        tenth = int(length * 0.1)
        assert tenth <= early < tenth + tenth
        assert int(length * 0.5) <= late < int(length * 0.5) + tenth
        assert CLASSES[batch.targets[row, 0]] == f"{text[early]},{text[late]}"
        assert batch.informative is not None
        assert batch.informative[row].tolist() == [early, late]


@pytest.mark.parametrize("length", [10, 19, 20, 57])
def test_every_marker_place_symbol_and_class_of_the_format_occurs(length: int) -> None:
    batch = drawn(length, 5_000, seed=1)
    assert batch.informative is not None
    tenth, half = int(length * 0.1), int(length * 0.5)
    assert set(batch.informative[:, 0].tolist()) == set(range(tenth, 2 * tenth))
    assert set(batch.informative[:, 1].tolist()) == set(range(half, half + tenth))
    assert {symbol for row in range(50) for symbol in spell(batch, row)} == set(ALPHABET)
    assert set(batch.targets.flatten().tolist()) == {0, 1, 2, 3}


def test_the_four_classes_are_equally_likely_so_chance_is_ln_4_and_75_percent() -> None:
    """Monte Carlo over 200,000 sequences, within five standard errors of a share of 1/4."""
    task = make(10)
    shares = drawn(10, 200_000, seed=3).targets.flatten().bincount() / 200_000
    assert ((shares - 0.25).abs() < 5 * math.sqrt(0.25 * 0.75 / 200_000)).all()
    # With four equal classes the entropy is the least that any fixed distribution can reach.
    assert task.chance.loss == pytest.approx(-4 * 0.25 * math.log(0.25))
    assert task.chance.error == 1 - 0.25


def test_the_noise_says_nothing_about_the_class() -> None:
    """Each distractor is as frequent in every class, so only the two markers inform."""
    batch = drawn(20, 40_000, seed=7)
    for label in range(4):
        counts = batch.inputs[batch.targets[:, 0] == label].sum(dim=(0, 1))[2:]
        share = counts / counts.sum()
        assert ((share - 0.25).abs() < 5 * (0.25 * 0.75 / counts.sum()).sqrt()).all()


def test_the_likeliest_class_is_the_answer() -> None:
    batch = drawn(20, 4, seed=0)
    outputs = torch.nn.functional.one_hot(batch.targets, 4).float()
    outputs[2] = outputs[2].roll(1, dims=-1)
    assert make(20).score(outputs, batch) == (1, 4)


def test_solved_means_under_one_percent_wrong() -> None:
    assert make(20).is_solved(99, 10_000)
    assert not make(20).is_solved(100, 10_000)


def test_a_rendered_sequence_shows_symbols_classes_and_the_right_classs_probability() -> None:
    batch = drawn(20, 3, seed=5)
    right = int(batch.targets[1])
    outputs = torch.zeros(3, 1, 4)
    outputs[1, 0, (right + 1) % 4] = math.log(2)  # odds 2 : 1 : 1 : 1
    sample = make(20).render(batch, outputs, 1)
    assert "".join(map(str, sample.channels[0].values)) == spell(batch, 1)
    early, late = sample.informative
    assert sample.target == f"{sample.channels[0].values[early]},{sample.channels[0].values[late]}"
    assert sample.prediction == CLASSES[(right + 1) % 4]
    assert not sample.correct
    assert sample.detail == f"probability given to {sample.target}: 0.200"


@pytest.mark.parametrize("length", [9, 5001])
def test_lengths_without_a_place_for_a_marker_or_too_large_are_refused(length: int) -> None:
    with pytest.raises(ValidationError, match="length"):
        TemporalOrderConfig(length=length)


# --- Three symbols to remember -----------------------------------------------------------------------


def make_three(length: int) -> TemporalOrder:
    return TemporalOrder(TemporalOrderConfig(length=length, bits="3"))


@given(length=st.integers(10, 300), batch_size=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_a_batch_of_three_bits_has_the_format_of_pascanus_code(
    length: int, batch_size: int, seed: int
) -> None:
    task = make_three(length)
    batch = task.draw(batch_size, torch.Generator().manual_seed(seed))
    assert task.output_size == 8
    assert batch.length == length
    assert batch.first == length - 1
    width = int(length * 0.1)
    for row in range(batch_size):
        text = spell(batch, row)
        places = [step for step, symbol in enumerate(text) if symbol in "XY"]
        begins = [int(length * share) for share in (0.1, 0.3, 0.6)]
        assert all(b <= place < b + width for b, place in zip(begins, places, strict=True))
        first, second, third = (text[place] == "Y" for place in places)
        assert batch.targets[row, 0] == first + 2 * second + 4 * third
        assert task.classes[batch.targets[row, 0]] == ",".join(text[place] for place in places)
        assert batch.informative is not None
        assert batch.informative[row].tolist() == places


def test_the_eight_classes_are_equally_likely_so_chance_is_ln_8_and_seven_eighths() -> None:
    """Monte Carlo over 200,000 sequences, within five standard errors of a share of 1/8."""
    task = make_three(10)
    batch = task.draw(200_000, torch.Generator().manual_seed(3))
    shares = batch.targets.flatten().bincount() / 200_000
    assert len(shares) == 8
    assert ((shares - 0.125).abs() < 5 * math.sqrt(0.125 * 0.875 / 200_000)).all()
    assert task.chance.loss == pytest.approx(-8 * 0.125 * math.log(0.125))
    assert task.chance.error == 1 - 0.125


def test_a_rendered_sequence_of_three_names_all_three() -> None:
    task = make_three(20)
    batch = task.draw(1, torch.Generator().manual_seed(5))
    outputs = torch.nn.functional.one_hot(batch.targets, 8).float()
    sample = task.render(batch, outputs, 0)
    assert sample.target == ",".join(str(sample.channels[0].values[step]) for step in sample.informative)
    assert sample.prediction == sample.target
    assert sample.correct
