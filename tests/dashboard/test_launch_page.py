"""The launch form, as a user meets it: Streamlit's test runner before, a service on a real socket behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Open
from fake_service import FakeService, make_run
from streamlit.testing.v1 import AppTest

from dashboard.client import Client
from trainer.schema import Chance, RunConfig, RunState, TrainingConfig

VIEW = "views/launch.py"


def number(app: AppTest, path: str) -> Any:
    return next(w for w in app.number_input if w.key in (f"field:{path}", f"optional:{path}"))


def choose(app: AppTest, section: str, name: str) -> AppTest:
    return app.button(key=f"choose:{section}:{name}").click().run()


def words(app: AppTest) -> str:
    return "\n".join(element.value for element in [*app.markdown, *app.caption, *app.error, *app.warning])


def labels(app: AppTest) -> set[str]:
    return {w.label for w in [*app.number_input, *app.selectbox, *app.toggle, *app.text_input]}


def test_only_the_fields_of_the_chosen_network_are_there(open_page: Open) -> None:
    app = open_page(VIEW)
    assert "Nonlinearity" in labels(app), "the Elman network's own"
    choose(app, "model", "lstm")
    assert "Nonlinearity" not in labels(app)
    assert {"Hidden size", "Layers", "Length", "Learning rate", "Seed"} <= labels(app)


def test_defaults_come_from_the_schema_and_then_from_the_task(open_page: Open) -> None:
    app = open_page(VIEW)
    assert number(app, "training.learning_rate").value == 0.005, "adding's own"
    assert number(app, "training.batch_size").value == TrainingConfig().batch_size


def test_a_change_of_task_brings_its_defaults_and_keeps_what_the_user_changed(open_page: Open) -> None:
    app = open_page(VIEW)
    number(app, "training.steps").set_value(777).run()
    choose(app, "task", "temporal_order")
    assert number(app, "training.steps").value == 777
    assert number(app, "training.clip_at").value == 0.5
    assert number(app, "training.learning_rate").value == TrainingConfig().learning_rate
    choose(app, "task", "adding")
    assert number(app, "training.learning_rate").value == 0.005


def test_a_number_that_is_wiped_out_comes_back_as_its_default(open_page: Open) -> None:
    app = open_page(VIEW)
    number(app, "training.steps").set_value(777).run()
    number(app, "training.steps").set_value(None).run()
    assert number(app, "training.steps").value == 3000


def test_an_empty_optional_number_is_off(open_page: Open, fake: FakeService) -> None:
    app = open_page(VIEW)
    assert number(app, "training.k1").value is None
    assert number(app, "training.k1").placeholder == "off"
    number(app, "training.k1").set_value(7).run()
    number(app, "training.k1").set_value(None).run()
    app.button(key="launch.go").click().run()
    assert fake.launched[0].config.training.k1 is None


def test_what_is_launched_is_what_the_form_shows(open_page: Open, fake: FakeService) -> None:
    app = open_page(VIEW)
    choose(app, "model", "gru")
    number(app, "model.hidden_size").set_value(17).run()
    number(app, "task.length").set_value(23).run()
    number(app, "training.k1").set_value(5).run()
    number(app, "training.k2").set_value(9).run()
    app.selectbox(key="optional:training.clip").set_value(None).run()
    number(app, "seed").set_value(4).run()
    app.text_input(key="launch.name").set_value("**mine** $x$").run()
    app.button(key="launch.go").click().run()
    [launch] = fake.launched
    assert launch.name == "**mine** $x$"
    assert launch.config == RunConfig.model_validate(
        {
            "model": {"name": "gru", "hidden_size": 17, "layers": 1},
            "task": {"name": "adding", "length": 23},
            "training": {"steps": 3000, "learning_rate": 0.005, "k1": 5, "k2": 9, "clip": None},
            "seed": 4,
        }
    )


def test_a_setting_without_effect_is_hidden_and_sent_as_its_default(
    open_page: Open, fake: FakeService
) -> None:
    app = open_page(VIEW)
    assert "Reaching back, k2" not in labels(app)
    number(app, "training.k1").set_value(5).run()
    number(app, "training.k2").set_value(9).run()
    app.selectbox(key="field:training.optimizer").set_value("sgd").run()
    number(app, "training.momentum").set_value(0.9).run()
    app.selectbox(key="field:training.optimizer").set_value("adam").run()
    choose(app, "model", "ffnn")
    assert {"Backward every, k1", "Reaching back, k2", "Momentum"}.isdisjoint(labels(app))
    app.button(key="launch.go").click().run()
    training = fake.launched[0].config.training
    assert (training.k1, training.k2, training.momentum) == (None, None, 0.0)


def test_what_was_hidden_comes_back_with_the_users_value(open_page: Open) -> None:
    app = open_page(VIEW)
    number(app, "training.k1").set_value(5).run()
    number(app, "training.k2").set_value(9).run()
    choose(app, "model", "ffnn")
    choose(app, "model", "lstm")
    assert (number(app, "training.k1").value, number(app, "training.k2").value) == (5, 9)


def folds(app: AppTest) -> set[str]:
    return {expander.label for expander in app.expander}


def test_advanced_settings_fold_away_and_the_fold_counts_what_was_changed(open_page: Open) -> None:
    app = open_page(VIEW)
    assert folds(app) == {"More training settings", "What the run records"}, "nothing to fold elsewhere"
    number(app, "training.update_every").set_value(3).run()
    number(app, "training.weight_decay").set_value(0.1).run()
    assert "More training settings (2 changed)" in folds(app)
    number(app, "training.update_every").set_value(1).run()
    assert "More training settings (1 changed)" in folds(app)


def test_an_error_in_a_fold_is_named_outside_of_it(open_page: Open) -> None:
    app = open_page(VIEW)
    number(app, "training.update_every").set_value(0).run()
    assert "Windows per update, under More training settings" in words(app)
    assert beside(app, "training.update_every")


def test_what_the_reader_is_told_of_an_entry(open_page: Open) -> None:
    app = open_page(VIEW)
    told = words(app).replace("\\", "")
    assert "**Loss.** Squared error: the answer is a number." in told
    assert "Receptive field: **7 timesteps**" in told
    assert any("h_t &= " in element.value for element in app.latex)


def test_after_a_launch_the_run_is_shown(open_page: Open, fake: FakeService) -> None:
    app = open_page(VIEW)
    app.button(key="launch.go").click().run()
    [run_id] = fake.runs
    assert app.query_params["run"] == str(run_id)


def blocks(node: Any) -> Iterator[list[Any]]:
    """The children of every container of the page."""
    children = list(getattr(node, "children", {}).values())
    yield children
    for child in children:
        yield from blocks(child)


def beside(app: AppTest, path: str) -> str:
    """What is written in the container that holds a field's widget."""
    keys = (f"field:{path}", f"optional:{path}", path)
    [cell] = [c for c in blocks(app.main) if any(getattr(child, "key", None) in keys for child in c)]
    return "\n".join(child.value for child in cell if child.type == "markdown").replace("\\", "")


