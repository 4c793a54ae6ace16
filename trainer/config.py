"""From a run's configuration to the objects it names; and what the catalogue and an estimate say of them."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from models import MODELS
from models.base import ModelSpec, Network, NetworkConfig, named_tensors
from models.bptt.omega import omega, recurrent_weights
from trainer.chance import chance_of, some_lengths
from trainer.checks import accelerators, check_after_building, check_before_building, check_device
from trainer.errors import ConfigError, errors_of, nearest, shortened
from trainer.idle import idle_in_run
from trainer.schema import (
    AnalysisConfig,
    Catalog,
    CatalogEntry,
    Chance,
    Estimate,
    FieldError,
    Letter,
    RunConfig,
    SettingError,
    TrainingConfig,
)
from trainer.scoring import as_learnt
from trainer.seeds import derived_seed
from trainer.tasks import TASKS
from trainer.tasks.base import Batch, Corpora, Tables, Task, TaskConfig, TaskSpec
from trainer.tbptt import next_start, windows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resolved:
    """A configuration's names turned into what they name; ``task`` is built, the network on request."""

    model_spec: ModelSpec
    model_config: NetworkConfig
    task_spec: TaskSpec
    task_config: TaskConfig
    task: Task
    seed: int
    corpora: Corpora
    tables: Tables | None

    def network(self) -> Network[Any]:
        """A network with fresh weights, the same for the same seed."""
        seed = derived_seed(self.seed, "weights")
        return self.model_spec.build(self.model_config, self.task.input_size, self.task.output_size, seed)

    @property
    def shortest(self) -> int:
        """The task's own length, from which training and tests go to longer ones."""
        return int(self.task_config.length)  # type: ignore[attr-defined]

    def chance(self, training: TrainingConfig) -> Chance:
        """What a blind guess would score in a run with these training settings."""
        trained = [self.task]
        if training.longest is not None:
            trained = [self.task_at(length) for length in some_lengths(self.shortest, training.longest)]
        return chance_of(self.task, trained, training.loss_at)

    def task_at(self, length: int) -> Task:
        """The task at another length than the configured one; only of a task that has the setting."""
        return self.task_spec.build(
            self.task_config.model_copy(update={"length": length}), self.corpora, self.tables
        )


def resolve(
    config: RunConfig, corpora: Corpora, tables: Tables | None = None, *, is_new: bool = False
) -> Resolved:
    """Check a configuration against the registries and build its task.

    Args:
        config: as it was sent.
        corpora: gives the text of a corpus by its id.
        tables: gives a table that was read before; without it, tables are read from their texts.
        is_new: refuse settings without effect too; runs that were stored before that was done go on.

    Raises:
        ConfigError: an unknown name or setting, a value out of range, a device that this machine lacks, or
            more memory than a run may take; nothing large is allocated before that is known.
    """
    found: list[FieldError] = []
    model = _entry("model", config.model, MODELS, found)
    task = _entry("task", config.task, TASKS, found)
    found += check_device(config)
    if model is None or task is None or found:
        raise ConfigError(found)
    (model_spec, model_config), (task_spec, task_config) = model, task
    if is_new and (idle := idle_in_run(catalog(), with_defaults(config))):
        raise ConfigError(idle)
    check_before_building(config, model_spec, model_config, task_spec, task_config)
    corpora = lru_cache(maxsize=1)(corpora)  # a task is built from the same text at each of its lengths
    tables = None if tables is None else lru_cache(maxsize=1)(tables)
    built = _build_task(task_spec, task_config, corpora, tables, is_new)
    check_after_building(config, model_spec, model_config, task_config, built)
    resolved = Resolved(
        model_spec=model_spec,
        model_config=model_config,
        task_spec=task_spec,
        task_config=task_config,
        task=built,
        seed=config.seed,
        corpora=corpora,
        tables=tables,
    )
    _check_other_lengths(config, resolved)
    return resolved


def _check_other_lengths(config: RunConfig, resolved: Resolved) -> None:
    """A file may be too short for the longer sequences of a run: that is told before, not hours later."""
    wanted = {
        "training.longest": config.training.longest,
        "analysis.test_lengths_to": config.analysis.test_lengths_to,
    }
    for field, longest in wanted.items():
        try:
            if longest is not None:
                resolved.task_at(longest)
        except SettingError as error:
            found = FieldError(field=field, value=longest, problem=error.problem, remedy=error.remedy)
            raise ConfigError([found]) from error


