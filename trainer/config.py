"""From a run's configuration to the objects it names; and what the catalogue and an estimate say of them."""

from __future__ import annotations

import dataclasses
import json
import time
from functools import lru_cache
from typing import Any

import torch
from pydantic import BaseModel, ValidationError

from models import MODELS
from models.base import ModelSpec, Network, NetworkConfig
from trainer.errors import ConfigError, errors_of, nearest, shortened
from trainer.schema import (
    AnalysisConfig,
    Catalog,
    CatalogEntry,
    Estimate,
    FieldError,
    RunConfig,
    SettingError,
    TrainingConfig,
)
from trainer.seeds import derived_seed
from trainer.tasks import TASKS
from trainer.tasks.base import Corpora, Task, TaskConfig, TaskSpec

MEMORY_LIMIT = 4 * 2**30
"""Bytes that one run may need, by our estimate."""
_COPIES_OF_WEIGHTS = 4
"""Weights, gradients and two moments of Adam."""
_COPIES_OF_STATES = 12
"""Of each (B, T, H) state in a forward and backward pass: gates, their inputs, and their gradients."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resolved:
    """A configuration's names turned into what they name; ``task`` is built, the network on request."""

    model_spec: ModelSpec
    model_config: NetworkConfig
    task_spec: TaskSpec
    task_config: TaskConfig
    task: Task
    seed: int

    def network(self) -> Network[Any]:
        """A network with fresh weights, the same for the same seed."""
        seed = derived_seed(self.seed, "weights")
        return self.model_spec.build(self.model_config, self.task.input_size, self.task.output_size, seed)


def resolve(config: RunConfig, corpora: Corpora) -> Resolved:
    """Check a configuration against the registries and build its task.

    Args:
        config: as it was sent.
        corpora: gives the text of a corpus by its id.

    Raises:
        ConfigError: an unknown name or setting, a value out of range, a device that this machine lacks, or
            more memory than a run may take; nothing large is allocated before that is known.
    """
    found: list[FieldError] = []
    model = _entry("model", config.model, MODELS, found)
    task = _entry("task", config.task, TASKS, found)
    if config.training.accelerator != "auto" and config.training.accelerator not in accelerators():
        found.append(
            FieldError(
                field="training.accelerator",
                value=config.training.accelerator,
                problem="this machine has no such device",
                remedy=f"choose auto or {' or '.join(accelerators())}",
            )
        )
    if model is None or task is None or found:
        raise ConfigError(found)
    (model_spec, model_config), (task_spec, task_config) = model, task
    _check_states(config, model_config, task_config)
    resolved = Resolved(
        model_spec=model_spec,
        model_config=model_config,
        task_spec=task_spec,
        task_config=task_config,
        task=_build_task(task_spec, task_config, corpora),
        seed=config.seed,
    )
    _check_memory(config, resolved)
    return resolved


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


def _build_task(spec: TaskSpec, config: TaskConfig, corpora: Corpora) -> Task:
    try:
        return spec.build(config, corpora)
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


def _check_states(config: RunConfig, model: NetworkConfig, task: TaskConfig) -> None:
    """Refuse before the task is built what its states alone would make too large."""
    width = getattr(model, "hidden_size", 1) * getattr(model, "layers", 1)
    length = getattr(task, "length", 1)
    _refuse_over(4 * _COPIES_OF_STATES * config.training.batch_size * length * width, config)


def _check_memory(config: RunConfig, resolved: Resolved) -> None:
    with torch.device("meta"):  # counts weights without allocating any
        network = resolved.model_spec.network(
            resolved.model_config,
            resolved.task.input_size,
            resolved.task.output_size,
        )
    weights = sum(p.numel() for p in network.parameters())
    length = getattr(resolved.task_config, "length", 1)
    width = getattr(resolved.model_config, "hidden_size", 1) * getattr(resolved.model_config, "layers", 1)
    rows = config.training.batch_size * length
    symbols = 2 * resolved.task.input_size + 3 * resolved.task.output_size
    needed = _COPIES_OF_WEIGHTS * weights + rows * (_COPIES_OF_STATES * width + symbols)
    _refuse_over(4 * needed, config)


