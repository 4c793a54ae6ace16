"""Rules of when a setting has an effect, and what becomes of settings that have none."""

from __future__ import annotations

from typing import Any

import pytest

from trainer.schema import holds, is_open, settle, without_effect


@pytest.mark.parametrize(
    ("rule", "known", "expected"),
    [
        ({"clip": True}, {"training.clip": "norm"}, True),
        ({"clip": True}, {"training.clip": None}, False),
        ({"clip": True}, {"training.clip": False}, False),
        ({"clip": True}, {"training.clip": 0}, True),
        ({"text": False}, {"training.text": ""}, True),
        ({"task.length": True}, {"task.length": 50}, True),
        ({"task.length": True}, {}, False),
        ({"task.streaming": False}, {"task.streaming": False}, True),
        ({"task.streaming": False}, {"task.streaming": True}, False),
        ({"optimizer": ["sgd", "rmsprop"]}, {"training.optimizer": "sgd"}, True),
        ({"optimizer": ["sgd", "rmsprop"]}, {"training.optimizer": "adam"}, False),
        ({"optimizer": ["sgd"]}, {"model.optimizer": "sgd", "optimizer": "sgd"}, False),
        ({"a": True, "b": [2]}, {"training.a": 1, "training.b": 2}, True),
        ({"a": True, "b": [2]}, {"training.a": 1, "training.b": 3}, False),
        ({"every": {"above": 1}}, {"training.every": 2}, True),
        ({"every": {"above": 1}}, {"training.every": 1}, False),
        ({"every": {"above": 1}}, {"training.every": None}, False),
        ([{"a": True}, {"b": True}], {"training.b": 1}, True),
        ([{"a": True}, {"b": True}], {"training.c": 1}, False),
        ({"task.asks_once": True}, {"task.asks_once": {"scored": ["last"]}, "task.scored": "last"}, True),
        ({"task.asks_once": False}, {"task.asks_once": {"scored": ["last"]}, "task.scored": "every"}, True),
    ],
)
def test_a_rule_holds_where_all_conditions_of_one_alternative_do(
    rule: Any, known: dict[str, Any], expected: bool
) -> None:
    assert holds(rule, known, "training") is expected


def conditional(**rules: Any) -> dict[str, dict[str, Any]]:
    return {f"training.{name}": {"default": 1, "only_if": rule} for name, rule in rules.items()}


def test_what_hangs_on_a_setting_without_effect_has_none_either() -> None:
    """And each goes back to its default, whatever the order in which they stand."""
    schemas = conditional(c={"b": [7]}, b={"a": [8]}, a={"model.keeps_state": True})
    values = {"training.a": 8, "training.b": 7, "training.c": 6}
    assert settle(schemas, values, {"model.keeps_state": True}) == (values, set())
    assert settle(schemas, values, {"model.keeps_state": False}) == (dict.fromkeys(values, 1), set(values))
    assert without_effect(schemas, values, {"model.keeps_state": False}) == values
    assert without_effect(schemas, dict.fromkeys(values, 1), {"model.keeps_state": False}) == {}


def test_a_setting_that_another_without_effect_put_out_of_use_has_its_effect_back() -> None:
    """A typed text takes the place of a chosen sequence, but not where the task reads no text."""
    schemas = conditional(text={"task.text": True}, sequence={"text": False})
    schemas["training.text"]["default"] = None
    values = {"training.text": "abc", "training.sequence": 3}
    assert settle(schemas, values, {"task.text": True})[1] == {"training.sequence"}
    assert settle(schemas, values, {"task.text": False}) == (
        {"training.text": None, "training.sequence": 3},
        {"training.text"},
    )


def test_a_choice_without_meaning_goes_back_to_the_default_and_others_stay() -> None:
    schema = {"default": "task", "choice_if": {"last": {"task.asks_once": False}}}
    for choice, once, left in (("last", True, "task"), ("last", False, "last"), ("all", True, "all")):
        known = {"task.asks_once": once}
        found, idle = settle({"training.at": schema}, {"training.at": choice}, known)
        assert (found, idle) == ({"training.at": left}, set())
        assert is_open("training.at", schema, choice, known) is (left == choice)