@pytest.mark.parametrize(
    ("changes", "path", "problem"),
    [
        ({"training.k1": 10, "training.k2": 5}, "training.k2", r"k2 is smaller than k1"),
        ({"model.hidden_size": 3000}, "model.hidden_size", "Set it to 2000 or less"),
    ],
    ids=["k2 under k1", "refused by the service"],
)
def test_an_error_stands_beside_its_field_and_nothing_is_launched(
    open_page: Open, fake: FakeService, changes: dict[str, int], path: str, problem: str
) -> None:
    app = open_page(VIEW)
    for field, value in changes.items():
        number(app, field).set_value(value).run()
    assert problem in beside(app, path)
    assert beside(app, "training.steps") == "", "and only there"
    app.button(key="launch.go").click().run()
    assert "Nothing was launched" in app.toast[0].value
    assert problem in beside(app, path)
    assert fake.launched == []


def test_a_launch_right_after_a_mended_mistake_is_one(open_page: Open, fake: FakeService) -> None:
    """Both come to the page in one message: the button may not still be the one that the mistake disabled."""
    app = open_page(VIEW)
    number(app, "model.hidden_size").set_value(3000).run()
    number(app, "model.hidden_size").set_value(16)
    app.button(key="launch.go").click().run()
    assert [launch.config.model["hidden_size"] for launch in fake.launched] == [16]


