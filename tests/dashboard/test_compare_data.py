"""The table of Compare sorts by size: its numbers are numbers, and what is missing is empty."""

from __future__ import annotations

import pandas as pd
import pytest
from conftest import Open
from fake_service import FakeService, make_run
from pandas.api.types import is_numeric_dtype

from dashboard.compare_data import comparison, empty_words
from dashboard.views.compare_table import FORMATS
from trainer.schema import Run, RunConfig, Summary


def runs(*summaries: Summary) -> list[Run]:
    return [make_run(number, summary=summary) for number, summary in enumerate(summaries, start=1)]


def table(made: list[Run]) -> pd.DataFrame:
    return comparison(made, {run.id: run.name for run in made})


RESULTS = [
    Summary(best_validation_loss=9e-05, best_validation_error=0.005, clip_rate=1.0, steps_per_second=1234.5),
    Summary(best_validation_loss=0.0417, best_validation_error=0.36, clip_rate=0.004, steps_per_second=99.0),
    Summary(),
    Summary(best_validation_loss=12.5, best_validation_error=1.0, clip_rate=0.12, steps_per_second=3.25),
]


@pytest.mark.parametrize(
    ("column", "by_hand"),
    [
        ("best validation loss", [9e-05, 0.0417, None, 12.5]),
        ("best validation error", [0.5, 36.0, None, 100.0]),
        ("updates clipped", [100.0, 0.4, None, 12.0]),
        ("steps per second", [1234.5, 99.0, None, 3.25]),
    ],
)
def test_results_are_numbers_that_sort_by_size_with_the_missing_ones_last(
    column: str, by_hand: list[float | None]
) -> None:
    found = table(runs(*RESULTS))
    assert is_numeric_dtype(found[column])
    assert [None if pd.isna(value) else value for value in found[column]] == pytest.approx(by_hand)
    in_order = sorted(value for value in by_hand if value is not None)
    assert found.sort_values(column)[column].dropna().tolist() == pytest.approx(in_order)
    assert pd.isna(found.sort_values(column)[column].iloc[-1])


def config(**training: object) -> RunConfig:
    return RunConfig.model_validate(
        {"model": {"name": "lstm"}, "task": {"name": "adding"}, "training": training}
    )


def test_nearly_all_wrong_is_not_shown_as_all_wrong() -> None:
    made = table(runs(Summary(best_validation_error=0.9996, clip_rate=0.9999)))
    for name in ("best validation error", "updates clipped"):
        assert FORMATS[name] % made[name][0] == "99.9%"


def test_settings_that_are_numbers_stay_numbers_and_one_that_is_off_is_empty() -> None:
    wanted = [
        {"learning_rate": 0.1, "k1": None, "clip": "norm", "stop_when_solved": True},
        {"learning_rate": 0.0005, "k1": 100, "k2": 100, "clip": None, "stop_when_solved": False},
        {"learning_rate": 0.02, "k1": 25, "k2": 100, "clip": "value", "stop_when_solved": False},
    ]
    found = table([make_run(i, config=config(**training)) for i, training in enumerate(wanted, start=1)])
    assert found["training.learning_rate"].tolist() == [0.1, 0.0005, 0.02]
    assert found.sort_values("training.k1")["training.k1"].dropna().tolist() == [25, 100]
    assert pd.isna(found["training.k1"][0])
    assert "full BPTT" in empty_words("training.k1")
    assert found["training.clip"].tolist() == ["norm", "off", "value"]
    assert found["training.stop_when_solved"].tolist() == ["yes", "no", "no"]
    assert "seed" not in found


def test_a_setting_that_one_network_does_not_have_is_empty_there() -> None:
    made = [
        make_run(1, config=RunConfig(model={"name": "lstm", "peepholes": True}, task={"name": "adding"})),
        make_run(2, config=RunConfig(model={"name": "gru", "order": 3}, task={"name": "adding"})),
    ]
    found = table(made)
    assert found["model.peepholes"].tolist()[0] == "yes"
    assert pd.isna(found["model.peepholes"][1])
    assert pd.isna(found["model.order"][0])
    assert found["model.order"][1] == 3


def test_the_page_shows_the_numbers_as_numbers(open_page: Open, fake: FakeService) -> None:
    made = fake.add(*runs(*RESULTS))
    app = open_page("views/compare.py", runs=",".join(str(run.id) for run in made))
    shown = app.dataframe[0].value
    assert is_numeric_dtype(shown["best validation loss"])
    assert shown["best validation loss"].dropna().tolist() == [9e-05, 0.0417, 12.5]
