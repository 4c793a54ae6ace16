"""How samples and verdicts are told on the page Inside."""

from __future__ import annotations

import pytest
from conftest import Open
from fake_service import CATALOG, FakeService, make_run
from inside_results import FORECAST, GATES, PREDICTIONS, REWIND, SEQUENCE, SURGERY
from streamlit.testing.v1 import AppTest

from dashboard.views.inside_samples import shortened, verdict
from trainer.schema import CatalogEntry, GeneratedView


def entry(name: str) -> CatalogEntry:
    return next(task for task in CATALOG.tasks if task.name == name)


def words(app: AppTest) -> str:
    return "\n".join(element.value for element in [*app.markdown, *app.caption]).replace("\\", "")


def opened(open_page: Open, fake: FakeService, view: str, result: object) -> str:
    fake.answers[view] = result
    (run,) = fake.add(make_run(1))
    return words(open_page("views/inside.py", run=str(run.id), view=view.capitalize()))


def test_a_text_is_neither_right_nor_wrong() -> None:
    sample = SEQUENCE.model_copy(update={"detail": "38 of 100 characters right"})
    told = verdict(sample, entry("characters"))
    assert "38 of 100 characters right" in told
    assert "wrong" not in told
    assert "wrong" in verdict(sample, entry("adding"))


def test_where_single_symbols_are_counted_a_sequence_with_wrong_ones_gets_no_verdict() -> None:
    echo = entry("adding").model_copy(update={"error_unit": "wrong symbols"})
    assert "wrong" not in verdict(SEQUENCE, echo)
    assert "right" in verdict(SEQUENCE.model_copy(update={"correct": True}), echo)


@pytest.mark.parametrize(
    ("target", "prediction", "shown"),
    [
        ("0.467", "0.501", ("0.467", "0.501")),
        ("a" * 40, "a" * 40, ("a" * 16 + "…", "a" * 16 + "…")),
        ("a" * 30 + "b" * 10, "a" * 40, ("…" + "a" * 8 + "b" * 8 + "…", "…" + "a" * 16 + "…")),
    ],
)
def test_long_answers_are_cut_to_where_they_differ(target: str, prediction: str, shown: tuple) -> None:
    assert shortened(target, prediction) == shown


def test_what_counts_as_wrong_is_said_where_something_is_counted(open_page: Open, fake: FakeService) -> None:
    rule = entry("adding").wrong_when
    assert rule in opened(open_page, fake, "generate", PREDICTIONS)
    assert rule in opened(open_page, fake, "surgery", SURGERY)


def test_a_forecast_says_whether_it_is_wrong(open_page: Open, fake: FakeService) -> None:
    wrong = GeneratedView(forecasts=[FORECAST.model_copy(update={"correct": False})], wrong=1, total=1)
    assert ":material/cancel: wrong" in opened(open_page, fake, "generate", wrong)


def test_changes_have_the_names_of_their_settings_and_where_the_futures_part_is_said(
    open_page: Open, fake: FakeService
) -> None:
    told = opened(open_page, fake, "rewind", REWIND)
    assert "Clip: norm → off" in told  # the fake view gives no title
    assert "Both futures were the same" in told


def test_what_surgery_held_is_told_in_the_networks_own_words(open_page: Open, fake: FakeService) -> None:
    assert "Held: **forget gate f (keeps), layer 1, all 2 units" in opened(
        open_page, fake, "surgery", SURGERY.model_copy(update={"target": "f/0"})
    )


def test_gates_are_told_in_the_networks_own_words(open_page: Open, fake: FakeService) -> None:
    fake.answers["gates"] = GATES
    (run,) = fake.add(make_run(1))
    app = open_page("views/inside.py", run=str(run.id), view="Gates")
    (shown,) = [box for box in app.multiselect if box.label == "Show"]
    assert shown.options == ["forget gate f (keeps), layer 1", "hidden state h, layer 1"]
