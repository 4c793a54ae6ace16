"""The series task: one column, standardised by its training part, forecast one step ahead."""

from __future__ import annotations

import csv
import io
import statistics
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Generator
from torch.utils._python_dispatch import TorchDispatchMode

from models import MODELS
from trainer.corpora import builtin_corpora
from trainer.schema import SettingError
from trainer.tasks.base import Batch
from trainer.tasks.series import Series, SeriesConfig


def table(values: list[float | str], name: str = "flow") -> str:
    return f"when,{name}\n" + "".join(f"day {n},{value}\n" for n, value in enumerate(values))


def walk(count: int, seed: int = 0) -> list[float]:
    """A random walk around 100, rounded as in a file."""
    steps = torch.randn(count, generator=Generator().manual_seed(seed)).cumsum(0)
    return [round(100 + float(step), 3) for step in steps]


def make(values: list[float | str] | list[float], length: int = 5) -> Series:
    return Series(SeriesConfig(length=length), table(list(values)))


def raw(task: Series, batch: Batch) -> torch.Tensor:
    """(B, T + 1) numbers of the file."""
    window = torch.cat((batch.inputs[:, :, 0], batch.targets[:, -1:, 0]), dim=1)
    assert torch.equal(batch.inputs[:, 1:, 0], batch.targets[:, :-1, 0])
    return window.double() * task.spread + task.mean


@settings(max_examples=40, deadline=None)
@given(count=st.integers(40, 300), length=st.integers(2, 8), seed=st.integers(0, 50))
def test_windows_are_pieces_of_the_file_and_the_parts_share_no_target(
    count: int, length: int, seed: int
) -> None:
    """Against the rows as Python's csv module reads them."""
    text = table(list(walk(count, seed)))
    rows = [float(row["flow"]) for row in csv.DictReader(io.StringIO(text))]
    task = Series(SeriesConfig(length=length), text)
    cut = int(0.8 * count)
    generator = Generator().manual_seed(seed)
    for batch, first, last in (
        (task.draw(30, generator), 0, cut - 1),
        (task.draw_validation(30, generator), cut - 1, count - 1),
    ):
        possible = {tuple(rows[p : p + length + 1]) for p in range(first, last - length + 1)}
        for window in raw(task, batch).tolist():
            assert tuple(round(value, 3) for value in window) in possible


def test_every_window_of_a_part_is_drawn() -> None:
    values = walk(60)
    task = make(values, length=4)
    generator = Generator().manual_seed(0)
    for batch, first, last in (
        (task.draw(2000, generator), 0, 47),
        (task.draw_validation(2000, generator), 47, 59),
    ):
        starts = {round(float(window[0]), 3) for window in raw(task, batch)}
        assert starts == set(values[first : last - 4 + 1])


def test_numbers_are_standardised_by_the_training_part_alone() -> None:
    values = [float(n % 7) for n in range(80)] + [1000.0 + n for n in range(20)]
    task = make(values)
    assert task.mean == pytest.approx(statistics.fmean(values[:80]))
    assert task.spread == pytest.approx(statistics.pstdev(values[:80]))


def test_chance_and_same_as_before_are_exact_over_all_validation_windows() -> None:
    """By plain loops over the windows; statistics of the training part only."""
    values = walk(100, seed=4)
    task = make(values, length=6)
    mean, spread = statistics.fmean(values[:80]), statistics.pstdev(values[:80])
    in_training = [
        (values[place + 1] - mean) / spread for begin in range(80 - 6) for place in range(begin, begin + 6)
    ]
    guesses = [(low + high) / 2 for low in in_training for high in in_training if 0 <= high - low <= 1]
    best = max(guesses, key=lambda guess: sum(abs(value - guess) <= 0.5 for value in in_training))
    covered = [value for value in in_training if abs(value - best) <= 0.5]
    best = (min(covered) + max(covered)) / 2  # of all that cover these, the one in their middle
    blind, wrong, same, count = 0.0, 0, 0.0, 0
    for begin in range(79, 100 - 6):
        for place in range(begin, begin + 6):
            error = (values[place + 1] - mean) / spread
            blind += error**2
            wrong += abs(error - best) > 0.5
            same += ((values[place + 1] - values[place]) / spread) ** 2
            count += 1
    assert task.chance.loss == pytest.approx(blind / count, rel=1e-5)
    assert task.chance.error == pytest.approx(wrong / count)
    assert task.training_chance == pytest.approx(statistics.fmean(x * x for x in in_training), rel=1e-5)
    assert task.same_as_before == pytest.approx(same / count, rel=1e-5)


