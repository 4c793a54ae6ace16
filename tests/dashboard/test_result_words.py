"""Pages whose words fit the result: a run that blew up, one at chance, a view without meaning."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from conftest import Open
from fake_service import FakeService, make_run
from inside_results import RESULTS, SURGERY
from streamlit.testing.v1 import AppTest

from dashboard.charts.lengths import LengthCurve, rule_words
from dashboard.client import Client
from dashboard.views.inside_units import change_words, side_words
from trainer.schema import (
    Chance,
    LengthVerdict,
    Run,
    RunConfig,
    RunState,
    Summary,
    SurgerySide,
    TextSample,
    VectorSeries,
)

REASON = "the loss became nan at update 3"
LEAD = "Training blew up: the loss became not a number (NaN) at update 3."


def words(app: AppTest) -> str:
    told = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error]
    return "\n".join(element.value for element in told).replace("\\", "").replace("\u2060", "")


def blown_up(number: int = 1) -> Run:
    config = RunConfig.model_validate(
        {
            "model": {"name": "elman", "hidden_size": 32, "layers": 1},
            "task": {"name": "adding", "length": 60},
            "training": {"learning_rate": 10, "clip": None},
        }
    )
    return make_run(number, state=RunState.FAILED, reason=REASON, step=3, config=config)


# --- A run that blew up ------------------------------------------------------------------------------


def test_the_run_page_leads_with_it_and_offers_a_launch_and_not_a_resume(
    open_page: Open, fake: FakeService
) -> None:
    (run,) = fake.add(blown_up())
    app = open_page("views/run.py", run=str(run.id))
    (error,) = [e.value.replace("\\", "") for e in app.error]
    assert error.startswith(f"**{LEAD}** Resuming would repeat that, to the last bit.")
    assert "a learning rate below 10, or with clipping, which is off" in error
    kinds = {button.key: button.proto.type for button in app.button}
    assert kinds["again"] == "primary"
    assert kinds["resume"] == "secondary"
    app.button(key="again").click().run()
    assert LEAD in words(app), "the launch form says what it was that failed"
    assert app.number_input(key="field:training.learning_rate").value == 10


def test_another_failure_still_says_that_it_can_be_resumed(open_page: Open, fake: FakeService) -> None:
    (run,) = fake.add(make_run(1, state=RunState.FAILED, reason="RuntimeError: no space left"))
    app = open_page("views/run.py", run=str(run.id))
    assert "resume from the checkpoint" in words(app)
    assert {b.key: b.proto.type for b in app.button}["resume"] == "primary"


def test_inside_leads_with_it_and_a_way_to_launch_again(open_page: Open, fake: FakeService) -> None:
    fake.answers |= RESULTS
    (run,) = fake.add(blown_up())
    app = open_page("views/inside.py", run=str(run.id))
    assert LEAD in app.error[0].value.replace("\\", "")
    again = [link for link in app.get("page_link") if link.proto.label == "Launch again"]
    assert [parse_qs(link.proto.query_string) for link in again] == [{"from": [str(run.id)]}]


def test_in_the_table_of_runs_resuming_one_is_asked_about_first(open_page: Open, fake: FakeService) -> None:
    run, other = fake.add(blown_up(2), make_run(1, state=RunState.STOPPED))
    app = open_page("views/runs.py")
    app.session_state["runs.table"] = {"selection": {"rows": [0, 1], "columns": [], "cells": []}}
    app.run()
    next(button for button in app.button if button.label == "Resume").click().run()
    assert LEAD in words(app)
    assert fake.runs[run.id].state is RunState.FAILED
    app.button(key="resume.others").click().run()
    assert fake.runs[run.id].state is RunState.FAILED
    assert fake.runs[other.id].state is RunState.QUEUED


# --- Chance ------------------------------------------------------------------------------------------


def curve(name: str, *errors: float, chance: float = 0.36) -> LengthCurve:
    return LengthCurve(
        name=name,
        color="#0072b2",
        verdicts=[
            LengthVerdict(
                length=50 * 2**place,
                loss=1.0,
                error=error,
                wrong=round(1000 * error),
                total=1000,
                chance=Chance(loss=1.0, error=chance),
            )
            for place, error in enumerate(errors)
        ],
        trained=(50, 50),
    )


def test_no_rule_is_found_by_a_network_at_chance_however_flat_its_curve() -> None:
    assert "rule" not in rule_words({"1": curve("elman", 0.36, 0.35, 0.37)})
    assert "rule" not in rule_words({"1": curve("elman", 0.37), "2": curve("lstm", 0.345)})
    mixed = rule_words({"1": curve("elman", 0.36, 0.36), "2": curve("gru", 0.0, 0.0)})
    assert mixed.endswith("At chance from the beginning: elman.")
    assert "At chance from" not in rule_words({"2": curve("gru", 0.0, 0.01)})


@pytest.mark.parametrize(
    ("summary", "said", "not_said"),
    [
        (
            {"test_wrong": 3600, "test_total": 10_000, "validation_loss": 0.03},
            "no better than guessing",
            "moment",
        ),
        ({"test_wrong": 8, "test_total": 10_000}, "the moment the network finds the rule", "guessing"),
        ({"validation_error": 0.34, "validation_loss": 0.0348}, "no better than guessing", "moment"),
    ],
)
def test_the_error_rate_is_read_by_how_the_run_did(
    open_page: Open, fake: FakeService, summary: dict[str, float], said: str, not_said: str
) -> None:
    found = Summary.model_validate({"chance": Chance(loss=1 / 24, error=0.36), **summary})
    (run,) = fake.add(make_run(1, summary=found))
    told = next(
        line
        for line in words(open_page("views/run.py", run=str(run.id))).splitlines()
        if "Share of wrong" in line
    )
    assert said in told
    assert not_said not in told


SIDE = SurgerySide(
    loss=0.0438,
    loss_spread=0.0066,
    error=0.375,
    error_spread=0.061,
    wrong=24,
    total=64,
    standing="at chance",
    samples=[TextSample(prompt="", text="", temperature=1)],
)


def test_surgery_tells_how_many_how_much_they_spread_and_where_chance_is() -> None:
    told = side_words(SIDE)
    assert told.startswith("Loss **0.0438** ± 0.0066 · wrong **38%** ± 6.1% (24 of 64)")
    assert "at chance" in told
    assert "chance" not in side_words(SIDE.model_copy(update={"standing": "better"}))
    assert "worse than chance" in side_words(SIDE.model_copy(update={"standing": "worse"}))


def test_a_change_within_its_spread_is_not_told_as_one() -> None:
    def told(change: float, spread: float) -> str:
        return change_words(SURGERY.model_copy(update={"loss_change": change, "loss_change_spread": spread}))

    assert told(0.5, 0.1) == "Change of the loss +0.5 ± 0.1."
    assert told(0.1, 0.1).endswith("on so few sequences not told from none.")
    assert told(0.0, 0.0) == "It changes nothing: the loss is the same."


# --- Views without meaning ---------------------------------------------------------------------------


def test_a_view_without_meaning_is_marked_on_its_tab_and_has_no_settings(
    open_page: Open, fake: FakeService
) -> None:
    fake.answers |= RESULTS
    fake.meaningless = {"triangle": "There is nothing to compare."}
    (run,) = fake.add(make_run(1))
    app = open_page("views/inside.py", run=str(run.id), view="Triangle")
    assert "There is nothing to compare." in words(app)
    assert not [field for field in app.number_input if field.key.startswith("field:")]
    assert "Look for" not in words(app)
    assert fake.inspected == []
    (marks,) = [e.proto.body for e in app.get("html") if "st-key-view" in e.proto.body]
    assert marks.count("::after") == 1
    assert "nth-of-type(2)::after" in marks  # the triangle's tab
    assert app.query_params["view"] == "Triangle"  # links keep the plain name


# --- Relative and absolute ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "view"),
    [
        ("run", "Gradient through time"),
        ("compare", ""),
        ("inside", ""),
    ],
)
def test_gradients_are_relative_until_the_link_says_otherwise(
    open_page: Open, fake: FakeService, monkeypatch: pytest.MonkeyPatch, page: str, view: str
) -> None:
    vectors = {"h/0": VectorSeries(steps=[0], norms=[[0.1, 0.2]])}
    monkeypatch.setattr(Client, "gradients", lambda *_args, **_options: vectors)
    fake.answers |= RESULTS
    (run,) = fake.add(make_run(1))
    where = {"runs" if page == "compare" else "run": str(run.id)} | ({"view": view} if view else {})
    app = open_page(f"views/{page}.py", **where)
    assert app.toggle(key="relative").value is True
    app = open_page(f"views/{page}.py", **where, relative="false")
    assert app.toggle(key="relative").value is False
