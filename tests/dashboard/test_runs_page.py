"""The list of runs and the first page: filters, selection, actions, and nothing that runs as markup."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from conftest import Open
from fake_service import NOW, FakeService, make_run
from streamlit.testing.v1 import AppTest

from dashboard.client import Client, Refused
from dashboard.run_table import coloured, opened, rows_of, selected_after, table
from dashboard.theme import MARKS, run_color, run_mark
from trainer.schema import Chance, RunState, Summary

VIEW = "views/runs.py"


def names(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["name"]) if app.dataframe else []


def select(app: AppTest, *rows: int) -> AppTest:
    app.session_state["runs.table"] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return app.run()


def button(app: AppTest, label: str):
    return next(b for b in app.button if b.label == label)


def words(app: AppTest) -> str:
    return "\n".join(element.value for element in [*app.markdown, *app.caption, *app.info, *app.subheader])


def test_without_runs_the_page_says_what_a_run_is(open_page: Open) -> None:
    app = open_page(VIEW)
    assert "No runs yet" in words(app)
    assert not app.dataframe


def test_runs_are_listed_newest_first_and_filtered(open_page: Open, fake: FakeService) -> None:
    fake.add(make_run(1, name="one", model="gru"), make_run(2, name="two", task="temporal_order"))
    app = open_page(VIEW)
    assert names(app) == ["two", "one"]
    app.text_input(key="search").set_value("ONE").run()
    assert names(app) == ["one"]
    app.text_input(key="search").set_value("").run()
    app.selectbox(key="task").set_value("temporal_order").run()
    assert names(app) == ["two"]
    app.multiselect(key="state").set_value(["failed"]).run()
    assert names(app) == []
    assert "No run matches" in words(app)


def test_actions_are_open_only_to_runs_that_allow_them(open_page: Open, fake: FakeService) -> None:
    fake.add(make_run(1, state=RunState.STOPPED), make_run(2), make_run(3, state=RunState.RUNNING))
    app = open_page(VIEW)
    usable = lambda: {b.label for b in app.button if not b.disabled}  # noqa: E731
    assert usable() == set()
    select(app, 1)
    assert usable() == {"Inside", "Launch again", "Rename or tag", "Delete"}
    select(app, 2)
    assert usable() == {"Inside", "Launch again", "Rename or tag", "Delete", "Resume"}
    select(app, 0, 2)
    assert usable() == {"Compare 2", "Rename or tag", "Delete", "Stop", "Resume"}


def test_stop_and_resume_reach_the_selected_run(open_page: Open, fake: FakeService) -> None:
    [running, other] = fake.add(make_run(2, state=RunState.RUNNING), make_run(1, state=RunState.RUNNING))
    app = select(open_page(VIEW), 0)
    button(app, "Stop").click().run()
    assert fake.runs[running.id].state is RunState.STOPPED
    assert fake.runs[other.id].state is RunState.RUNNING
    button(app, "Resume").click().run()
    assert fake.runs[running.id].state is RunState.QUEUED


def test_a_refused_stop_says_why(open_page: Open, fake: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Client, _run_id: UUID) -> None:
        raise Refused("It is over already.", "Look again.")

    monkeypatch.setattr(Client, "stop", refuse)
    fake.add(make_run(1, state=RunState.RUNNING))
    app = select(open_page(VIEW), 0)
    button(app, "Stop").click().run()
    assert "It is over already" in app.error[0].value
    app.run()
    assert not app.error, "once"


def test_several_runs_go_to_compare(open_page: Open, fake: FakeService) -> None:
    first, second = fake.add(make_run(2), make_run(1))
    app = select(open_page(VIEW), 0, 1)
    button(app, "Compare 2").click().run()
    assert app.query_params["runs"] == f"{first.id},{second.id}"


def test_a_run_is_deleted_only_after_yes(open_page: Open, fake: FakeService) -> None:
    keep, gone = fake.add(make_run(2), make_run(1, name="**old**"))
    app = select(open_page(VIEW), 1)
    button(app, "Delete").click().run()
    assert r"\*\*old\*\*" in words(app)
    app.button(key="delete.no").click().run()
    assert gone.id in fake.runs
    button(app, "Delete").click().run()
    app.button(key="delete.yes").click().run()
    assert names(app) == [keep.name]
    assert fake.runs[gone.id].binned_at is not None, "in the bin"


def test_the_bin_is_shown_where_there_is_one_and_runs_are_put_back_from_it(
    open_page: Open, fake: FakeService
) -> None:
    kept, back, gone = fake.add(
        make_run(3, name="kept"), *(make_run(n, name=f"binned {n}", binned_at=NOW) for n in (2, 1))
    )
    app = open_page(VIEW)
    assert names(app) == ["kept"]
    app.toggle(key="bin").set_value(True).run()
    assert names(app) == ["binned 2", "binned 1"]
    usable = {b.label for b in app.button if not b.disabled}
    assert usable == {"Empty bin"}
    select(app, 0)
    button(app, "Put back").click().run()
    assert names(app) == ["binned 1"]
    assert fake.runs[back.id].binned_at is None
    select(app, 0)
    button(app, "Delete for good").click().run()
    app.button(key="purge.no").click().run()
    assert gone.id in fake.runs
    button(app, "Delete for good").click().run()
    app.button(key="purge.yes").click().run()
    assert set(fake.runs) == {kept.id, back.id}
    assert "The bin is empty" in words(app)
    app.toggle(key="bin").set_value(False).run()
    assert names(app) == ["kept", "binned 2"]
    assert not [toggle for toggle in app.toggle if toggle.key == "bin"]


def test_the_bin_is_emptied_of_all_and_nothing_else_after_yes(open_page: Open, fake: FakeService) -> None:
    [kept, *_] = fake.add(make_run(200), *(make_run(n, binned_at=NOW) for n in range(105)))
    app = open_page(VIEW, bin="true")
    assert len(names(app)) == 100
    button(app, "Empty bin").click().run()
    assert "105 runs" in words(app)
    app.button(key="empty.no").click().run()
    assert len(fake.runs) == 106
    button(app, "Empty bin").click().run()
    app.button(key="empty.yes").click().run()
    assert set(fake.runs) == {kept.id}


def test_with_every_run_in_the_bin_the_page_still_leads_there(open_page: Open, fake: FakeService) -> None:
    fake.add(make_run(1, name="binned", binned_at=NOW))
    app = open_page(VIEW)
    assert "No runs yet" in words(app)
    app.toggle(key="bin").set_value(True).run()
    assert names(app) == ["binned"]


@pytest.mark.parametrize(
    ("view", "query"), [("views/run.py", "run"), ("views/compare.py", "runs"), ("views/inside.py", "run")]
)
def test_a_link_to_a_run_in_the_bin_says_so(
    open_page: Open, fake: FakeService, view: str, query: str
) -> None:
    there, binned = fake.add(make_run(1, name="there"), make_run(2, name="**binned**", binned_at=NOW))
    app = open_page(view, **{query: str(binned.id)})
    assert "in the bin" in " ".join(element.value for element in app.warning)
    assert r"\*\*binned\*\*" in " ".join(element.value for element in app.warning)
    assert "in the bin" not in " ".join(e.value for e in open_page(view, **{query: str(there.id)}).warning)


def test_what_is_running_is_not_deleted(open_page: Open, fake: FakeService) -> None:
    fake.add(make_run(1, state=RunState.RUNNING))
    app = select(open_page(VIEW), 0)
    button(app, "Delete").click().run()
    assert app.button(key="delete.yes").disabled


def test_a_run_is_renamed_and_tagged(open_page: Open, fake: FakeService) -> None:
    [run] = fake.add(make_run(1, name="old", tags=["a"]))
    app = select(open_page(VIEW), 0)
    button(app, "Rename or tag").click().run()
    app.text_input(key="edit.name:1").set_value("**new** $x$").run()
    app.button(key="edit.save").click().run()
    assert fake.runs[run.id].name == "**new** $x$"
    assert fake.runs[run.id].tags == ["a"]
    assert names(app) == ["**new** $x$"]


def test_a_name_of_nothing_is_not_saved(open_page: Open, fake: FakeService) -> None:
    [run] = fake.add(make_run(1, name="old"))
    app = select(open_page(VIEW), 0)
    button(app, "Rename or tag").click().run()
    app.text_input(key="edit.name:1").set_value("  ").run()
    app.button(key="edit.save").click().run()
    assert "at least one letter" in app.error[0].value
    assert fake.runs[run.id].name == "old"


def test_a_name_with_html_is_refused_with_a_reason(open_page: Open, fake: FakeService) -> None:
    [run] = fake.add(make_run(1, name="old"))
    app = select(open_page(VIEW), 0)
    button(app, "Rename or tag").click().run()
    app.text_input(key="edit.name:1").set_value("<script>x</script>").run()
    app.button(key="edit.save").click().run()
    assert "Leave out" in app.error[0].value
    assert fake.runs[run.id].name == "old"


def test_a_selection_follows_its_run_when_rows_move(open_page: Open, fake: FakeService) -> None:
    [chosen] = fake.add(make_run(1, state=RunState.STOPPED))
    app = select(open_page(VIEW), 0)
    fake.add(make_run(2, state=RunState.STOPPED))
    app.run()
    assert names(app) == ["run 2", "run 1"]
    button(app, "Resume").click().run()
    assert fake.runs[chosen.id].state is RunState.QUEUED


def test_what_was_ticked_in_the_old_order_is_the_run_that_stood_there(
    open_page: Open, fake: FakeService
) -> None:
    """The list has grown since it was drawn: row 0 of the reader's table is row 1 of the new one."""
    [first] = fake.add(make_run(1, state=RunState.STOPPED))
    app = open_page(VIEW)
    fake.add(make_run(2, state=RunState.STOPPED))
    select(app, 0)
    assert names(app) == ["run 2", "run 1"]
    button(app, "Resume").click().run()
    assert fake.runs[first.id].state is RunState.QUEUED
    assert [run.state for run in fake.runs.values()].count(RunState.STOPPED) == 1


