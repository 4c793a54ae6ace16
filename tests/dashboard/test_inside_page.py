"""The page Inside over a fake service: every view is drawn, its address holds it all, refusals are told."""

from __future__ import annotations

from typing import get_args
from uuid import UUID, uuid4

import pytest
import streamlit as st
from conftest import Open
from fake_service import VIEWS, FakeService, make_run
from inside_results import (
    CLIFF,
    FITS,
    FORECASTS,
    JACOBIANS,
    PREDICTIONS,
    RESULTS,
    ROWS,
    SPREAD,
    TRIANGLE,
    TRUNCATION,
)
from plotly import graph_objects as go
from streamlit.testing.v1 import AppTest

from dashboard.charts.jacobians import step_figure
from dashboard.charts.triangle import triangle_figure
from dashboard.charts.truncation import lag_words
from dashboard.charts.truncation import words as truncation_words
from dashboard.client import Client
from dashboard.views import inside_gradients
from dashboard.views import inside_results as drawings
from trainer.schema import (
    CheckpointInfo,
    DiagnosisView,
    EigenvalueSeries,
    ErrorBody,
    FieldError,
    Inspect,
    Run,
    RunState,
    Stretch,
    VectorSeries,
    ViewResult,
)
from trainer.service.inspection import MAX_RECORDINGS

TITLES = {"diagnosis": "Gradient through time", "cliff": "Clipping"}
FOUND = {
    "diagnosis": "it has learnt *nothing*",
    "triangle": "Every pair",
    "truncation": "the cosine with the full gradient is **0.610**",
    "credit": "2 times",
    "jacobians": "gradients must vanish",
    "cliff": "step 1 threw the descent out of the picture",
    "gates": "it was unsure",
    "places": "over 1,280 symbols",
    "surgery": "loss +0.5",
    "generate": "Guesses, symbol by symbol",
    "rewind": "The future changed ended early",
}
"""What a reader must find of each view's result."""


def words(app: AppTest) -> str:
    told = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.subheader]
    return "\n".join(element.value for element in told).replace("\\", "").replace("\u2060", "")


def opened(open_page: Open, run: Run, view: str, **query: str) -> AppTest:
    title = TITLES.get(view, view.capitalize())
    return open_page("views/inside.py", run=str(run.id), view=title, **query)


