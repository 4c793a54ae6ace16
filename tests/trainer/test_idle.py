"""Settings without effect are refused, by the rules of every schema; those refused have none, others do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import torch

from models import MODELS
from trainer.config import catalog, resolve
from trainer.corpora import builtin_corpora
from trainer.errors import ConfigError
from trainer.idle import idle_in_view
from trainer.inspection import VIEWS, view_entries
from trainer.schema import FieldError, RunConfig
from trainer.scoring import at_last
from trainer.tasks import TASKS
from trainer.tasks.base import Task
from trainer.worker import training_module

Settings = dict[str, dict[str, Any]]
"""By section."""
CATALOG = catalog()


def corpora(corpus_id: str) -> str:
    return builtin_corpora()[corpus_id].text


def config(given: Settings) -> RunConfig:
    return RunConfig.model_validate({"model": {"name": "lstm"}, "task": {"name": "adding"}, **given})


def refused(given: Settings) -> dict[str, FieldError]:
    """What a launch says of the settings, by field."""
    try:
        resolve(config(given), corpora, is_new=True)
    except ConfigError as error:
        return {found.field: found for found in error.errors}
    return {}


def changed(given: Settings, path: str, value: Any) -> Settings:
    section, _, name = path.partition(".")
    return {**given, section: {**given.get(section, {}), name: value}}


def other_value(name: str, part: Mapping[str, Any]) -> Any:
    """One that is allowed and not the default."""
    default = part.get("default")
    kinds = [k for k in part.get("anyOf", [part]) if k.get("type") != "null"]
    kind = kinds[0]
    if "enum" in kind:
        return next(choice for choice in reversed(kind["enum"]) if choice != default)
    if kind["type"] == "boolean":
        return not default
    if kind["type"] == "string":
        return {"units": "0", "state": "h/0", "target": "h/0"}.get(name, "the")
    low = kind.get("minimum", kind.get("exclusiveMinimum", 0))
    most = kind.get("maximum", kind.get("exclusiveMaximum"))
    step = kind.get("multipleOf", 1)
    if kind["type"] == "integer":
        value = (default + step) if default is not None else max(low, 60)
        return value if most is None or value <= most else default - step
    return default / 2 if default else (low + min(most, low + 1)) / 2 if most is not None else low + 0.5


def sections(given: Settings) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Path and schema of every setting that has a rule, of the chosen network, task, training, analysis."""
    model = next(e for e in CATALOG.models if e.name == given["model"]["name"])
    task = next(e for e in CATALOG.tasks if e.name == given["task"]["name"])
    for section, schema in (
        ("model", model.json_schema),
        ("task", task.json_schema),
        ("training", CATALOG.training_schema),
        ("analysis", CATALOG.analysis_schema),
    ):
        for name, part in schema["properties"].items():
            if "only_if" in part or "choice_if" in part:
                yield f"{section}.{name}", part


# What must hold for each setting, said once more in plain Python: from the networks and tasks themselves.


def carries(given: Settings) -> bool:
    return MODELS[given["model"]["name"]].keeps_state


def streams(given: Settings) -> bool:
    return TASKS[given["task"]["name"]].task.streaming


def has_length(given: Settings) -> bool:
    return "length" in TASKS[given["task"]["name"]].config.model_fields and not streams(given)


@cache
def built(name: str, scored: str | None) -> Task:
    given = {"name": name} if scored is None else {"name": name, "scored": scored}
    return resolve(config({"task": given}), corpora).task


def task_of(given: Settings) -> Task:
    return built(given["task"]["name"], given["task"].get("scored"))


def scored_more_than_once(given: Settings) -> bool:
    task = task_of(given)
    batch = task.draw_validation(2, torch.Generator().manual_seed(0))
    return at_last(batch).scored_count() < batch.scored_count()


def of(given: Settings, path: str, usual: Any) -> Any:
    section, _, name = path.partition(".")
    return given.get(section, {}).get(name, usual)