def _entry(
    section: str, given: dict[str, Any], registry: dict[str, Any], found: list[FieldError]
) -> tuple[Any, Any] | None:
    """The registry's entry that a section names, and its validated settings; errors go to ``found``."""
    name = given.get("name")
    if not isinstance(name, str) or name not in registry:
        found.append(
            FieldError(
                field=f"{section}.name",
                value=shortened(name),
                problem="is missing" if name is None else f"there is no {section} of this name",
                remedy=nearest(str(name or ""), registry),
            )
        )
        return None
    spec = registry[name]
    try:
        return spec, spec.config.model_validate({k: v for k, v in given.items() if k != "name"})
    except ValidationError as error:
        found.extend(errors_of(error, section, model=spec.config))
        return None


def _build_task(
    spec: TaskSpec, config: TaskConfig, corpora: Corpora, tables: Tables | None, is_new: bool
) -> Task:
    try:
        if is_new and spec.check_text is not None:
            corpus: str = config.corpus  # type: ignore[attr-defined]
            spec.check_text(corpus, corpora(corpus))
        return spec.build(config, corpora, tables)
    except LookupError as error:
        raise ConfigError(
            [
                FieldError(
                    field="task.corpus",
                    value=shortened(getattr(config, "corpus", None)),
                    problem="there is no corpus of this id",
                    remedy="choose one that GET /corpora lists, or upload the text first",
                )
            ]
        ) from error
    except SettingError as error:
        found = FieldError(
            field=f"task.{error.field}",
            value=shortened(error.value),
            problem=error.problem,
            remedy=error.remedy,
        )
        raise ConfigError([found]) from error


def default_name(config: RunConfig) -> str:
    """A name for a run that was given none: network, task, and the sizes that tell runs apart."""
    model = MODELS[config.model["name"]].title
    task = TASKS[config.task["name"]]
    settings = task.config.model_validate({k: v for k, v in config.task.items() if k != "name"})
    extent = "" if settings.extent is None else f" {settings.extent}"
    return f"{model} · {task.title.lower()}{extent}"


def with_defaults(config: RunConfig) -> RunConfig:
    """The configuration with every default written out: a stored run says all that it was run with."""
    filled = {}
    for section, registry in (("model", MODELS), ("task", TASKS)):
        given = getattr(config, section)
        spec: Any = registry[given["name"]]
        settings = spec.config.model_validate({k: v for k, v in given.items() if k != "name"})
        filled[section] = {"name": given["name"], **settings.model_dump(mode="json")}
    return config.model_copy(update=filled)


# --- Catalogue ---------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """All that can be launched, with the JSON Schema of its settings."""
    models = [
        CatalogEntry(
            name=name,
            title=spec.title,
            summary=spec.summary,
            group=spec.group,
            equations=spec.equations,
            source=spec.source,
            **_state_of(spec),
            letters={at: Letter(name=of.name, does=of.does) for at, of in spec.network.letters.items()},
            json_schema=_schema(spec.config),
        )
        for name, spec in MODELS.items()
    ]
    tasks = [
        CatalogEntry(
            name=name,
            title=spec.title,
            summary=spec.summary,
            group=spec.group,
            description=spec.description,
            source=spec.source,
            json_schema=_schema(spec.config),
            loss_kind=spec.task.loss_kind,
            loss_reason=spec.loss_reason,
            loss_unit=spec.task.loss_unit,
            error_unit=spec.task.error_unit,
            wrong_when=spec.wrong_when,
            streaming=spec.task.streaming,
            asks_once=spec.asks_once,
            solvable=spec.task.solvable,
            needs_corpus=spec.needs_corpus,
            needs_table=spec.needs_table,
            training_defaults=spec.defaults,
        )
        for name, spec in TASKS.items()
    ]
    return Catalog(
        models=models,
        tasks=tasks,
        training_schema=_schema(TrainingConfig),
        analysis_schema=_schema(AnalysisConfig),
        accelerators=list(accelerators()),
    )


def _state_of(spec: ModelSpec) -> dict[str, Any]:
    """What a network carries from one timestep to the next, and by which weights."""
    with torch.device("meta"):  # allocates nothing
        network = spec.network(spec.config(), 1, 1)
        fields = {name.partition("/")[0] for name, _ in named_tensors(network.initial_state(1))}
    return {
        "keeps_state": spec.keeps_state,
        "state_parts": len(fields),
        "recurrent_weights": bool(recurrent_weights(network)),
    }


def _schema(config: type[BaseModel]) -> dict[str, Any]:
    return config.model_json_schema()


# --- Estimate ----------------------------------------------------------------------------------------

