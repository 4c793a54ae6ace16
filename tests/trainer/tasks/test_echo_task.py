"""The delayed echo, recomputed from the inputs alone."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.tasks.guessing import assert_chance_is_reached_and_not_beaten
from trainer.tasks.echo import Echo, EchoConfig


def make(length: int, lag: int, symbols: int = 2) -> Echo:
    return Echo(EchoConfig(length=length, lag=lag, symbols=symbols))


@given(
    length=st.integers(1, 100),
    lag=st.integers(0, 60),
    symbols=st.integers(2, 26),
    seed=st.integers(0, 2**31),
)
def test_each_target_is_the_symbol_read_a_lag_ago(length: int, lag: int, symbols: int, seed: int) -> None:
    task = make(length, lag, symbols)
    batch = task.draw(3, torch.Generator().manual_seed(seed))
    assert batch.inputs.shape == (3, lag + length, symbols)
    assert EchoConfig(length=length, lag=lag).timesteps == batch.length
    assert batch.first == lag
    assert (batch.inputs.sum(dim=2) == 1).all()
    for row in range(3):
        read = batch.inputs[row].nonzero()[:, 1].tolist()
        wanted = batch.targets[row].tolist()
        assert len(wanted) == length
        for step in range(lag, lag + length):
            assert wanted[step - lag] == read[step - lag]


@pytest.mark.parametrize("symbols", [2, 5])
def test_who_does_not_look_back_is_at_chance(symbols: int) -> None:
    task = make(10, 4, symbols)
    alike = torch.full((10, symbols), 1 / symbols, dtype=torch.float64)
    assert_chance_is_reached_and_not_beaten(task, alike, torch.ones(10, dtype=torch.int64), 5_000)
    assert task.chance.loss == pytest.approx(math.log(symbols))


def test_neighbouring_symbols_say_nothing_about_each_other() -> None:
    """So that only the symbol of a lag ago helps: pairs at distances 1 to 4 agree in half of all cases."""
    inputs = make(400, 4).draw(200, torch.Generator().manual_seed(1)).inputs[..., 0]
    for distance in (1, 2, 3, 4):
        agree = inputs[:, distance:] == inputs[:, :-distance]
        assert abs(agree.double().mean().item() - 0.5) < 5 * 0.5 / agree.numel() ** 0.5


def test_a_network_with_a_delay_line_is_always_right_and_one_without_is_at_chance() -> None:
    """The score, from an echo made by shifting the inputs: by the lag, and by one less."""
    task = make(500, 7)
    batch = task.draw(20, torch.Generator().manual_seed(2))
    shifted = batch.inputs[:, : batch.length - 7]
    assert task.score(shifted, batch) == (0, 10_000)
    wrong, total = task.score(batch.inputs[:, 1 : batch.length - 6], batch)
    assert abs(wrong / total - 0.5) < 5 * 0.5 / total**0.5


def test_a_lag_of_zero_asks_for_the_symbol_just_read() -> None:
    task = make(5, 0)
    batch = task.draw(2, torch.Generator().manual_seed(0))
    assert task.score(batch.inputs, batch) == (0, 10)


def test_a_rendered_stream_sets_what_is_said_under_its_timestep() -> None:
    task = make(6, 3, symbols=3)
    batch = task.draw(1, torch.Generator().manual_seed(5))
    sample = task.render(batch, batch.inputs[:, :6], 0)
    read, wanted, said = ("".join(map(str, channel.values)) for channel in sample.channels)
    assert set(read) <= set("abc")
    assert wanted == said == "–––" + read[:6]
    assert sample.target == sample.prediction == read[:6]
    assert sample.correct
    assert sample.detail == "6 of 6 symbols right"