TRUTH: dict[str, Any] = {
    "model.dropout": lambda g: of(g, "model.layers", 2 if g["model"]["name"] == "lru" else 1) > 1,
    "model.forget_bias": lambda g: of(g, "model.forget_gate", True) is not False,
    "model.teacher_forcing": lambda g: {
        "task": scored_more_than_once(g),
        "all": True,
        "last": streams(g) and of(g, "training.carry_state", True),
    }[of(g, "training.loss_at", "task")],
    "training.schedule_factor": lambda g: of(g, "training.schedule", None) is not None,
    "training.schedule_every": lambda g: of(g, "training.schedule", None) == "step",
    "training.momentum": lambda g: of(g, "training.optimizer", "adam") in ("sgd", "rmsprop"),
    # A gradient that may travel back without limit from the one output at the end passes through all windows.
    "training.k1": lambda g: (
        carries(g)
        and (
            scored_more_than_once(g)
            or of(g, "training.k2", None) is not None
            or of(g, "training.loss_at", "task") == "all"
        )
    ),
    "training.k2": lambda g: carries(g) and of(g, "training.k1", None) is not None,
    "training.clip_at": lambda g: of(g, "training.clip", "norm") is not None,
    "training.accumulate": lambda g: (
        of(g, "training.update_every", 1) > 1 or (carries(g) and of(g, "training.k1", None) is not None)
    ),
    "training.omega": lambda g: any(
        role.startswith("Ws/")
        for role in MODELS[g["model"]["name"]]
        .network(MODELS[g["model"]["name"]].config(), 1, 1)
        .weight_roles()
    ),
    "training.carry_state": lambda g: streams(g) and carries(g),
    "training.longest": has_length,
    "training.stop_when_solved": lambda g: (
        resolve(config({"task": g["task"]}), corpora).task.is_solved(0, 9) is not None
    ),
    "analysis.every": carries,
    "analysis.probe_size": lambda g: carries(g) and of(g, "analysis.every", 50) is not None,
    "analysis.test_lengths_to": has_length,
}
LOSS_AT = {"last": scored_more_than_once, "all": lambda g: not scored_more_than_once(g)}

PLAIN: list[Settings] = [
    {"model": {"name": model}, "task": {"name": task}}
    for model, task in [
        *itertools.product(MODELS, ["adding"]),
        *itertools.product(["jordan"], TASKS),
        ("ffnn", "characters"),
        ("tdnn", "words"),
    ]
]
OTHERS: list[Settings] = [
    {"model": {"name": "lstm", "layers": 2}, "task": {"name": "adding"}},
    {"model": {"name": "lru", "layers": 1}, "task": {"name": "adding"}},
    {"model": {"name": "lstm", "forget_gate": False}, "task": {"name": "adding"}},
    {"model": {"name": "jordan"}, "task": {"name": "adding"}, "training": {"loss_at": "all"}},
    {"model": {"name": "jordan"}, "task": {"name": "characters"}, "training": {"loss_at": "last"}},
    {"model": {"name": "jordan"}, "task": {"name": "waves"}, "training": {"loss_at": "last"}},
    {"model": {"name": "jordan"}, "task": {"name": "parity", "scored": "last"}},
    *(
        {"model": {"name": "gru"}, "task": {"name": "adding"}, "training": training}
        for training in (
            {"schedule": "linear"},
            {"schedule": "step"},
            {"optimizer": "sgd"},
            {"optimizer": "rmsprop"},
            {"optimizer": "adamw"},
            {"k1": 7, "k2": 90},
            {"clip": None},
            {"clip": "value"},
            {"update_every": 2},
        )
    ),
    {"model": {"name": "gru"}, "task": {"name": "adding"}, "analysis": {"every": None}},
]


def words(given: Settings) -> str:
    return " ".join(f"{k}={v}" for part in given.values() for k, v in part.items())


def test_every_setting_with_a_rule_is_spoken_of_here() -> None:
    every = [{"model": {"name": m}, "task": {"name": t}} for m, t in itertools.product(MODELS, TASKS)]
    ruled = {path for given in every for path, _ in sections(given)}
    assert ruled == TRUTH.keys() | {"training.loss_at"}