def test_open_leads_to_the_run_whose_button_was_pressed_wherever_it_stands_now() -> None:
    old, new = make_run(1), make_run(11)
    pressed = table([old], lambda _, name: name)["open"][0]
    assert opened([new, old], pressed) is old
    assert opened([new], pressed) is None, "it was deleted meanwhile"


def test_a_button_acts_on_what_is_selected_by_then(open_page: Open, fake: FakeService) -> None:
    """A tick and the press of a button may come to the page in one message."""
    runs = fake.add(*(make_run(number) for number in (3, 2, 1)))
    app = select(open_page(VIEW), 0, 1)
    app.session_state["runs.table"] = {"selection": {"rows": [0, 1, 2], "columns": [], "cells": []}}
    button(app, "Compare 2").click().run()
    assert app.query_params["runs"] == ",".join(str(run.id) for run in runs)


def test_a_press_as_the_last_run_ends_is_not_lost(
    open_page: Open, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page then begins anew, without polling."""
    [run] = fake.add(make_run(1, state=RunState.RUNNING))
    app = select(open_page(VIEW), 0)
    fake.add(run.model_copy(update={"state": RunState.FINISHED}))
    polling = iter([1])  # what the page saw before its table looked again
    answer = Client.runs

    def runs(client: Client, **query: object) -> object:
        page = answer(client, **query)  # type: ignore[arg-type]
        return page.model_copy(update={"total": 1}) if query.get("states") and next(polling, 0) else page

    monkeypatch.setattr(Client, "runs", runs)
    button(app, "Inside").click().run()
    assert app.query_params["run"] == str(run.id)


def test_a_hidden_run_is_no_longer_selected(open_page: Open, fake: FakeService) -> None:
    fake.add(make_run(1, name="one"), make_run(2, name="two"))
    app = select(open_page(VIEW), 0)
    app.text_input(key="search").set_value("one").run()
    assert button(app, "Delete").disabled
    app.text_input(key="search").set_value("").run()
    assert button(app, "Delete").disabled, "and does not come back by itself"


def test_selection_by_id_is_kept_through_reordering() -> None:
    a, b, c = uuid4(), uuid4(), uuid4()
    assert rows_of([c, a], [a, b, c]) == [0, 2]
    assert selected_after([0, 2], [a, b, c], [c]) == [c, a]
    assert selected_after([5], [a], [a]) == []


def test_the_table_says_how_a_run_stands_against_chance() -> None:
    frame = table(
        [make_run(1), make_run(9, summary=Summary(), step=500)], lambda kind, name: f"{kind}/{name}"
    )
    first, second = frame.to_dict("records")
    assert (first["network"], first["task"]) == ("models/lstm", "tasks/adding")
    assert (first["best_loss"], round(first["of_chance"], 1)) == (0.002, 4.8)
    assert (first["best_error"], first["chance_error"]) == (1.0, 36.0)
    assert (first["progress"], second["progress"]) == (100, 25)
    assert second["best_loss"] != second["best_loss"], "empty, not zero"
    assert (first["mark"], second["mark"]) == MARKS[:2] == (run_mark(1), run_mark(9))


def test_the_table_never_says_all_or_nothing_of_what_is_not() -> None:
    chance = Chance(loss=1.0, error=0.9998)
    summary = Summary(best_validation_loss=0.9999, best_validation_error=0.9997, chance=chance)
    runs = [make_run(n, summary=summary, step=step) for n, step in ((1, 1), (2, 1999), (3, 0), (4, 2000))]
    rows = table(runs, lambda _, name: name).to_dict("records")
    assert [row["progress"] for row in rows] == [1, 99, 0, 100]
    for column in ("of_chance", "best_error", "chance_error"):
        assert f"{rows[0][column]:.3g}" == "99.9"


def test_a_mark_has_its_runs_colour() -> None:
    html = coloured(table([make_run(2)], lambda _, name: name)).to_html()
    assert f"color: {run_color(2)}" in html


def test_the_first_visit_offers_three_runs_in_one_click(open_page: Open, fake: FakeService) -> None:
    app = open_page("views/welcome.py")
    app.button(key="welcome.demo").click().run()
    models = [launch.config.model["name"] for launch in fake.launched]
    assert models == ["elman", "lstm", "gru"]
    first, *others = fake.launched
    for other in others:
        assert other.config.model_copy(update={"model": first.config.model}) == first.config
    assert app.query_params["runs"] == ",".join(str(run_id) for run_id in fake.runs)


def test_later_visits_show_the_latest_runs(open_page: Open, fake: FakeService) -> None:
    fake.add(*(make_run(number, name=f"run *{number}*") for number in range(1, 8)))
    app = open_page("views/welcome.py")
    assert "Latest runs" in words(app)


def test_a_run_that_does_not_answer_is_told_from_one_that_does(open_page: Open, fake: FakeService) -> None:
    running = make_run(1, state=RunState.RUNNING)
    silent = make_run(2, state=RunState.RUNNING).model_copy(update={"silent_for": 42, "can_resume": True})
    fake.add(running, silent)
    app = open_page(VIEW)
    assert [list(state) for state in app.dataframe[0].value["state"]] == [["No answer"], ["Running"]]
    select(app, 0)
    assert not button(app, "Resume").disabled