@pytest.fixture
def run(fake: FakeService, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A finished run with gradients recorded, of which every view has an answer."""
    fake.answers |= RESULTS
    vectors = {"h/0": VectorSeries(steps=[0, 50, 100], norms=[[0.1, 0.2], [0.0, None], [0.3, 0.4]])}
    spectra = {"Ws/0": EigenvalueSeries(steps=[0, 50], real=[[0.5], [0.6]], imaginary=[[0.0], [0.1]])}
    monkeypatch.setattr(Client, "gradients", lambda *_args, **_options: vectors)
    monkeypatch.setattr(Client, "eigenvalues", lambda *_args, **_options: spectra)
    (made,) = fake.add(make_run(1))
    return made


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_says_what_it_shows_and_shows_it(
    open_page: Open, fake: FakeService, run: Run, view: str
) -> None:
    app = opened(open_page, run, view)
    shown = words(app)
    assert "Look for: " in shown
    assert FOUND[view] in shown
    assert {asked.view for asked in fake.inspected} == {view}


@pytest.mark.parametrize(("result", "found"), [(PREDICTIONS, "1 of 4 wrong"), (FORECASTS, "close")])
def test_what_a_network_generates_need_not_be_text(
    open_page: Open, fake: FakeService, run: Run, result: ViewResult, found: str
) -> None:
    fake.answers["generate"] = result
    assert found in words(opened(open_page, run, "generate"))


def test_every_kind_of_result_has_a_drawing() -> None:
    kinds = get_args(get_args(ViewResult)[0])
    assert set(kinds) == set(drawings.RESULTS)


def test_settings_come_from_the_address_and_go_back_there(
    open_page: Open, fake: FakeService, run: Run
) -> None:
    app = opened(open_page, run, "triangle", **{"triangle.length": "30"})
    assert fake.inspected[-1].settings == {"length": 30}
    app.number_input(key="field:triangle.length").set_value(45).run()
    assert fake.inspected[-1].settings == {"length": 45}
    assert app.query_params["triangle.length"] == "45"
    app.number_input(key="field:triangle.length").set_value(60).run()  # the default needs no place there
    assert "triangle.length" not in app.query_params


def test_a_setting_that_somebody_broke_in_the_address_stays_at_its_default(
    open_page: Open, fake: FakeService, run: Run
) -> None:
    opened(open_page, run, "triangle", **{"triangle.length": "{"})
    assert fake.inspected[-1].settings == {"length": 60}


def test_the_newest_checkpoint_is_looked_at_until_another_one_is_chosen(
    open_page: Open, fake: FakeService, run: Run
) -> None:
    app = opened(open_page, run, "triangle")
    assert fake.inspected[-1].checkpoint == 2000
    app.selectbox(key="inside-checkpoint").set_value(1500).run()
    assert fake.inspected[-1].checkpoint == 1500
    assert app.query_params["checkpoint"] == "1500"
    again = opened(open_page, run, "triangle", checkpoint="1900")
    assert fake.inspected[-1].checkpoint == 1900
    assert again.selectbox(key="inside-checkpoint").value == 1900


def test_an_inspection_is_computed_once_for_the_same_question(
    open_page: Open, fake: FakeService, run: Run
) -> None:
    app = opened(open_page, run, "triangle")
    before = len(fake.inspected)
    app.selectbox(key="triangle-show").set_value("Ws/0").run()
    assert len(fake.inspected) == before
    assert "its norm is 2.5" in words(app).replace("*", "")
    assert app.query_params["triangle-show"] == "Ws/0"
    again = opened(open_page, run, "triangle", **{"triangle-show": "Wx/0"})
    assert again.selectbox(key="triangle-show").value == "Wx/0"


@pytest.mark.parametrize(
    ("begin", "told"),
    [(0, "input to state), layer 1 on these sequences"), (152, "timesteps 153 to 156 of these sequences")],
)
def test_a_triangles_norm_is_that_of_what_was_measured_and_not_of_training(
    open_page: Open, fake: FakeService, run: Run, begin: int, told: str
) -> None:
    fake.answers["triangle"] = TRIANGLE.model_copy(update={"begin": begin, "totals": {"Wx/0": 2.5}})
    found = words(opened(open_page, run, "triangle", **{"triangle-show": "Wx/0"})).replace("*", "")
    assert f"{told}: its norm is 2.5." in found
    assert "training uses" not in found


def test_a_reader_is_told_on_which_timesteps_of_padded_sequences_a_view_was_measured(
    open_page: Open, fake: FakeService, run: Run
) -> None:
    uneven = Stretch(begins=[4, 9], lengths=[4, 4])
    told = "the last 4 timesteps of each sequence, counted from the first of them"
    fake.answers["triangle"] = TRIANGLE.model_copy(update={"stretch": uneven})
    app = opened(open_page, run, "triangle")
    assert f"Measured on {told}." in words(app)
    assert "on those timesteps of these sequences" in words(
        opened(open_page, run, "triangle", **{"triangle-show": "Wy"})
    )
    fake.answers["jacobians"] = JACOBIANS.model_copy(update={"stretch": uneven})
    assert f"measured on {told}." in words(opened(open_page, run, "jacobians"))
    assert axis_titles(triangle_figure(ROWS, begin=0, quantity="q", of_stretch=True)) == (
        "step that the loss speaks to (timestep of the stretch)",
        "loss (timestep of the stretch)",
    )
    assert (
        axis_titles(step_figure(SPREAD, begin=0, color="#000", of_stretch=True))[0]
        == "timestep of the stretch"
    )
    cut = TRUNCATION.model_copy(update={"stretch": uneven, "shortest": 2})
    assert lag_words(cut).startswith(
        "Of the last 4 timesteps of each sequence, and of their own full gradient"
    )
    assert "4 whole sequences of 2 to 4 timesteps" in truncation_words(cut)[1]


def axis_titles(figure: go.Figure) -> tuple[str, str]:
    return figure.layout.xaxis.title.text, figure.layout.yaxis.title.text


@pytest.mark.parametrize("away", ["start", "later"])
def test_a_descent_that_begins_outside_the_picture_is_not_told_as_one_thrown_out(
    open_page: Open, fake: FakeService, run: Run, away: str
) -> None:
    if away == "start":
        outside = CLIFF.free.model_copy(update={"w": [1.0, 1.1]})
        fake.answers["cliff"] = CLIFF.model_copy(update={"free": outside, "clipped": outside})
    found = words(opened(open_page, run, "cliff"))
    assert ("begin outside the picture" in found) == (away == "start")
    assert ("threw the descent out" in found) == (away == "later")


@pytest.mark.parametrize(
    ("view", "setting", "offered"),
    [
        (
            "surgery",
            "target",
            {"i/0": "input gate i (lets in), layer 1", "f/0": "forget gate f (keeps), layer 1"},
        ),
        ("places", "state", {"h/0": "hidden state h, layer 1", "c/0": "cell state c, layer 1"}),
    ],
)
def test_gates_and_states_are_offered_as_the_network_has_them(
    open_page: Open, fake: FakeService, run: Run, view: str, setting: str, offered: dict[str, str]
) -> None:
    """In words, and sent and kept in the address by name."""
    app = opened(open_page, run, view)
    (box,) = [box for box in app.selectbox if box.label == setting.capitalize()]
    assert box.options == list(offered.values())
    first, name = list(offered)[:2]
    assert fake.inspected[-1].settings == {"length": 60, setting: first}
    box.select(name).run()
    assert fake.inspected[-1].settings == {"length": 60, setting: name}
    assert app.query_params[f"{view}.{setting}"] == f'"{name}"'


@pytest.mark.parametrize(("there", "told"), [(True, "take too long"), (False, "no square matrix")])
def test_eigenvalues_that_are_not_there_say_why(
    open_page: Open, fake: FakeService, run: Run, there: bool, told: str
) -> None:
    update = {"spectra": {}, "spectra_at_start": {}, "has_spectra": there}
    fake.answers["jacobians"] = JACOBIANS.model_copy(update=update)
    assert told in words(opened(open_page, run, "jacobians"))


def test_a_view_without_meaning_says_why_and_is_no_error(
    open_page: Open, fake: FakeService, run: Run
) -> None:
    fake.answers["gates"] = "A feed-forward network has no gates."
    app = opened(open_page, run, "gates")
    assert [element.value.replace("\\", "") for element in app.info] == [
        "A feed-forward network has no gates."
    ]
    assert not app.error


@pytest.mark.parametrize("view", ["places", "surgery"])
def test_no_settings_are_offered_where_none_would_give_the_view_a_meaning(
    open_page: Open, fake: FakeService, run: Run, view: str
) -> None:
    assert opened(open_page, run, view).number_input
    fake.answers[view] = "This run's task is not about a text."
    st.cache_data.clear()
    app = opened(open_page, run, view)
    assert "not about a text" in words(app)
    assert not app.number_input
    assert not app.text_input


def test_a_refusal_is_told_with_its_remedy(open_page: Open, fake: FakeService, run: Run) -> None:
    fake.answers["triangle"] = ErrorBody(message="Run 1 has no checkpoint yet.", remedy="Look again then.")
    app = opened(open_page, run, "triangle")
    assert "Run 1 has no checkpoint yet. Look again then." in words(app)


def test_a_setting_that_does_not_fit_is_marked_beside_its_field(
    open_page: Open, fake: FakeService, run: Run
) -> None:
    wrong = FieldError(field="settings.length", value=60, problem="is too long", remedy="choose 20")
    fake.answers["triangle"] = ErrorBody(message="Wrong.", errors=[wrong])
    app = opened(open_page, run, "triangle")
    assert "Is too long. Choose 20." in words(app)
    assert not app.error


def test_other_runs_join_the_same_plots(open_page: Open, fake: FakeService, run: Run) -> None:
    (other,) = fake.add(make_run(2, name="another"))
    app = opened(open_page, run, "diagnosis", beside=str(other.id))
    assert "Side by side" in words(app)
    app.multiselect(key="inside-beside").set_value([]).run()
    assert "Side by side" not in words(app)
    assert "beside" not in app.query_params
    assert "The same unit in several runs" in words(opened(open_page, run, "gates", beside=str(other.id)))


def test_where_nothing_could_be_fitted_a_line_says_why_and_no_empty_plot_is_drawn(
    open_page: Open, fake: FakeService, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(inside_gradients, "factor_figure", lambda *given: drawn.append(given))
    found = RESULTS["diagnosis"]
    assert isinstance(found, DiagnosisView)
    fake.answers["diagnosis"] = found.model_copy(update={"fits": {}, "unfitted": "Losses are everywhere."})
    assert "Losses are everywhere." in words(opened(open_page, run, "diagnosis"))
    uneven = FITS.model_copy(
        update={"factor": [None] * 3, "words": ["is exactly 0 more than 6 timesteps back"] * 3}
    )
    fake.answers["diagnosis"] = found.model_copy(update={"fits": {"h/0": uneven}})
    (other,) = fake.add(make_run(2))
    told = words(opened(open_page, other, "diagnosis"))
    assert "Its gradient is exactly 0 more than 6 timesteps back." in told
    assert "exponential that fits it best" not in told
    assert not drawn


def test_a_fit_is_claimed_only_where_a_gradient_fades_evenly_and_every_frame_can_have_one(
    open_page: Open, run: Run
) -> None:
    assert "the exponential that fits it best, where it fades or grows evenly" in words(
        opened(open_page, run, "diagnosis")
    )
    assert inside_gradients.RECORDINGS == MAX_RECORDINGS


def test_the_state_that_the_sentences_speak_of_is_shown_first_where_no_other_run_stands_beside(
    open_page: Open, fake: FakeService, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = VectorSeries(steps=[0, 50, 100], norms=[[0.1, 0.2]] * 3)
    monkeypatch.setattr(Client, "gradients", lambda *_args, **_options: {"c/0": vectors, "h/0": vectors})
    found = RESULTS["diagnosis"]
    assert isinstance(found, DiagnosisView)
    assert opened(open_page, run, "diagnosis").selectbox(key="through-state").value == "h/0"
    fake.answers["diagnosis"] = found.model_copy(update={"state": "c/0"})
    st.cache_data.clear()
    assert opened(open_page, run, "diagnosis").selectbox(key="through-state").value == "c/0"
    asked = opened(open_page, run, "diagnosis", **{"through-state": "h/0"})
    assert asked.selectbox(key="through-state").value == "h/0"
    (other,) = fake.add(make_run(2))
    beside = opened(open_page, run, "diagnosis", beside=str(other.id))
    assert beside.selectbox(key="through-state").value == "h/0"


@pytest.mark.parametrize(("losses", "told"), [(0, "have no rows"), (1, "have only 1 row:")])
def test_where_few_losses_leave_no_triangle_a_curve_is_said_to_stand_for_it(
    open_page: Open, fake: FakeService, run: Run, losses: int, told: str
) -> None:
    rows = [[0.0] * 4 for _ in range(4)]
    rows[3] = [0.125 * losses] * 4
    fake.answers["triangle"] = TRIANGLE.model_copy(
        update={"states": {"h/0": rows}, "paths": {}, "carried": {}}
    )
    found = words(opened(open_page, run, "triangle"))
    assert f"The triangle would {told}" in found
    assert "the curve below is drawn instead" in found
    assert "Every pair" not in found


def test_a_network_without_state_says_why_no_gradient_travels(
    open_page: Open, fake: FakeService, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    del run
    (plain,) = fake.add(make_run(2, model="ffnn"))
    monkeypatch.setattr(Client, "gradients", lambda *_args, **_options: {})
    assert "this network keeps no state" in words(opened(open_page, plain, "diagnosis"))


def test_a_text_that_is_emptied_is_none_again(open_page: Open, fake: FakeService, run: Run) -> None:
    """And so is one that an older link holds as an empty text."""
    app = opened(open_page, run, "gates", **{"gates.text": '""'})
    assert fake.inspected[-1].settings == {"length": 60, "text": None}
    app.text_input(key="optional:gates.text").set_value("to be").run()
    assert fake.inspected[-1].settings == {"length": 60, "text": "to be"}
    st.cache_data.clear()
    app.text_input(key="optional:gates.text").set_value("").run()
    assert fake.inspected[-1].settings == {"length": 60, "text": None}
    assert "gates.text" not in app.query_params


def test_a_choice_that_the_network_does_not_have_stays_at_the_first(
    open_page: Open, fake: FakeService, run: Run
) -> None:
    app = opened(open_page, run, "surgery", **{"surgery.target": '"z/7"'})
    assert fake.inspected[-1].settings == {"length": 60, "target": "i/0"}
    assert not app.error


def test_settings_go_along_to_another_run_but_for_those_that_it_does_not_have(
    open_page: Open, fake: FakeService, run: Run
) -> None:
    """What a reader sets for that run is refused with a reason."""
    (other,) = fake.add(make_run(2))
    app = opened(open_page, run, "triangle", **{"triangle.length": "200"})
    app.selectbox(key="inside-run").set_value(other.id).run()
    assert fake.inspected[-1].settings == {"length": 200}
    wrong = FieldError(field="settings.length", value=200, problem="is too long", remedy="choose 100")

    def short(asked: Inspect) -> ViewResult | ErrorBody:
        return ErrorBody(message="Wrong.", errors=[wrong]) if asked.settings["length"] > 100 else TRIANGLE

    fake.answers["triangle"] = short
    st.cache_data.clear()
    app.selectbox(key="inside-run").set_value(run.id).run()
    assert fake.inspected[-1].settings == {"length": 60}
    assert "triangle.length" not in app.query_params
    assert "Is too long" not in words(app)
    app.number_input(key="field:triangle.length").set_value(150).run()
    assert "Is too long. Choose 100." in words(app)
    assert app.query_params["triangle.length"] == "150"


def test_the_newest_checkpoint_is_asked_for_again_where_it_was_pruned_meanwhile(
    open_page: Open, fake: FakeService, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = [CheckpointInfo(step=1800, validation_loss=None, is_best=False, size=1)]
    lists = iter([stale])
    answer = Client.checkpoints
    monkeypatch.setattr(
        Client, "checkpoints", lambda client, run_id: next(lists, None) or answer(client, run_id)
    )
    fake.change(run.id, state=RunState.RUNNING)
    app = opened(open_page, run, "triangle")
    assert [asked.checkpoint for asked in fake.inspected[-2:]] == [1800, 2000]
    assert not app.error
    assert FOUND["triangle"] in words(app)


def test_a_checkpoint_that_was_pruned_is_told_without_words_for_programs(open_page: Open, run: Run) -> None:
    shown = words(opened(open_page, run, "triangle", checkpoint="7"))
    assert "keeps no checkpoint of step 7. Choose other weights above." in shown


@pytest.mark.parametrize(
    ("state", "told"),
    [(RunState.RUNNING, "none yet"), (RunState.FAILED, "none"), (RunState.FINISHED, "none")],
)
def test_a_run_without_checkpoints_says_whether_one_will_come(
    open_page: Open, fake: FakeService, run: Run, state: RunState, told: str
) -> None:
    fake.checkpoints = []
    fake.change(run.id, state=state)
    assert opened(open_page, run, "triangle").selectbox(key="inside-checkpoint").options == [told]


def test_what_a_result_leaves_out_is_told_above_it(open_page: Open, fake: FakeService, run: Run) -> None:
    fake.note = "The *checkpoint* is damaged."
    assert "The *checkpoint* is damaged." in words(opened(open_page, run, "diagnosis"))


def test_a_link_whose_run_is_no_id_says_so(open_page: Open, fake: FakeService, run: Run) -> None:
    app = open_page("views/inside.py", run="nonsense")
    assert "The run of this link is not known" in words(app)
    assert "“nonsense” is no run's id" in words(app)
    assert not fake.inspected
    app.selectbox(key="inside-run").set_value(run.id).run()
    assert fake.inspected


def test_more_runs_beside_than_fit_are_left_out(open_page: Open, fake: FakeService, run: Run) -> None:
    others = fake.add(*(make_run(number) for number in range(2, 8)))
    app = opened(open_page, run, "diagnosis", beside=",".join(str(other.id) for other in others))
    assert app.multiselect(key="inside-beside").value == [other.id for other in others[:4]]


def test_a_link_to_a_deleted_run_says_so_where_there_is_no_run_at_all(open_page: Open) -> None:
    app = open_page("views/inside.py", run=str(uuid4()))
    assert "This run is not here" in words(app)
    assert [button.label for button in app.button] == ["Launch a run"]


@pytest.mark.parametrize("missing", [str(UUID("6c1f0f4e-52a5-4a5e-9d0e-8d7f3a5b2c10")), str(UUID(int=0))])
def test_a_deleted_run_is_reported_and_another_can_be_chosen(
    open_page: Open, fake: FakeService, run: Run, missing: str
) -> None:
    app = open_page("views/inside.py", run=missing)
    assert "This run is not here" in words(app)
    app.selectbox(key="inside-run").set_value(run.id).run()
    assert "This run is not here" not in words(app)
    assert fake.inspected


def test_the_newest_run_is_shown_where_none_is_chosen(open_page: Open, fake: FakeService, run: Run) -> None:
    app = open_page("views/inside.py")
    assert app.selectbox(key="inside-run").value == run.id
    assert fake.inspected


def test_without_runs_the_page_leads_to_the_launch_form(open_page: Open) -> None:
    app = open_page("views/inside.py")
    assert "There are no runs yet" in words(app)
    assert [button.label for button in app.button] == ["Launch a run"]