@pytest.mark.parametrize("given", [*PLAIN, *OTHERS], ids=words)
def test_a_setting_is_refused_where_it_has_no_effect_and_only_there(given: Settings) -> None:
    assert refused(given) == {}, "defaults are never refused"
    for path, part in sections(given):
        values = list(LOSS_AT) if path == "training.loss_at" else [other_value(path, part)]
        for value in values:
            asked = changed(given, path, value)
            if path == "training.k2" and of(given, "training.k1", None) is None:
                continue  # refused by name already: k2 without k1
            acts = LOSS_AT[value](given) if path == "training.loss_at" else TRUTH[path](given)
            found = refused(asked)
            assert (path in found) == (not acts), f"{path}={value}: {found}"
            if path in found:
                assert found[path].value == value
                assert "no effect" in found[path].problem
                assert "leave it out" in found[path].remedy


def test_every_rule_is_seen_to_hold_and_to_fail_above() -> None:
    """So that none of them is spoken of in vain."""
    for path, truth in TRUTH.items():
        seen = {bool(truth(given)) for given in (*PLAIN, *OTHERS) if path in dict(sections(given))}
        assert seen == {True, False}, path


def test_what_is_refused_says_what_it_would_need() -> None:
    given: Settings = {"model": {"name": "ffnn"}, "training": {"momentum": 0.9, "k1": 4, "k2": 8}}
    found = refused(given)
    assert set(found) == {"training.momentum", "training.k1", "training.k2"}
    assert found["training.momentum"].problem.endswith("it acts only with optimizer sgd or rmsprop")
    assert found["training.momentum"].remedy.startswith("leave it out, so that it is 0.0")
    assert "a network that carries a state" in found["training.k1"].problem


def test_a_run_that_was_stored_with_such_a_setting_goes_on() -> None:
    """What resumes it, trains it and looks into it asks without ``is_new``."""
    resolve(config({"training": {"momentum": 0.9}}), corpora)


# --- That it is true ---------------------------------------------------------------------------------------


