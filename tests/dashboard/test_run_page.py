"""Run and Compare over a fake service: what a reader is told, and that no answer makes a page loop."""

from __future__ import annotations

from urllib.parse import parse_qs
from uuid import UUID

import pytest
from conftest import Open
from fake_service import FakeService, make_run
from streamlit.testing.v1 import AppTest

from dashboard.client import Client, NotFound, ServiceAway
from dashboard.theme import run_color
from trainer.schema import Chance, LengthVerdict, RunState, Series, Summary, VectorSeries


def words(app: AppTest) -> str:
    return "\n".join(e.value for e in [*app.markdown, *app.caption, *app.info, *app.error, *app.subheader])


def test_a_section_that_is_not_found_while_its_run_is_says_so_and_does_not_start_over(
    open_page: Open, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = fake.add(make_run(1))
    asked: list[UUID] = []

    def gone(_: Client, run_id: UUID, **_options: object) -> None:
        asked.append(run_id)
        if len(asked) > 20:
            raise AssertionError("the page starts over for ever")
        raise NotFound("There are no metrics here.", "Look elsewhere.")

    monkeypatch.setattr(Client, "metrics", gone)
    app = open_page("views/run.py", run=str(run.id))
    assert "There are no metrics here" in words(app).replace("\\", "")
    assert len(asked) <= 3


def test_a_run_deleted_under_the_readers_eyes_is_reported(open_page: Open, fake: FakeService) -> None:
    (run,) = fake.add(make_run(1))
    app = open_page("views/run.py", run=str(run.id))
    fake.runs.clear()
    app.run()
    assert "This run is not here" in words(app)


def test_the_curve_follows_the_newest_recording_until_a_step_is_chosen(
    open_page: Open, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = fake.add(make_run(1, state=RunState.RUNNING))
    steps = [0, 50]

    def recorded(_: Client, _run_id: UUID, **_options: object) -> dict[str, VectorSeries]:
        return {"h/0": VectorSeries(steps=list(steps), norms=[[0.1, 0.2] for _ in steps])}

    monkeypatch.setattr(Client, "gradients", recorded)
    app = open_page("views/run.py", run=str(run.id))
    app.query_params["view"] = "Gradient through time"
    app.run()
    assert "At step 50" in words(app)
    steps.append(100)
    app.run()
    assert "At step 100" in words(app)
    app.select_slider(key="curve-step").set_value(50).run()
    assert "At step 50" in words(app)
    steps[:] = [0, 100, 200]  # the service thins what lies around the chosen step
    app.run()
    assert app.select_slider(key="curve-step").value == 50
    assert "At step 0" in words(app)


def test_a_network_without_state_says_why_there_is_no_gradient_through_time(
    open_page: Open, fake: FakeService
) -> None:
    (run,) = fake.add(make_run(1, model="ffnn"))
    app = open_page("views/run.py", run=str(run.id))
    app.query_params["view"] = "Gradient through time"
    app.run()
    assert "Feed\\-forward network: this network keeps no state" in words(app)
    app = open_page("views/compare.py", runs=str(run.id))
    assert "nothing for a gradient to travel along: run 1" in words(app)
    assert "No run here has recorded it" not in words(app)


LENGTHS = [LengthVerdict(length=n, loss=0.1, error=n / 400, wrong=n, total=400) for n in (20, 40, 80)]


def test_tests_on_longer_sequences_are_shown_by_run_and_side_by_side(
    open_page: Open, fake: FakeService
) -> None:
    tested = Summary(lengths=LENGTHS, chance=Chance(loss=0.1, error=0.36))
    first, second, other = fake.add(make_run(1, summary=tested), make_run(2, summary=tested), make_run(3))
    assert "Longer than in training" in words(open_page("views/run.py", run=str(first.id)))
    assert "Longer than in training" not in words(open_page("views/run.py", run=str(other.id)))
    app = open_page("views/compare.py", runs=f"{first.id},{second.id},{other.id}")
    assert "Longer than in training" in words(app)


def test_a_recorded_learning_rate_is_drawn(
    open_page: Open, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = fake.add(make_run(1))
    assert "#### Learning rate" not in words(open_page("views/run.py", run=str(run.id)))
    points = Series(step=[1, 2], value=[0.1, 0.2], seconds=[0.1, 0.2], sequences=[32, 64])
    monkeypatch.setattr(Client, "metrics", lambda *_args, **_options: {"learning_rate": points})
    assert "#### Learning rate" in words(open_page("views/run.py", run=str(run.id)))


def test_compare_shows_colour_state_and_progress_of_each_run(open_page: Open, fake: FakeService) -> None:
    first, second = fake.add(
        make_run(1, name="first", state=RunState.RUNNING), make_run(2, name="second", state=RunState.QUEUED)
    )
    app = open_page("views/compare.py", runs=f"{first.id},{second.id}")
    shown = words(app)
    for run, state in ((first, "Running"), (second, "Queued")):
        assert state in shown
        assert f"step {run.step:,} of {run.config.training.steps:,}" in shown
    marks = " ".join(element.proto.body for element in app.get("html"))
    assert run_color(first.number) in marks
    assert run_color(second.number) in marks


def test_compare_goes_on_without_a_run_that_is_deleted_meanwhile(
    open_page: Open, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, doomed = fake.add(make_run(1, name="kept"), make_run(2, name="doomed"))
    answer = Client.run

    def gone(client: Client, run_id: UUID) -> object:
        if run_id == doomed.id:
            raise NotFound("No such run.", "")
        return answer(client, run_id)

    monkeypatch.setattr(Client, "run", gone)  # while the list of runs still holds it
    app = open_page("views/compare.py", runs=f"{kept.id},{doomed.id}")
    assert list(app.dataframe[0].value["run"]) == ["kept"]


def test_a_service_that_goes_away_under_a_live_page_is_said_once(
    open_page: Open, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = fake.add(make_run(1, state=RunState.RUNNING))
    app = open_page("views/run.py", run=str(run.id))
    answers = iter([run])  # the page itself still gets an answer, the parts that it draws do not

    def away(_: Client, *_args: object, **_options: object) -> object:
        found = next(answers, None)
        if found is None:
            raise ServiceAway("The training service does not answer.", "Try again in a moment.")
        return found

    for request in ("run", "metrics"):
        monkeypatch.setattr(Client, request, away)
    monkeypatch.setattr(Client, "healthy", lambda _: False)
    app.run()
    assert not app.exception
    assert [title.value for title in app.subheader] == [":material/cloud_off: The training service is away"]


def test_one_unanswered_request_of_a_living_service_is_told_in_its_place(
    open_page: Open, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = fake.add(make_run(1, state=RunState.RUNNING))

    def slow(_: Client, *_args: object, **_options: object) -> object:
        raise ServiceAway("No answer in time.", "Try again in a moment.")

    monkeypatch.setattr(Client, "metrics", slow)
    app = open_page("views/run.py", run=str(run.id))
    assert "No answer in time" in words(app).replace("\\", "")
    assert "The training service is away" not in words(app)


def test_a_part_whose_service_was_replaced_starts_the_page_over_with_the_new_one(
    open_page: Open, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session found the new service. This page's parts still ask the old one, which stays away."""
    (run,) = fake.add(make_run(1, state=RunState.RUNNING))
    asked = []

    def metrics(client: Client, *_args: object, **_options: object) -> object:
        asked.append(client)
        away = ServiceAway("No answer.", "Try again in a moment.")
        away.address = (
            client.address.model_copy(update={"token": "that of before"})
            if len(asked) == 1
            else client.address
        )
        raise away

    monkeypatch.setattr(Client, "metrics", metrics)
    app = open_page("views/run.py", run=str(run.id))
    assert len(asked) == 2, "once before the page started over, once after"
    assert "No answer" in words(app)


def links(app: AppTest) -> dict[str, str]:
    """The query that each of the page's links takes along, by the link's label."""
    return {link.proto.label: link.proto.query_string for link in app.get("page_link")}


def test_links_lead_inside_from_a_run_and_from_runs_side_by_side(open_page: Open, fake: FakeService) -> None:
    runs = fake.add(*(make_run(number) for number in range(1, 8)))
    ids = [str(run.id) for run in runs]
    assert parse_qs(links(open_page("views/run.py", run=ids[0]))["Look inside"]) == {"run": ids[:1]}
    app = open_page("views/compare.py", runs=",".join(ids))
    assert parse_qs(links(app)["Look inside"]) == {"run": ids[:1], "beside": [",".join(ids[1:5])]}
    assert parse_qs(links(open_page("views/compare.py", runs=ids[0]))["Look inside"]) == {"run": ids[:1]}


def test_a_run_that_does_not_answer_says_so_and_can_be_resumed_or_stopped(
    open_page: Open, fake: FakeService
) -> None:
    running = make_run(1, state=RunState.RUNNING)
    (run,) = fake.add(running.model_copy(update={"silent_for": 42, "can_resume": True}))
    app = open_page("views/run.py", run=str(run.id))
    assert "has not answered for 42 s" in words(app)
    assert {"Stop", "Resume"} <= {button.label for button in app.button}
    assert "No answer" in words(app)
    fake.runs[run.id] = running
    app.run()
    assert "has not answered" not in words(app)
    assert "Resume" not in {button.label for button in app.button}
