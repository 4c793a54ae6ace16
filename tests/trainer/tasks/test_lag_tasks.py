"""Hochreiter & Schmidhuber's experiments 2a and 2c, spelled out."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.trainer.tasks.guessing import assert_chance_is_reached_and_not_beaten
from trainer.tasks.base import Batch
from trainer.tasks.lag import Lag, LagConfig
from trainer.tasks.random_lag import RandomLag, RandomLagConfig


def regular(lag: int) -> Lag:
    return Lag(LagConfig(lag=lag))


def random_lag(lag: int, distractors: int | None = None) -> RandomLag:
    return RandomLag(RandomLagConfig(lag=lag, distractors=distractors))


def words(batch: Batch, row: int, names: list[str]) -> list[str]:
    one_hot = batch.inputs[row]
    assert (one_hot.sum(dim=1) == 1).all()
    return [names[channel] for channel in one_hot.nonzero()[:, 1].tolist()]


# --- 2a ----------------------------------------------------------------------------------------------


@given(lag=st.integers(2, 120), seed=st.integers(0, 2**31))
def test_there_are_two_sequences_whose_first_symbol_comes_back_at_the_end(lag: int, seed: int) -> None:
    task = regular(lag)
    assert task.input_size == task.output_size == lag + 1
    names = [*(f"a{i}" for i in range(1, lag)), "x", "y"]
    batch = task.draw(4, torch.Generator().manual_seed(seed))
    assert batch.first == 0
    for row in range(4):
        read = words(batch, row, names)
        predicted = [names[symbol] for symbol in batch.targets[row].tolist()]
        whole = [read[0], *(f"a{i}" for i in range(1, lag)), read[0]]
        assert read[0] in ("x", "y")
        assert read == whole[:-1]
        assert predicted == whole[1:]
        assert batch.informative is not None
        assert batch.informative[row].tolist() == [0]
    assert LagConfig(lag=lag).timesteps == batch.length


@pytest.mark.parametrize("lag", [2, 9])
def test_who_has_learnt_all_but_the_last_symbol_is_at_chance(lag: int) -> None:
    task = regular(lag)
    guess = torch.zeros(lag, lag + 1, dtype=torch.float64)
    guess[torch.arange(lag - 1), torch.arange(lag - 1)] = 1.0
    guess[-1, -2:] = 0.5
    assert_chance_is_reached_and_not_beaten(task, guess, guess.argmax(dim=1), 20_000)
    assert task.chance.loss == pytest.approx(math.log(2) / lag)


def with_probability(batch: Batch, size: int, row: int, step: int, probability: float) -> Tensor:
    """Sure and right everywhere, but for one output, which gives the right symbol this probability."""
    outputs = 100.0 * torch.nn.functional.one_hot(batch.targets, size)
    right = int(batch.targets[row, step])
    rest = torch.full((size,), (1 - probability) / (size - 1)).log()
    rest[right] = math.log(probability)
    outputs[row, step] = rest
    return outputs


@pytest.mark.parametrize("step", [0, 3, -1])
@pytest.mark.parametrize(("probability", "wrong"), [(0.76, 0), (0.74, 1)])
def test_one_output_off_by_a_quarter_at_any_timestep_spoils_a_sequence(
    step: int, probability: float, wrong: int
) -> None:
    task = regular(6)
    batch = task.draw(5, torch.Generator().manual_seed(0))
    outputs = with_probability(batch, 7, 2, step, probability)
    assert task.score(outputs, batch) == (wrong, 5)
    sample = task.render(batch, outputs, 2)
    assert sample.correct == (not wrong)
    assert sample.detail == f"largest error of an output: {1 - probability:.3f}, at timestep {step % 6 + 1}"


def test_outputs_that_are_not_numbers_are_wrong() -> None:
    for task in (regular(6), random_lag(6)):
        batch = task.draw(5, torch.Generator().manual_seed(0))
        outputs = torch.full((*batch.targets.shape, task.output_size), torch.nan)
        assert task.score(outputs, batch) == (5, 5)  # type: ignore[attr-defined]
        assert not task.render(batch, outputs, 0).correct  # type: ignore[attr-defined]


def test_solved_means_not_one_wrong() -> None:
    for task in (regular(6), random_lag(6)):
        assert task.is_solved(0, 10_000)  # type: ignore[attr-defined]
        assert not task.is_solved(1, 10_000)  # type: ignore[attr-defined]


def test_a_rendered_sequence_names_the_last_symbol_that_was_wanted_and_said() -> None:
    task = regular(4)
    batch = task.draw(8, torch.Generator().manual_seed(5))
    outputs = torch.zeros(8, 4, 5)
    outputs[:, -1, 1] = 1.0
    for row in range(8):
        sample = task.render(batch, outputs, row)
        assert sample.channels[0].values == [sample.target, "a", "a", "a"]
        assert sample.prediction == "a2"
        assert not sample.correct


# --- 2c ----------------------------------------------------------------------------------------------


@given(
    lag=st.integers(1, 60),
    distractors=st.none() | st.integers(1, 60),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 2**31),
)
def test_the_second_symbol_comes_back_after_distractors_and_the_trigger(
    lag: int, distractors: int | None, batch_size: int, seed: int
) -> None:
    task = random_lag(lag, distractors)
    kinds = lag if distractors is None else distractors
    assert (task.input_size, task.output_size) == (kinds + 4, 2)
    names = [*("a" * kinds), "e", "b", "x", "y"]
    batch = task.draw(batch_size, torch.Generator().manual_seed(seed))
    assert batch.first == batch.length - 1
    for row in range(batch_size):
        begin, kept, *between, end = words(batch, row, names)
        assert (begin, end) == ("b", "e")
        assert kept == "xy"[int(batch.targets[row])]
        assert set(between) == {"a"}
        assert len(between) >= lag
        assert batch.informative is not None
        assert batch.informative[row].tolist() == [1]


def test_the_trigger_comes_with_probability_a_tenth_at_each_timestep() -> None:
    """k is geometric: P(k = 0) = .1, P(k = 1) = .09, mean 9: 20,000 draws, within five standard errors."""
    task, generator = random_lag(2), torch.Generator().manual_seed(1)
    extra = torch.tensor([task.draw(1, generator).length - 5 for _ in range(20_000)]).double()
    assert extra.min() == 0
    for value, share in ((0, 0.1), (1, 0.09), (5, 0.1 * 0.9**5)):
        found = (extra == value).double().mean().item()
        assert abs(found - share) < 5 * (share * (1 - share) / 20_000) ** 0.5
    assert abs(extra.mean().item() - 9) < 5 * 90**0.5 / 20_000**0.5
    assert RandomLagConfig(lag=2).timesteps == 14


def test_all_distractors_are_equally_likely() -> None:
    inputs = random_lag(50, 5).draw(2_000, torch.Generator().manual_seed(1)).inputs
    counts = inputs[:, 2:-1].sum(dim=(0, 1))[:5]
    mean = counts.mean()
    assert ((counts - mean).abs() < 5 * (mean * 4 / 5).sqrt()).all()


def test_who_does_not_remember_is_at_chance() -> None:
    task = random_lag(3)
    half = torch.full((1, 2), 0.5, dtype=torch.float64)
    assert_chance_is_reached_and_not_beaten(task, half, torch.zeros(1, dtype=torch.int64), 20_000)
    assert task.chance.loss == pytest.approx(math.log(2))


@pytest.mark.parametrize(("probability", "wrong"), [(0.81, 0), (0.79, 1)])
def test_outputs_off_by_a_fifth_are_wrong(probability: float, wrong: int) -> None:
    task = random_lag(6)
    batch = task.draw(5, torch.Generator().manual_seed(0))
    outputs = with_probability(batch, 2, 3, 0, probability)
    assert task.score(outputs, batch) == (wrong, 5)
    sample = task.render(batch, outputs, 3)
    assert sample.correct == (not wrong)
    assert sample.target == sample.prediction
    assert "".join(map(str, sample.channels[0].values)) == f"b{sample.target}{'a' * (batch.length - 3)}e"