class _Largest(TorchDispatchMode):
    """Watches the memory of whatever an operation gives; a view has that of what it is a view of."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.bytes = max(self.bytes, made.untyped_storage().nbytes())
        return made


def test_the_windows_of_a_long_series_are_never_laid_out() -> None:
    """Of a file of 20 MB they would hold 32 GB; chance is told at each change in the form."""
    with _Largest() as largest:
        task = make(walk(5_000), length=500)
        assert task.chance.loss > 0
        assert task.same_as_before > 0
    assert 0 < largest.bytes <= 5_000 * 8


def test_all_lengths_share_one_copy_of_the_series() -> None:
    """A run with random lengths builds a task for each."""
    values = walk(200)
    short, long = make(values, length=5), make(values, length=30)
    for part in ("_training", "_validation"):
        assert getattr(short, part).data_ptr() == getattr(long, part).data_ptr()


def test_guessers_measure_these_levels_on_validation_batches() -> None:
    task = make(walk(400, seed=2), length=10)
    batch = task.draw_validation(5_000, Generator().manual_seed(0))
    blind = torch.zeros_like(batch.targets)
    losses = task.elementwise_loss(blind, batch.targets).mean(dim=1).double()
    assert abs(losses.mean() - task.chance.loss) < 5 * losses.std() / 5_000**0.5
    same = task.elementwise_loss(batch.inputs, batch.targets).mean()
    assert float(same) == pytest.approx(task.same_as_before, rel=0.03)


def test_no_constant_guess_does_better_on_the_training_part() -> None:
    task = make(walk(400, seed=2), length=10)
    targets = task.draw(20_000, Generator().manual_seed(0)).targets
    guesses = torch.linspace(-1, 1, 41)
    losses = [(targets - guess).square().mean() for guess in guesses]
    assert abs(float(guesses[int(torch.stack(losses).argmin())])) <= 0.1


def test_a_forecast_is_wrong_beyond_half_a_spread() -> None:
    task = make(walk(60))
    batch = task.draw_validation(3, Generator().manual_seed(0))
    assert task.score(batch.targets + 0.49, batch) == (0, 15)
    assert task.score(batch.targets - 0.51, batch) == (15, 15)
    assert task.score(torch.full_like(batch.targets, torch.nan), batch) == (15, 15)


@given(
    numbers=st.lists(st.integers(-5, 5), min_size=60, max_size=90),
    holes=st.sets(st.integers(0, 89), max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_a_missing_number_is_taken_to_be_the_one_before(numbers: list[int], holes: set[int]) -> None:
    """And at the ends there is none."""
    values = [None if place in holes else value for place, value in enumerate([*range(5), *numbers])]
    cells: list[float | str] = ["" if value is None else str(value) for value in values]
    there = [place for place, value in enumerate(values) if value is not None]
    assume(len({values[place] for place in there[:30]}) > 1)
    filled: list[float] = []
    for value in values[there[0] : there[-1] + 1]:
        filled.append(filled[-1] if value is None else float(value))
    task, plain = make(cells, length=3), make(list(filled), length=3)
    ours, theirs = (t.draw_validation(50, Generator().manual_seed(0)) for t in (task, plain))
    assert (task.mean, task.spread) == (plain.mean, plain.spread)
    assert torch.equal(ours.inputs, theirs.inputs)
    assert torch.equal(ours.targets, theirs.targets)


def test_a_column_is_chosen_by_name_and_the_first_of_numbers_without_one() -> None:
    text = "day,up,down\n" + "".join(f"{2000 + n},{n % 5},{-n % 3}\n" for n in range(60))
    assert Series(SeriesConfig(length=5), text).column == "up"
    assert Series(SeriesConfig(length=5, column="down"), text).column == "down"
    assert Series(SeriesConfig(length=5, column="day"), text).column == "day"


@pytest.mark.parametrize(
    ("config", "text", "field", "says"),
    [
        ({"column": "rain"}, table(list(walk(60))), "column", "no such column; choose one of 'flow'"),
        ({"column": "when"}, table(list(walk(60))), "column", "line 2 has 'day 0'; choose one of 'flow'"),
        ({"length": 30}, table(list(walk(100))), "length", "only 20 numbers; choose a length of 20 or less"),
        ({}, "a,b\nc,d\n" * 40, "corpus", "no column holds numbers alone"),
        ({}, "Once upon a time, there was.\n" * 90, "corpus", "upload a CSV file"),
        ({"length": 3}, table([5.0] * 80 + list(walk(20))), "column", "the same number throughout"),
        ({"length": 3}, table([1e300, -1e300] * 40), "column", "too large to reckon with"),
        ({"length": 3}, table([*walk(99), 1e300]), "column", "its last fifth holds numbers too large"),
    ],
)
def test_what_cannot_be_forecast_is_refused_with_the_setting_to_change(
    config: dict[str, object], text: str, field: str, says: str
) -> None:
    with pytest.raises(SettingError) as caught:
        Series(SeriesConfig.model_validate(config), text)
    assert caught.value.field == field
    assert says in str(caught.value)


def test_samples_show_the_files_own_numbers_and_a_continuation_alone() -> None:
    task = make(walk(200), length=12)
    spec = MODELS["gru"]
    network = spec.build(spec.config(), 1, 1, seed=0)
    batch = task.draw_validation(5, Generator().manual_seed(0))
    samples = task.samples(network, batch, Generator())
    assert len(samples) == 3
    with torch.no_grad():
        outputs = network(batch.inputs)[0]
    for index, sample in enumerate(samples):
        window = raw(task, batch)[index]
        assert sample.name == "flow"
        assert sample.truth == pytest.approx(window.tolist(), abs=1e-4)
        own = (outputs[index, :, 0].double() * task.spread + task.mean).tolist()
        assert sample.one_ahead[0] is None
        assert sample.one_ahead[1:] == pytest.approx(own, abs=1e-4)
        assert sample.given == 6
        assert sample.alone[:6] == [None] * 6
        assert sample.alone[6] == pytest.approx(own[5], abs=1e-4)
        same = (batch.targets[index, 5:, 0] - batch.inputs[index, 5:, 0]).square().mean()
        assert f"“same as before” {float(same):.2g}" in sample.detail


def test_the_builtin_series_is_the_sunspots_as_published() -> None:
    """Years of the deepest and the highest mean since 1700, and the length, known from anywhere."""
    info, text = builtin_corpora()["sunspots"]
    assert info.columns == ["sunspots", "year"]
    body = [line for line in text.splitlines() if not line.startswith("#")]
    rows = {int(row["year"]): float(row["sunspots"]) for row in csv.DictReader(body)}
    assert list(rows) == list(range(1700, 2009))
    assert max(rows, key=lambda year: rows[year]) == 1957
    assert {year for year in rows if rows[year] == 0} == {1711, 1712, 1810}
    task = Series(SeriesConfig(), text)
    assert task.column == "sunspots"
    assert task.same_as_before < task.chance.loss


def test_no_error_rate_counts_as_solved_or_as_unsolved() -> None:
    assert make(walk(60)).is_solved(0, 100) is None
