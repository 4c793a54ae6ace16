"""JSON Schema to fields: names, bounds, steps, defaults; and errors back to their fields."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Rule

from dashboard.fields import (
    choice_label,
    error_path,
    errors_of,
    label_of,
    read_fields,
    sentence,
)
from trainer.schema import AnalysisConfig, FieldError, Launch, TrainingConfig


class Settings(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    hidden_size: int = Rule(default=64, ge=1, le=4096)
    """Units in each layer."""
    learning_rate: float = Rule(default=0.001, gt=0, le=10)
    share: float = Rule(default=0.5, ge=0, lt=1)
    every: int | None = Rule(default=None, ge=1, title="Record every (updates)")
    """Updates between two recordings; empty records none."""
    kind: Literal["tanh", "relu"] = "tanh"
    clip: Literal["norm", "value"] | None = "norm"
    quick: bool = False
    corpus: str = "python"


FIELDS = {field.name: field for field in read_fields(Settings.model_json_schema(), "model")}


def test_each_kind_of_property_becomes_its_kind_of_field() -> None:
    kinds = {name: (field.kind, field.nullable) for name, field in FIELDS.items()}
    assert kinds == {
        "hidden_size": ("integer", False),
        "learning_rate": ("number", False),
        "share": ("number", False),
        "every": ("integer", True),
        "kind": ("choice", False),
        "clip": ("choice", True),
        "quick": ("boolean", False),
        "corpus": ("text", False),
    }
    assert FIELDS["clip"].choices == ("norm", "value")
    assert FIELDS["hidden_size"].path == "model.hidden_size"
    assert FIELDS["hidden_size"].help == "Units in each layer."


def test_labels_read_as_words_and_a_title_given_by_hand_stands() -> None:
    assert label_of("learning_rate", "Learning Rate") == "Learning rate"
    assert FIELDS["every"].label == "Record every (updates)"
    assert FIELDS["every"].when_empty == "records none"
    assert choice_label("sgd") == "SGD"
    assert choice_label(None) == "Off"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("hidden_size", 64, "64"),
        ("hidden_size", 10**9, 64.5),
        ("learning_rate", 0, None),
        ("learning_rate", 1e-6, float("nan")),
        ("every", None, 0.5),
        ("kind", "relu", "sine"),
        ("quick", True, 1),
        ("hidden_size", 1, True),
        ("corpus", "x", None),
    ],
)
def test_a_field_accepts_what_its_widget_can_show(name: str, good: object, bad: object) -> None:
    assert FIELDS[name].accepts(good)
    assert not FIELDS[name].accepts(bad)


def test_an_emptied_text_is_none_where_the_setting_has_none() -> None:
    parts = {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "b": {"type": "string"}}
    nullable, text = read_fields({"properties": parts})
    assert [nullable.read(""), nullable.read(" "), nullable.read(None), text.read("")] == [
        None,
        " ",
        None,
        "",
    ]


def test_folded_topics_and_words_for_choices_come_from_the_schema() -> None:
    part = {"enum": ["task", "last"], "default": "task", "advanced": True, "topic": "Loss"}
    [field] = read_fields({"properties": {"at": part | {"labels": {"task": "What the task scores"}}}})
    assert (field.advanced, field.topic) == (True, "Loss")
    assert [field.choice_label(c) for c in (None, "task", "last")] == ["Off", "What the task scores", "Last"]
    assert not FIELDS["kind"].advanced


def test_a_press_of_plus_is_a_sensible_amount() -> None:
    training = {field.name: field.step for field in read_fields(TrainingConfig.model_json_schema())}
    assert (training["steps"], training["batch_size"], training["learning_rate"]) == (100, 1, 0.001)


def test_a_reference_to_a_definition_is_followed() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/A", "default": "x"}},
        "$defs": {"A": {"enum": ["x", "y"]}},
    }
    [field] = read_fields(schema)
    assert (field.path, field.kind, field.choices, field.default) == ("a", "choice", ("x", "y"), "x")


def test_a_property_that_no_widget_can_show_is_named() -> None:
    with pytest.raises(ValueError, match=r"model\.size: 2 types"):
        read_fields({"properties": {"size": {"anyOf": [{"type": "integer"}, {"type": "string"}]}}}, "model")


@pytest.mark.parametrize("config", [TrainingConfig, AnalysisConfig])
def test_every_setting_of_a_run_has_a_field_with_a_default_it_accepts(config: type[BaseModel]) -> None:
    fields = read_fields(config.model_json_schema(), "training")
    assert {field.name for field in fields} == set(config.model_fields)
    for field in fields:
        assert field.accepts(field.default), field.path
        assert field.help, field.path


def test_errors_found_here_name_field_problem_and_remedy() -> None:
    config = {"model": {}, "task": {}, "training": {"k1": 10, "k2": 5, "steps": 10}}
    with pytest.raises(ValidationError) as caught:
        Launch.model_validate({"config": config})
    [error] = errors_of(caught.value)
    assert error_path(error.field) == "training.k2"
    assert error.value == 5
    assert sentence(error).startswith(
        "k2 is smaller than k1 = 10: some losses would reach no weight. Set k2 to 10"
    )
    with pytest.raises(ValidationError) as caught:
        Launch.model_validate({"config": config | {"training": {"steps": 0}}})
    [error] = errors_of(caught.value)
    assert error_path(error.field) == "training.steps"


def test_an_error_reads_as_sentences() -> None:
    error = FieldError(field="x", problem="needs 3 GB", remedy="set it to 2000 or less.")
    assert sentence(error) == "Needs 3 GB. Set it to 2000 or less."
    error = FieldError(field="x", problem="k2 is too small", remedy="write, say, 0, 3")
    assert sentence(error) == "k2 is too small. Write, say, 0, 3."