_MEASURED_OPERATIONS = 2e8
"""Multiplications that a measurement may take: about a tenth of a second on one core."""
_MEASURED_SECONDS = 1.0
"""That it may take in all: a loop over timesteps costs most by their number, however small the network."""
_FIRST_TIMESTEPS = 64
"""Measured alone first, where there are more, to see how many of them fit into that."""
_REPEATS = 3


def estimate(config: RunConfig, corpora: Corpora, tables: Tables | None = None) -> Estimate:
    """What a run will cost, from a few updates measured here and now.

    Raises:
        ConfigError: as ``resolve``.
    """
    resolved = resolve(config, corpora, tables, is_new=True)
    key = config.model_copy(update={"seed": 0}).model_dump_json(exclude={"analysis"})
    measured = _measured(key, resolved)
    return Estimate(
        parameters=measured.parameters,
        multiplications_per_timestep=measured.multiplications,
        facts=measured.facts,
        seconds=measured.seconds * config.training.steps,
        chance=resolved.chance(config.training),
        input_size=resolved.task.input_size,
        output_size=resolved.task.output_size,
    )


class _Measured(NamedTuple):
    parameters: int
    multiplications: int
    """Per timestep."""
    facts: dict[str, str]
    seconds: float
    """Per update."""


_measurements: dict[str, _Measured] = {}
_measuring = threading.Lock()
"""One at a time: side by side they would disturb each other, and add up their memory."""


def _measured(key: str, resolved: Resolved) -> _Measured:
    with _measuring:
        if (known := _measurements.get(key)) is not None:
            return known
        if len(_measurements) > 500:
            _measurements.clear()
        training = RunConfig.model_validate(json.loads(key)).training
        network = resolved.network()
        _measurements[key] = measured = _Measured(
            parameters=sum(p.numel() for p in network.parameters()),
            multiplications=network.multiplications_per_timestep(),
            facts=network.facts(),
            seconds=_seconds_per_update(network, resolved, training),
        )
        return measured


def _seconds_per_update(network: Network[Any], resolved: Resolved, training: TrainingConfig) -> float:
    """Time forward and backward on as much of a batch as fits the budget; scale to an update's windows."""
    task = resolved.task
    if training.longest is not None:
        task = resolved.task_at((resolved.shortest + training.longest) // 2)
    one = as_learnt(task.draw_validation(1, torch.Generator().manual_seed(0)), training.loss_at)
    per_sequence = 3 * network.multiplications_per_timestep() * _REPEATS  # of one timestep
    rows = max(1, min(training.batch_size, int(_MEASURED_OPERATIONS / per_sequence)))
    most = max(1, int(_MEASURED_OPERATIONS / (per_sequence * rows)))
    timesteps = _timesteps_per_update(one, training)
    measured = max(1, min(one.length, int(timesteps), most))
    kind = torch.float64 if training.precision == "64" else torch.float32
    network = network.to(kind)
    inputs = torch.rand(
        rows, measured, task.input_size, generator=torch.Generator().manual_seed(0), dtype=kind
    )

    def seconds(x: Tensor) -> float:
        began = time.perf_counter()
        outputs, _ = network(x)
        torch.autograd.grad(outputs.square().mean(), list(network.parameters()), allow_unused=True)
        if training.omega is not None:
            omega(network, x, None, lambda made: made.square().mean())
        return time.perf_counter() - began

    if measured > _FIRST_TIMESTEPS:
        first = seconds(inputs[:, :_FIRST_TIMESTEPS]) / _FIRST_TIMESTEPS
        measured = max(_FIRST_TIMESTEPS, min(measured, int(_MEASURED_SECONDS / _REPEATS / first)))
    # The least: the others were disturbed, or paid for a first call.
    per_timestep = min(seconds(inputs[:, :measured]) for _ in range(_REPEATS)) / measured
    return per_timestep * timesteps * training.batch_size / rows


def _timesteps_per_update(batch: Batch, training: TrainingConfig) -> float:
    """Timesteps forward and backward for one update; those that only go forward count for a third.

    A window runs k2 timesteps for every k1 that it moves on. One without a scored output is run forward only,
    to where the next one starts, and does not count towards ``update_every``.
    """
    cut = windows(batch.length, training.k1, training.k2)
    work, scored = 0.0, 0
    for index, window in enumerate(cut):
        if batch.scored(window.begin, window.end) is not None:
            work, scored = work + window.end - window.start, scored + 1
        else:
            work += (next_start(cut, index, training.k1, training.k2, streaming=False) - window.start) / 3
    return work / scored * training.update_every