def test_a_name_with_html_is_refused_beside_the_name(open_page: Open, fake: FakeService) -> None:
    app = open_page(VIEW)
    app.text_input(key="launch.name").set_value("<b>mine</b>").run()
    assert "Leave out <, >" in beside(app, "launch.name")
    app.button(key="launch.go").click().run()
    assert fake.launched == []


def test_cost_and_chance_are_told_before_the_launch_and_asked_once(
    open_page: Open, fake: FakeService
) -> None:
    app = open_page(VIEW)
    assert [metric.value for metric in app.metric] == ["16,384", "≈ 42 s"]
    assert "A blind guess has a loss of **0.0417** (squared error) and **36%** wrong sequences" in words(app)
    app.text_input(key="launch.name").set_value("another name").run()
    assert fake.estimates == 1, "the name does not change what it costs"
    number(app, "model.hidden_size").set_value(8).run()
    assert fake.estimates == 2


def test_the_chance_of_a_task_with_fixed_data_says_of_which_it_is(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = Chance(loss=0.56, error=0.5, training_loss=0.51, held_back="the 256 strings held back")
    estimate = Client.estimate
    monkeypatch.setattr(
        Client, "estimate", lambda *given: estimate(*given).model_copy(update={"chance": chance})
    )
    told = words(open_page(VIEW))
    assert "a loss of **0.56** (squared error) (**0.51** in training) and **50%**" in told
    assert "on the 256 strings held back: that is chance level" in told


def test_a_text_is_chosen_where_the_task_needs_one(open_page: Open, fake: FakeService) -> None:
    app = open_page(VIEW)
    assert "Text" not in labels(app)
    choose(app, "task", "characters")
    assert "Text" in labels(app)
    assert "Corpus" not in labels(app), "once, not twice"
    app.button(key="launch.go").click().run()
    assert fake.launched[0].config.task == {"name": "characters", "length": 50, "corpus": "python-topics"}


def test_an_accelerator_that_the_machine_lacks_is_not_offered(open_page: Open) -> None:
    app = open_page(VIEW)
    assert app.selectbox(key="field:training.accelerator").options == ["Auto", "CPU"]


def test_launch_again_starts_from_that_runs_settings(open_page: Open, fake: FakeService) -> None:
    config = {
        "model": {"name": "gru", "hidden_size": 12, "layers": 2},
        "task": {"name": "temporal_order", "length": 33},
        "training": {"steps": 123, "clip": None, "k1": 3},
        "analysis": {"every": None},
        "seed": 9,
    }
    [run] = fake.add(
        make_run(1, name="**old** $x$", tags=["series"], config=RunConfig.model_validate(config))
    )
    app = open_page(VIEW, **{"from": str(run.id)})
    assert r"\*\*old\*\* \$x\$" in words(app), "a name is text"
    number(app, "training.steps").set_value(124).run()
    app.button(key="launch.go").click().run()
    [launch] = fake.launched
    assert launch.tags == ["series"]
    assert launch.config == RunConfig.model_validate(
        config | {"training": config["training"] | {"steps": 124}}
    )
    assert fake.runs[run.id].state is RunState.FINISHED


def test_back_to_defaults_forgets_every_change(open_page: Open, fake: FakeService) -> None:
    [run] = fake.add(make_run(1, tags=["series"]))
    app = open_page(VIEW, **{"from": str(run.id)})
    assert number(app, "model.hidden_size").value == 32
    next(b for b in app.button if b.label == "Back to defaults").click().run()
    assert number(app, "model.hidden_size").value == 64
    assert "from" not in app.query_params
    assert "Back to defaults" not in [b.label for b in app.button]


def test_launch_again_leaves_out_what_had_no_effect_and_says_so(open_page: Open, fake: FakeService) -> None:
    """A run of an older version may have such settings."""
    training = TrainingConfig(momentum=0.9, steps=77)
    run = make_run(92, config=RunConfig(model={"name": "lstm"}, task={"name": "adding"}, training=training))
    fake.runs[run.id] = run
    app = open_page(VIEW, **{"from": str(run.id)})
    assert "Left out, since it had no effect there: training\\.momentum 0\\.9" in words(app)
    app.button(key="launch.go").click().run()
    assert fake.launched[-1].config.training == TrainingConfig(steps=77)


def test_launch_again_from_a_deleted_run_says_so(open_page: Open) -> None:
    app = open_page(VIEW, **{"from": "not-an-id"})
    assert "not there any more" in words(app)