def trained(given: Settings, updates: int = 3) -> list[torch.Tensor]:
    """The weights after some updates."""
    made = config(
        {
            **given,
            "training": {
                "batch_size": 2,
                "accelerator": "cpu",
                **given.get("training", {}),
                "steps": updates,
            },
        }
    )
    torch.manual_seed(0)  # dropout draws from it
    resolved = resolve(made, corpora)
    module = training_module(resolved.network(), resolved, made, [])
    module.optimizers = lambda **_: module.configure_optimizers()  # type: ignore[method-assign]
    module.on_fit_start()
    module.network.train()
    while module.step < updates:
        module._update()
    return [parameter.detach().clone() for parameter in module.network.parameters()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return [p.shape for p in one] == [p.shape for p in other] and all(map(torch.equal, one, other))


def plainly(given: Settings, **training: Any) -> Settings:
    """By plain gradient descent: Adam takes no notice of how long a gradient is."""
    plain = {"optimizer": "sgd", "learning_rate": 0.1, "clip": None, **training}
    return {**given, "training": {**given.get("training", {}), **plain}}


SMALL: Settings = {"model": {"name": "lstm", "hidden_size": 4}, "task": {"name": "adding", "length": 10}}
JORDAN: Settings = {**SMALL, "model": {"name": "jordan", "hidden_size": 4}}
TEXT: Settings = {**SMALL, "task": {"name": "characters", "length": 10}}


@pytest.mark.parametrize(
    ("given", "path", "value"),
    [
        (SMALL, "model.dropout", 0.5),
        (changed(SMALL, "model.forget_gate", False), "model.forget_bias", -5.0),
        (JORDAN, "model.teacher_forcing", True),
        (
            {**JORDAN, "task": {"name": "waves", "length": 20}, "training": {"loss_at": "last"}},
            "model.teacher_forcing",
            True,
        ),
        (SMALL, "training.momentum", 0.9),
        (SMALL, "training.k1", 3),
        (SMALL, "training.schedule_factor", 0.7),
        (changed(SMALL, "training.schedule", "cosine"), "training.schedule_every", 1),
        (changed(SMALL, "training.clip", None), "training.clip_at", 1e-3),
        (SMALL, "training.carry_state", False),
        ({**TEXT, "model": {"name": "ffnn", "hidden_size": 4}}, "training.carry_state", False),
        (SMALL, "training.loss_at", "last"),
    ],
    ids=str,
)
def test_what_is_refused_changes_no_bit(given: Settings, path: str, value: Any) -> None:
    asked = changed(given, path, value)
    assert list(refused(asked)) == [path]
    assert same(trained(given), trained(asked))


def test_a_mean_over_one_window_is_its_sum() -> None:
    for given in (SMALL, TEXT, {**SMALL, "task": {"name": "reber"}}):
        for one, other in zip(
            trained(given), trained(changed(given, "training.accumulate", "mean")), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "path", "value"),
    [
        (changed(SMALL, "model.layers", 2), "model.dropout", 0.5),
        (SMALL, "model.forget_bias", -5.0),
        (changed(JORDAN, "training.loss_at", "all"), "model.teacher_forcing", True),
        ({**JORDAN, "task": {"name": "waves", "length": 20}}, "model.teacher_forcing", True),
        (
            {**JORDAN, "task": TEXT["task"], "training": {"loss_at": "last"}},
            "model.teacher_forcing",
            True,
        ),
        *(
            (changed(SMALL, "training.optimizer", name), "training.momentum", 0.9)
            for name in ("sgd", "rmsprop")
        ),
        (changed(SMALL, "training.schedule", "cosine"), "training.schedule_factor", 0.7),
        (
            {**SMALL, "training": {"schedule": "step", "schedule_every": 2}},
            "training.schedule_every",
            1,
        ),
        (plainly(SMALL, clip="norm"), "training.clip_at", 1e-3),
        (plainly(SMALL, clip="norm", clip_at=1e-3), "training.clip", "value"),
        (TEXT, "training.carry_state", False),
        (TEXT, "training.loss_at", "last"),
        (SMALL, "training.loss_at", "all"),
        (TEXT, "training.k1", 4),
        (changed(SMALL, "training.k1", 4), "training.k2", 5),
        (plainly(SMALL, update_every=2), "training.accumulate", "mean"),
        (plainly(TEXT, k1=4), "training.accumulate", "mean"),
        (SMALL, "training.omega", 4.0),
        (SMALL, "training.longest", 20),
        # those without a rule
        *(
            (SMALL, f"training.{name}", value)
            for name, value in {
                "batch_size": 3,
                "optimizer": "adamw",
                "learning_rate": 0.01,
                "schedule": "linear",
                "warmup_steps": 5,
                "weight_decay": 0.5,
                "update_every": 2,
                "gradient_noise": 0.1,
                "precision": "64",
            }.items()
        ),
    ],
    ids=str,
)
def test_what_is_not_refused_changes_the_training(given: Settings, path: str, value: Any) -> None:
    asked = changed(given, path, value)
    assert refused(asked) == {}
    assert not same(trained(given), trained(asked))


OF_NETWORKS = [
    (entry.name, name, other_value(name, part))
    for entry in CATALOG.models
    for name, part in entry.json_schema["properties"].items()
    if "only_if" not in part
]
STATEFUL = {"ring_min": 0.5, "ring_max": 0.95, "max_phase": 1.0, "spectral_radius": 0.5, "embedding_size": 3}


@pytest.mark.parametrize(("model", "name", "value"), OF_NETWORKS, ids=str)
def test_every_setting_of_a_network_without_a_rule_changes_it(model: str, name: str, value: Any) -> None:
    given: Settings = {**SMALL, "model": {"name": model, "hidden_size": 4}}
    asked = changed(given, f"model.{name}", STATEFUL.get(name, value))
    assert refused(asked) == {}
    assert not same(trained(given), trained(asked))


OF_TASKS = [
    (entry.name, name, other_value(name, part))
    for entry in CATALOG.tasks
    for name, part in entry.json_schema["properties"].items()
    if name not in ("corpus", "column")
]


