"""Waves: what they are made of, fitted again from the values alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models import MODELS
from trainer.tasks.base import Batch
from trainer.tasks.waves import LARGEST_SQUARED_ERROR, LISTENS, Waves, WavesConfig


def make(length: int = 60, waves: int = 2) -> Waves:
    return Waves(WavesConfig(length=length, waves=waves))


def drawn(length: int, waves: int, batch_size: int, seed: int) -> Batch:
    return make(length, waves).draw(batch_size, torch.Generator().manual_seed(seed))


def values_of(batch: Batch) -> np.ndarray:
    """(B, T + 1) values: all inputs, and the last target."""
    return torch.cat((batch.inputs[:, :, 0], batch.targets[:, -1]), dim=1).double().numpy()


@given(length=st.integers(20, 120), waves=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_each_target_is_the_next_input(length: int, waves: int, seed: int) -> None:
    batch = drawn(length, waves, 3, seed)
    assert batch.length == length
    assert batch.first == LISTENS
    assert torch.equal(batch.inputs[:, LISTENS + 1 :], batch.targets[:, :-1])


@pytest.mark.parametrize("waves", [1, 2, 3])
def test_a_wave_is_a_sum_of_that_many_sines_with_periods_from_8_to_40(waves: int) -> None:
    """The recurrence that n sines obey, fitted by least squares; its roots lie on the unit circle."""
    for values in values_of(drawn(400, waves, 20, seed=1)):
        order = 2 * waves
        # A wave of n sines obeys x[t] = -x[t - 2n] + sum_k a_k (x[t - k] + x[t - 2n + k]), a_n counted once.
        windows = np.lib.stride_tricks.sliding_window_view(values, order + 1)
        pairs = [windows[:, k] + windows[:, order - k] for k in range(1, waves)] + [windows[:, waves]]
        ends = windows[:, 0] + windows[:, order]
        found, *_ = np.linalg.lstsq(np.stack(pairs, axis=1), ends, rcond=None)
        assert np.abs(np.stack(pairs, axis=1) @ found - ends).max() < 2e-5  # rounding to float32
        polynomial = np.array([1.0, *-found, *-found[-2::-1], 1.0])
        roots = np.roots(polynomial)
        periods = np.sort(2 * math.pi / np.abs(np.angle(roots)))[::2]
        assert np.abs(np.abs(roots) - 1).max() < 0.05
        assert periods.min() > 8 * 0.98
        assert periods.max() < 40 * 1.02


def test_sizes_are_as_one_to_a_half_to_a_third() -> None:
    """By projection on sines of the periods that a long wave's spectrum shows."""
    values = values_of(drawn(4999, 3, 5, seed=2))
    for row in values:
        spectrum = np.abs(np.fft.rfft(row * np.hanning(len(row)))) / len(row) * 4
        peaks = sorted(
            (
                spectrum[place]
                for place in range(1, len(spectrum) - 1)
                if spectrum[place] > max(spectrum[place - 1], spectrum[place + 1], 0.1)
            ),
            reverse=True,
        )
        assert len(peaks) == 3
        assert peaks[1] / peaks[0] == pytest.approx(1 / 2, rel=0.2)  # a peak may lie between two bins
        assert peaks[2] / peaks[0] == pytest.approx(1 / 3, rel=0.2)


@pytest.mark.parametrize("waves", [1, 2, 3])
def test_chance_is_a_variance_of_one_and_every_sequence_wrong(waves: int) -> None:
    """Over 20,000 waves within five standard errors; and no constant at all has one sequence right."""
    task, batch = make(60, waves), drawn(60, waves, 20_000, seed=3)
    squared = batch.targets.double().square().mean(dim=(1, 2))
    spread = float(squared.std()) / 20_000**0.5
    assert abs(float(squared.mean()) - task.chance.loss) < 5 * spread
    assert abs(float(batch.targets.mean())) < 0.02  # so that 0 is the best constant
    best_constants = batch.targets.double().var(dim=(1, 2), correction=0)  # error of each wave's own mean
    assert float(best_constants.min()) > LARGEST_SQUARED_ERROR
    assert task.score(torch.zeros_like(batch.targets), batch) == (20_000, 20_000)
    assert task.chance.error == 1.0


def test_a_sequence_is_right_up_to_a_mean_squared_error_of_a_thousandth() -> None:
    task, batch = make(), drawn(60, 2, 4, seed=4)
    away = torch.tensor([0.0, 0.031, -0.032, torch.nan]).view(4, 1, 1)
    assert task.score(batch.targets + away, batch) == (2, 4)


def test_solved_means_under_one_percent_wrong() -> None:
    assert make().is_solved(99, 10_000)
    assert not make().is_solved(100, 10_000)


def test_a_rendered_wave_shows_its_values_and_the_last_forecast() -> None:
    task, batch = make(), drawn(60, 2, 2, seed=5)
    sample = task.render(batch, batch.targets + 0.1, 1)
    assert sample.channels[0].values == batch.inputs[1, :, 0].tolist()
    assert sample.target == f"{batch.targets[1, -1, 0]:.3f}"
    assert sample.prediction == f"{batch.targets[1, -1, 0] + 0.1:.3f}"
    assert sample.detail == "squared error over the sequence: 0.01"
    assert not sample.correct


def test_samples_show_the_whole_wave_and_a_continuation_from_the_middle_on() -> None:
    task = make(length=30)
    batch = drawn(30, 2, 5, seed=6)
    spec = MODELS["gru"]
    network = spec.build(spec.config(), 1, 1, seed=0).eval()
    samples = task.samples(network, batch, torch.Generator())
    assert len(samples) == 3
    for sample, values in zip(samples, values_of(batch), strict=False):
        assert sample.truth == pytest.approx(values.tolist())
        assert sample.given == 15


@pytest.mark.parametrize(("field", "value"), [("length", 19), ("waves", 0), ("waves", 4)])
def test_settings_out_of_range_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValidationError, match=field):
        WavesConfig(**{field: value})
