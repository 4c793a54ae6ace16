"""What the launch form sends, by the real catalogue: never a setting that has no effect."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from dashboard.forms import Draft, Section, read_sections
from trainer.config import catalog, resolve
from trainer.corpora import builtin_corpora
from trainer.schema import RunConfig, properties

CATALOG = catalog()


def form(model: str, task: str, **changed: Any) -> dict[str, Section]:
    network = next(entry for entry in CATALOG.models if entry.name == model)
    chosen = next(entry for entry in CATALOG.tasks if entry.name == task)
    schemas = {
        "model": network.json_schema,
        "task": chosen.json_schema,
        "training": CATALOG.training_schema,
        "analysis": CATALOG.analysis_schema,
    }
    draft = Draft({name.replace("__", "."): value for name, value in changed.items()})
    return read_sections(schemas, draft, {**properties("model", network), **properties("task", chosen)})


EVERYTHING: dict[str, Any] = {
    "model__dropout": 0.5,
    "model__forget_gate": False,
    "model__forget_bias": 1.0,
    "model__teacher_forcing": True,
    "training__schedule_factor": 0.5,
    "training__schedule_every": 3,
    "training__momentum": 0.9,
    "training__clip": None,
    "training__clip_at": 3.0,
    "training__accumulate": "mean",
    "training__omega": 2.0,
    "training__carry_state": False,
    "training__loss_at": "last",
    "training__stop_when_solved": True,
    "analysis__every": None,
    "analysis__probe_size": 3,
}


@pytest.mark.parametrize(
    ("model", "task"),
    [
        *itertools.product([entry.name for entry in CATALOG.models], ["adding", "characters"]),
        *itertools.product(["jordan"], [entry.name for entry in CATALOG.tasks]),
    ],
)
def test_whatever_was_changed_the_service_takes_what_the_form_sends(model: str, task: str) -> None:
    """As after a change of network or task, which keeps the reader's own values in mind."""
    sent: dict[str, Any] = {name: dict(part.values) for name, part in form(model, task, **EVERYTHING).items()}
    sent["model"]["name"], sent["task"]["name"] = model, task
    config = RunConfig.model_validate(sent)
    resolve(config, lambda corpus_id: builtin_corpora()[corpus_id].text, is_new=True)


def test_a_setting_may_hang_on_another_section() -> None:
    def offers_teaching(**changed: Any) -> bool:
        fields = form("jordan", "adding", **changed)["model"].fields
        return "teacher_forcing" in [field.name for field in fields]

    assert not offers_teaching()
    assert offers_teaching(training__loss_at="all")


def test_only_choices_with_a_meaning_are_offered() -> None:
    def offered(task: str, **changed: Any) -> tuple[str, ...]:
        fields = form("lstm", task, **changed)["training"].fields
        return next(field.choices for field in fields if field.name == "loss_at")

    assert offered("adding") == offered("parity", task__scored="last") == ("task", "all")
    assert offered("characters") == offered("parity") == ("task", "last")
