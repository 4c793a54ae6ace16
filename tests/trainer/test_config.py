"""Configurations: what is accepted, what is refused and in which words, and what is told about them."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
import torch
from pydantic import BaseModel, ValidationError

from trainer import checks, memory
from trainer.checks import accelerators
from trainer.config import (
    _seconds_per_update,
    _timesteps_per_update,
    catalog,
    default_name,
    estimate,
    resolve,
    with_defaults,
)
from trainer.corpora import builtin_corpora
from trainer.errors import ConfigError, errors_of
from trainer.inspection import VIEWS
from trainer.schema import FieldError, Launch, RunConfig, RunPatch, TrainingConfig


def corpora(corpus_id: str) -> str:
    return builtin_corpora()[corpus_id].text


def config(**given: Any) -> RunConfig:
    return RunConfig(**{"model": {"name": "lstm"}, "task": {"name": "adding"}, **given})


@pytest.fixture(autouse=True)
def _a_machine_of_4_gib_for_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "limit", lambda: 4 * 2**30)


def refusal(made: RunConfig) -> list[FieldError]:
    with pytest.raises(ConfigError) as caught:
        resolve(made, corpora)
    return caught.value.errors


@pytest.mark.parametrize(
    ("given", "field", "remedy"),
    [
        ({"model": {"name": "lsmt"}}, "model.name", "did you mean lstm?"),
        ({"model": {"name": ["lstm"]}}, "model.name", "lstm"),
        ({"model": {}}, "model.name", "choose one of"),
        ({"task": {"name": "os.system"}}, "task.name", "choose one of"),
        ({"model": {"name": "lstm", "hiden_size": 3}}, "model.hiden_size", "did you mean hidden_size?"),
        ({"model": {"name": "lstm", "hidden_size": 10**9}}, "model.hidden_size", "at most"),
        ({"model": {"name": "lstm", "hidden_size": 0}}, "model.hidden_size", "at least 1"),
        ({"model": {"name": "lstm", "hidden_size": "many"}}, "model.hidden_size", "whole number"),
        ({"task": {"name": "adding", "length": 10**12}}, "task.length", "at most"),
        (
            {"task": {"name": "series", "length": 20}, "training": {"longest": 63}},
            "training.longest",
            "a length of 62 or less",
        ),
        (
            {"task": {"name": "series", "length": 20}, "analysis": {"test_lengths_to": 500}},
            "analysis.test_lengths_to",
            "a length of 62 or less",
        ),
        ({"task": {"name": "characters", "corpus": "absent"}}, "task.corpus", "GET /corpora"),
        ({"task": {"name": "characters", "corpus": "../../etc/passwd"}}, "task.corpus", "GET /corpora"),
    ],
)
def test_a_bad_setting_is_refused_with_its_field_and_what_to_do(
    given: dict[str, Any], field: str, remedy: str
) -> None:
    (error,) = refusal(config(**given))
    assert error.field == field
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("given", "field", "problem"),
    [
        (
            {"model": {"name": "ffnn"}, "training": {"omega": 4}},
            "training.omega",
            "no state-to-state weights",
        ),
        (
            {"model": {"name": "tdnn"}, "training": {"omega": 4}},
            "training.omega",
            "no state-to-state weights",
        ),
        ({"task": {"name": "characters"}, "training": {"longest": 500}}, "training.longest", "long stream"),
        ({"task": {"name": "digits"}, "training": {"longest": 500}}, "training.longest", "no setting length"),
        ({"training": {"longest": 49}}, "training.longest", "less than the task's own length, 50"),
        ({"training": {"longest": 10**6}}, "training.longest", "too large"),
        (
            {"task": {"name": "characters"}, "analysis": {"test_lengths_to": 500}},
            "analysis.test_lengths_to",
            "long stream",
        ),
        ({"analysis": {"test_lengths_to": 49}}, "analysis.test_lengths_to", "less than"),
        (
            {"task": {"name": "characters"}, "training": {"loss_at": "all"}},
            "training.loss_at",
            "more than once",
        ),
    ],
)
def test_a_training_control_without_meaning_is_refused_with_a_remedy(
    given: dict[str, Any], field: str, problem: str
) -> None:
    (error,) = refusal(config(**given))
    assert error.field == field
    assert problem in error.problem
    assert error.remedy


@pytest.mark.parametrize(("accelerator", "refused"), [("mps", True), ("auto", True), ("cpu", False)])
def test_64_bits_are_refused_where_the_device_has_none(
    monkeypatch: pytest.MonkeyPatch, accelerator: str, refused: bool
) -> None:
    """Of cpu and mps, auto takes mps."""
    monkeypatch.setattr(checks, "accelerators", lambda: ("cpu", "mps"))
    asked = config(training={"accelerator": accelerator, "precision": 64})
    if refused:
        (error,) = refusal(asked)
        assert error.field == "training.precision"
        assert "cpu" in error.remedy
    else:
        resolve(asked, corpora)


def test_what_is_too_large_by_its_settings_alone_is_refused_before_a_corpus_is_read() -> None:
    def unread(corpus_id: str) -> str:
        raise AssertionError(corpus_id)

    for given in (
        {"model": {"name": "lstm", "hidden_size": 2048, "layers": 8}},
        {"model": {"name": "lstm", "hidden_size": 2048}, "training": {"batch_size": 4096}},
        {"model": {"name": "ffnn"}, "training": {"omega": 4}},
    ):
        with pytest.raises(ConfigError):
            resolve(config(**{"task": {"name": "characters", "length": 2000}, **given}), unread)


def test_memory_counts_the_longest_training_length_and_64_bits() -> None:
    fits = {"model": {"name": "lstm", "hidden_size": 512}, "training": {"batch_size": 512}}
    resolve(config(**fits), corpora)
    for more in ({"longest": 2000}, {"batch_size": 1500, "precision": "64"}):
        (error,) = refusal(config(**{**fits, "training": {**fits["training"], **more}}))
        assert error.field == "training.batch_size"
    resolve(config(**{**fits, "training": {"batch_size": 1500}}), corpora)


def test_a_run_may_take_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"model": {"name": "lstm", "hidden_size": 512}, "training": {"batch_size": 4000}}
    (error,) = refusal(config(**given))
    assert error.problem.endswith("GiB of memory; a run may take 4.0")
    monkeypatch.setattr(memory, "limit", lambda: 21 * 2**30)
    resolve(config(**given), corpora)
    (error,) = refusal(config(**given, task={"name": "adding", "length": 500}))
    assert error.problem.endswith("GiB of memory; a run may take 21.0")


@pytest.mark.parametrize(
    ("given", "smaller"),
    [
        (
            {
                "model": {"name": "elman", "hidden_size": 1, "embedding_size": 1024},
                "training": {"batch_size": 1000},
            },
            {"model": {"name": "elman", "hidden_size": 1}},
        ),
        (
            {"model": {"name": "gru", "hidden_size": 128}, "training": {"batch_size": 512, "omega": 1}},
            {"training": {"batch_size": 512}},
        ),
        (
            {
                "model": {"name": "tdnn", "delays": 256, "hidden_size": 4},
                "task": {"name": "words", "vocabulary": 2000, "length": 2},
                "training": {"batch_size": 2000},
            },
            {"model": {"name": "tdnn", "delays": 2, "hidden_size": 4}},
        ),
    ],
    ids=["embedding", "omega", "delay lines"],
)
def test_memory_counts_what_lies_beside_the_hidden_state(
    given: dict[str, Any], smaller: dict[str, Any]
) -> None:
    """Embedded inputs (an LSTM takes 6 copies), Ω's graph (a GRU's 46 states), the inputs on a line."""
    whole = {"task": {"name": "adding", "length": 1000}, **given}
    (error,) = refusal(config(**whole))
    assert error.field == "training.batch_size"
    assert "GiB" in error.problem
    resolve(config(**{**whole, **smaller}), corpora)


def test_the_probe_of_a_network_with_long_delay_lines_is_refused_by_its_own_name() -> None:
    """The gradient of all that stands on the lines is taken at every timestep."""
    given = {
        "model": {"name": "tdnn", "delays": 256, "hidden_size": 4},
        "task": {"name": "random_permutation", "length": 500},
        "training": {"batch_size": 8},
    }
    (error,) = refusal(config(**given, analysis={"probe_size": 64}))
    assert error.field == "analysis.probe_size"
    resolve(config(**given, analysis={"every": None}), corpora)


def test_all_bad_settings_are_named_at_once() -> None:
    errors = refusal(config(model={"name": "gru", "hidden_size": -1, "wings": 2}, task={"name": "flying"}))
    assert {e.field for e in errors} == {"model.hidden_size", "model.wings", "task.name"}


def test_an_absent_device_is_refused_with_those_that_are_there() -> None:
    absent = next(name for name in ("mps", "gpu") if name not in accelerators())
    (error,) = refusal(config(training={"accelerator": absent}))
    assert error.field == "training.accelerator"
    assert "cpu" in error.remedy


def test_what_would_not_fit_in_memory_is_refused_and_nothing_of_that_size_allocated() -> None:
    """Each number is within its own bounds; together they are not."""
    tracemalloc.start()
    try:
        (error,) = refusal(
            config(
                model={"name": "lstm", "hidden_size": 2048, "layers": 8},
                task={"name": "adding", "length": 5000},
                training={"batch_size": 4096},
            )
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.field == "training.batch_size"
    assert "GiB" in error.problem
    assert peak < 50 * 2**20


@pytest.mark.parametrize(
    ("training", "field", "remedy"),
    [
        ({"k1": 10, "k2": 5}, "config.training.k2", "set k2 to 10 or more"),
        ({"k2": 5}, "config.training.k2", "set k1 as well"),
        ({"learning_rate": float("nan")}, "config.training.learning_rate", ""),
        ({"learning_rate": -1}, "config.training.learning_rate", "more than 0"),
        ({"optimizer": "adma"}, "config.training.optimizer", "'adam'"),
        ({"stepps": 3}, "config.training.stepps", "did you mean steps?"),
        ({"steps": 1.5}, "config.training.steps", "whole number"),
    ],
)
def test_errors_of_the_request_itself_are_retold_in_the_same_way(
    training: dict[str, Any], field: str, remedy: str
) -> None:
    body = {"config": {"model": {"name": "lstm"}, "task": {"name": "adding"}, "training": training}}
    with pytest.raises(ValidationError) as caught:
        Launch.model_validate(body)
    (error,) = errors_of(caught.value, model=Launch)
    assert error.field == field
    assert remedy in error.remedy


def test_a_text_of_another_form_than_expected_is_told_which_one_is() -> None:
    def told(model: type[BaseModel], **settings: object) -> tuple[str, str, str]:
        with pytest.raises(ValidationError) as caught:
            model.model_validate(settings)
        (error,) = errors_of(caught.value, model=model)
        return error.field, error.problem, error.remedy

    form = "is not written as it should be"
    assert told(VIEWS["surgery"].settings, units="all") == ("units", form, "write, say, 0, 3, 8-11")
    field, problem, remedy = told(VIEWS["places"].settings, state="h")
    assert (field, problem) == ("state", form)
    assert "a slash and its layer" in remedy
    assert told(RunPatch, name="<b>")[2].startswith("leave out <, >")


def test_the_catalogue_describes_each_entry_and_each_setting() -> None:
    listed = catalog()
    for entry in (*listed.models, *listed.tasks):
        assert entry.title
        assert entry.summary
        assert entry.source
        for name, setting in entry.json_schema["properties"].items():
            assert setting.get("description"), f"{entry.name}.{name} has no help text"
    for schema in (listed.training_schema, listed.analysis_schema):
        assert all(setting.get("description") for setting in schema["properties"].values())


def test_every_tasks_own_defaults_make_a_valid_run() -> None:
    for entry in catalog().tasks:
        made = config(task={"name": entry.name}, training=entry.training_defaults)
        assert resolve(made, corpora).task.input_size > 0


def test_an_estimate_counts_parameters_and_multiplications() -> None:
    told = estimate(config(model={"name": "lstm", "hidden_size": 10}), corpora)
    assert told.parameters == 4 * (10 * 2 + 10 * 10 + 10 + 10) + 10 + 1
    assert told.multiplications_per_timestep == 4 * (10 * 2 + 10 * 10) + 10
    assert told.chance.loss == pytest.approx(1 / 24)
    assert told.seconds > 0


def test_an_estimate_tells_what_a_network_says_of_itself() -> None:
    made = config(model={"name": "tdnn"})
    told = estimate(made, corpora)
    assert told.facts == resolve(made, corpora).network().facts() != {}
    assert estimate(config(), corpora).facts == resolve(config(), corpora).network().facts()


def test_an_estimate_measures_omega_and_64_bits_with_the_rest() -> None:
    for training in ({"omega": 4}, {"precision": "64", "omega": 4}, {"longest": 500}, {"loss_at": "all"}):
        assert estimate(config(training=training), corpora).seconds > 0


def test_an_estimate_grows_with_the_number_of_steps() -> None:
    one = estimate(config(training={"steps": 100}), corpora)
    ten = estimate(config(training={"steps": 1000}), corpora)
    assert ten.seconds > one.seconds


def test_a_network_whose_checkpoint_could_not_be_stored_is_refused() -> None:
    """A report may be 512 MiB, and a worker whose report is refused has lost its work."""
    (error,) = refusal(config(model={"name": "lstm", "hidden_size": 2048, "layers": 2}))
    assert error.field == "model.hidden_size"
    assert "checkpoint" in error.problem
    resolve(config(model={"name": "lstm", "hidden_size": 2048, "layers": 1}), corpora)


def test_a_probe_batch_that_would_not_fit_in_memory_is_refused_by_its_own_name() -> None:
    large = {"model": {"name": "lstm", "hidden_size": 1024}, "task": {"name": "adding", "length": 5000}}
    (error,) = refusal(config(**large, training={"batch_size": 1}, analysis={"probe_size": 256}))
    assert error.field == "analysis.probe_size"
    resolve(config(**large, training={"batch_size": 1}, analysis={"probe_size": 256, "every": None}), corpora)


@pytest.mark.parametrize(
    ("training", "timesteps"),
    [
        ({}, 100),
        ({"k1": 10, "k2": 10}, 90 / 3 + 10),  # nine windows go forward only
        ({"k1": 10, "k2": 30}, 70 / 3 + 30),
        ({"k1": 10, "k2": 10, "update_every": 2}, 2 * (90 / 3 + 10)),
        ({"k1": 10}, 100),  # the last window runs back to the start
    ],
)
def test_an_estimate_counts_the_timesteps_of_one_update(training: dict[str, Any], timesteps: float) -> None:
    """Of a task that scores its last output alone; going forward only is a third of the work."""
    task = resolve(config(task={"name": "temporal_order", "length": 100}), corpora).task
    batch = task.draw(1, torch.Generator().manual_seed(0))
    assert _timesteps_per_update(batch, TrainingConfig(**training)) == pytest.approx(timesteps)


def test_an_estimate_of_a_large_batch_measures_a_part_of_it() -> None:
    """4,096 sequences at 1,024 units would take seconds, for each change in the form."""
    made = config(
        model={"name": "lstm", "hidden_size": 1024},
        task={"name": "adding", "length": 10},
        training={"batch_size": 4096},
    )
    seen: list[int] = []
    resolved = resolve(made, corpora)
    network = resolved.network()
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[0] * given[0].shape[1]))
    assert _seconds_per_update(network, resolved, made.training) > 0
    assert max(seen) * network.multiplications_per_timestep() < 1e9


def test_an_estimate_of_a_long_loop_measures_its_first_timesteps(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 timesteps of 8 layers of the smallest sLSTM take half a minute, of which weights tell nothing."""

    def longest(name: str) -> int:
        seen: list[int] = []
        made = config(
            model={"name": name, "hidden_size": 2, "layers": 1},
            task={"name": "parity", "length": 300},
            training={"batch_size": 1},
        )
        resolved = resolve(made, corpora)
        network = resolved.network()
        network.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
        assert _seconds_per_update(network, resolved, made.training) > 0
        return max(seen)

    assert longest("lru") == 300
    monkeypatch.setattr("trainer.config._MEASURED_SECONDS", 0.001)
    assert longest("slstm") == 64


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    def weights(seed: int) -> list[float]:
        return next(resolve(config(seed=seed), corpora).network().parameters()).flatten().tolist()

    assert weights(1) == weights(1) != weights(2)


def test_a_stored_configuration_says_all_that_it_was_run_with() -> None:
    whole = with_defaults(config())
    assert whole.model["hidden_size"] == 64
    assert whole.task["length"] == 50
    assert with_defaults(whole) == whole


def test_a_name_is_made_from_network_and_task() -> None:
    assert default_name(config()) == "LSTM · adding 50"
    echo = {"name": "echo", "lag": 7, "length": 30}
    assert default_name(config(task=echo)) == "LSTM · delayed echo 7"