def _refuse_over(needed: int, config: RunConfig) -> None:
    if needed > MEMORY_LIMIT:
        raise ConfigError(
            [
                FieldError(
                    field="training.batch_size",
                    value=config.training.batch_size,
                    problem=(
                        f"batch, sequence and network together would need about {needed / 2**30:,.0f} GiB of "
                        f"memory; a run may take {MEMORY_LIMIT // 2**30}"
                    ),
                    remedy="lower the batch size, the length, the hidden size or the layers",
                )
            ]
        )


@lru_cache(maxsize=1)
def accelerators() -> tuple[str, ...]:
    """Those of cpu, gpu, mps that this machine has."""
    gpu = ("gpu",) if torch.cuda.is_available() else ()
    mps = ("mps",) if torch.backends.mps.is_available() else ()
    return ("cpu", *gpu, *mps)


def default_name(config: RunConfig) -> str:
    """A name for a run that was given none: network, task, and the sizes that tell runs apart."""
    model = MODELS[config.model["name"]].title
    task = TASKS[config.task["name"]]
    length = task.config.model_validate({k: v for k, v in config.task.items() if k != "name"})
    extent = getattr(length, "length", None)
    return f"{model} · {task.title.lower()}" + (f" {extent}" if extent is not None else "")


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
            equations=spec.equations,
            source=spec.source,
            json_schema=_schema(spec.config),
        )
        for name, spec in MODELS.items()
    ]
    tasks = [
        CatalogEntry(
            name=name,
            title=spec.title,
            summary=spec.summary,
            description=spec.description,
            source=spec.source,
            json_schema=_schema(spec.config),
            loss_unit=spec.task.loss_unit,
            error_unit=spec.task.error_unit,
            streaming=spec.task.streaming,
            needs_corpus=spec.needs_corpus,
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


def _schema(config: type[BaseModel]) -> dict[str, Any]:
    return config.model_json_schema()


# --- Estimate ----------------------------------------------------------------------------------------

_MEASURED_OPERATIONS = 2e8
"""Multiplications that a measurement may take: about a tenth of a second on one core."""
_REPEATS = 3


def estimate(config: RunConfig, corpora: Corpora) -> Estimate:
    """What a run will cost, from a few updates measured here and now.

    Raises:
        ConfigError: as ``resolve``.
    """
    resolved = resolve(config, corpora)
    key = config.model_copy(update={"seed": 0}).model_dump_json(exclude={"analysis"})
    parameters, multiplications, seconds = _measured(key, resolved)
    return Estimate(
        parameters=parameters,
        multiplications_per_timestep=multiplications,
        seconds=seconds * config.training.steps,
        chance=resolved.task.chance,
        input_size=resolved.task.input_size,
        output_size=resolved.task.output_size,
    )


_measurements: dict[str, tuple[int, int, float]] = {}


def _measured(key: str, resolved: Resolved) -> tuple[int, int, float]:
    """Parameters, multiplications per timestep, and seconds per update."""
    if key not in _measurements:
        if len(_measurements) > 500:
            _measurements.clear()
        training = RunConfig.model_validate(json.loads(key)).training
        network = resolved.network()
        parameters = sum(p.numel() for p in network.parameters())
        multiplications = network.multiplications_per_timestep()
        _measurements[key] = (parameters, multiplications, _seconds_per_update(network, resolved, training))
    return _measurements[key]


def _seconds_per_update(network: Network[Any], resolved: Resolved, training: TrainingConfig) -> float:
    """Time forward and backward on as many timesteps as fit the budget, and scale to the windows' own."""
    batch = resolved.task.draw_validation(training.batch_size, torch.Generator().manual_seed(0))
    length = batch.length
    # A window runs k2 timesteps for every k1 that it moves on; an update takes ``update_every`` windows.
    window = (
        length if training.k1 is None else min(length, training.k1 if training.k2 is None else training.k2)
    )
    cost = 3 * network.multiplications_per_timestep() * training.batch_size
    measured = max(1, min(window, int(_MEASURED_OPERATIONS / max(cost, 1) / _REPEATS)))
    inputs = batch.inputs[:, :measured]
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        outputs, _ = network(inputs)
        torch.autograd.grad(outputs.square().mean(), list(network.parameters()))
        times.append(time.perf_counter() - began)
    per_timestep = sorted(times)[_REPEATS // 2] / measured
    return per_timestep * window * training.update_every


__all__ = [
    "ConfigError",
    "Resolved",
    "accelerators",
    "catalog",
    "default_name",
    "errors_of",
    "estimate",
    "resolve",
    "with_defaults",
]
