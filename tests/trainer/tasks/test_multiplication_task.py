"""The multiplication task against the rules of its source, recomputed from the inputs alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.tasks.multiplication import Multiplication, MultiplicationConfig


def make(length: int) -> Multiplication:
    return Multiplication(MultiplicationConfig(length=length))


@given(length=st.integers(10, 400), batch_size=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_a_batch_has_the_format_of_pascanus_code(length: int, batch_size: int, seed: int) -> None:
    batch = make(length).draw(batch_size, torch.Generator().manual_seed(seed))
    values, markers = batch.inputs.double().numpy().transpose(2, 0, 1)
    steps = values.shape[1]
    assert length <= steps < length + int(length * 0.1)
    assert batch.first == steps - 1
    assert ((values >= 0) & (values < 1)).all()
    assert set(np.unique(markers)) == {0.0, 1.0}
    for row in range(batch_size):
        early, late = np.flatnonzero(markers[row])  # exactly two
        assert 0 <= early < int(steps * 0.1)
        assert int(steps * 0.1) <= late < int(steps * 0.4) + int(steps * 0.1)
        assert batch.targets[row, 0, 0].item() == pytest.approx(values[row, early] * values[row, late])
        assert batch.informative is not None
        assert batch.informative[row].tolist() == [early, late]


def test_a_guess_of_a_quarter_has_the_loss_of_chance_and_one_of_a_fifth_its_error() -> None:
    """Monte Carlo over 400,000 sequences: MSE .0486 and 23.3% wrong, within five standard errors."""
    task = make(10)
    targets = task.draw(400_000, torch.Generator().manual_seed(3)).targets.flatten().double()
    squared = (targets - 0.25).square()
    wrong = ((targets - 0.2).square() > 0.04).double()
    for sample, chance in ((squared, task.chance.loss), (wrong, task.chance.error)):
        assert abs(sample.mean() - chance) < 5 * sample.std() / len(sample) ** 0.5
    assert task.chance.loss == pytest.approx(0.0486, abs=5e-5)
    assert task.chance.error == pytest.approx(0.2335, abs=1e-4)
    # No other constant has a smaller squared error; that one is wrong more often, as the docstring says.
    for guess in (0.15, 0.2, 0.3, 0.4):
        assert (targets - guess).square().mean() > task.chance.loss
    assert ((targets - 0.25).abs() > 0.2).double().mean().item() == pytest.approx(0.39, abs=0.004)


def test_a_guess_is_wrong_when_it_is_off_by_more_than_a_fifth() -> None:
    batch = make(20).draw(6, torch.Generator().manual_seed(0))
    away = torch.tensor([0.0, 0.199, -0.199, 0.201, -0.201, torch.nan]).view(6, 1, 1)
    assert make(20).score(batch.targets + away, batch) == (3, 6)