@pytest.mark.parametrize(("task", "name", "value"), OF_TASKS, ids=str)
def test_every_setting_of_a_task_changes_what_is_learnt(task: str, name: str, value: Any) -> None:
    given: Settings = {**SMALL, "task": {"name": task}}
    asked = changed(given, f"task.{name}", value)
    assert refused(asked) == {}
    assert not same(trained(given, 1), trained(asked, 1))


# --- Views -------------------------------------------------------------------------------------------------

LOOKED_AT = {
    "text": config({"task": {"name": "characters"}}),
    "numbers": config({}),
    "one part": config({"model": {"name": "gru"}}),
    "no state": config({"model": {"name": "ffnn"}}),
    "unclipped": config({"training": {"clip": None}}),
    "truncated": config({"training": {"k1": 5}}),
}
VIEW_CASES: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("generate", "text", {"sequences": 3, "shown": 2}, ["sequences", "shown"]),
    ("generate", "text", {"prompt": "a", "length": 3, "temperature": 0.2, "top_k": 3, "top_p": 0.5}, []),
    ("generate", "text", {"temperature": 0.0, "top_k": 3, "top_p": 0.5}, ["top_k", "top_p"]),
    ("generate", "text", {"temperature": 0.0, "prompt": "a", "seed": 3}, ["seed"]),
    ("generate", "text", {"temperature": 0.0, "seed": 3}, []),
    (
        "generate",
        "numbers",
        {"prompt": "a", "length": 3, "temperature": 0.2, "top_k": 3, "top_p": 0.5},
        ["prompt", "length", "temperature", "top_k", "top_p"],
    ),
    ("generate", "numbers", {"sequences": 3, "shown": 2, "seed": 1}, []),
    ("gates", "text", {"text": "ab", "sequence": 2, "seed": 3}, ["sequence", "seed"]),
    ("gates", "numbers", {"text": "ab", "sequence": 2, "seed": 3}, ["text"]),
    ("gates", "numbers", {"sequence": 2, "seed": 3, "length": 7}, []),
    ("triangle", "numbers", {"paths": True}, []),
    ("triangle", "one part", {"paths": True}, ["paths"]),
    ("rewind", "numbers", {"clip": "norm", "clip_at": 0.5}, []),
    ("rewind", "numbers", {"clip": "as it was", "clip_at": 0.5}, []),
    ("rewind", "numbers", {"clip_at": 0.5}, ["clip_at"]),
    ("rewind", "numbers", {"clip": "off", "clip_at": 0.5}, ["clip_at"]),
    ("rewind", "unclipped", {"clip_at": 0.5}, []),
    ("rewind", "unclipped", {"clip": "as it was", "clip_at": 0.5}, ["clip_at"]),
    ("rewind", "numbers", {"k1": 3, "k2": 6}, []),
    ("rewind", "numbers", {"k2": 6}, ["k2"]),
    ("rewind", "truncated", {"k2": 6}, []),
    ("rewind", "no state", {"k1": 3, "k2": 6}, ["k1", "k2"]),
]


@pytest.mark.parametrize(("view", "run", "settings", "idle"), VIEW_CASES, ids=str)
def test_a_views_setting_is_refused_where_it_has_no_effect(
    view: str, run: str, settings: dict[str, Any], idle: list[str]
) -> None:
    whole = VIEWS[view].settings.model_validate(settings).model_dump(mode="json")
    schema = VIEWS[view].settings.model_json_schema()
    found = idle_in_view(CATALOG, schema, whole, LOOKED_AT[run])
    assert {error.field for error in found} == {f"settings.{name}" for name in idle}
    usual = VIEWS[view].settings().model_dump(mode="json")
    assert idle_in_view(CATALOG, schema, usual, LOOKED_AT[run]) == []


def test_every_rule_of_a_view_is_spoken_of_above() -> None:
    ruled = {
        (entry.name, name)
        for entry in view_entries()
        for name, part in entry.json_schema.get("properties", {}).items()
        if "only_if" in part
    }
    assert ruled == {(view, name) for view, _, _, idle in VIEW_CASES for name in idle}
