"""From a run's configuration to the objects it names; and what the catalogue and an estimate say of them."""

from __future__ import annotations

import dataclasses
import json
import threading
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
from trainer.tasks.base import Batch, Corpora, Task, TaskConfig, TaskSpec
from trainer.tbptt import next_start, windows

MEMORY_LIMIT = 4 * 2**30
"""Bytes that one run may need, by our estimate."""
_COPIES_OF_WEIGHTS = 4
"""Weights, gradients and two moments of Adam."""
_COPIES_OF_STATES = 12
"""Of each (B, T, H) state in a forward and backward pass: gates, their inputs, and their gradients."""
CHECKPOINT_LIMIT = 480 * 10**6
"""Bytes of one checkpoint. It travels in one report, of at most 512 MiB, and lies in one row."""
_CHECKPOINT_COPIES = 3
"""Weights and two moments of Adam."""


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
    _refuse_over(4 * _COPIES_OF_STATES * _sequences(config) * length * width, config)


def _sequences(config: RunConfig) -> int:
    """Sequences whose states a run holds at once: of a batch, or of the probe."""
    probe = config.analysis.probe_size if config.analysis.every is not None else 1
    return max(config.training.batch_size, probe)


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
    # Of a carried state there are two numbers for each unit of each sequence, an LSTM's h and c.
    checkpoint = 4 * (_CHECKPOINT_COPIES * weights + 2 * config.training.batch_size * width)
    if checkpoint > CHECKPOINT_LIMIT:
        raise ConfigError(
            [
                FieldError(
                    field="model.hidden_size"
                    if "hidden_size" in type(resolved.model_config).model_fields
                    else "model",
                    value=getattr(resolved.model_config, "hidden_size", None),
                    problem=(
                        f"the network has {weights / 1e6:,.0f} million weights, so a checkpoint would take "
                        f"{checkpoint / 1e6:,.0f} MB; one may take {CHECKPOINT_LIMIT / 1e6:,.0f}"
                    ),
                    remedy="lower the hidden size or the layers",
                )
            ]
        )
    rows = _sequences(config) * length
    symbols = 2 * resolved.task.input_size + 3 * resolved.task.output_size
    needed = _COPIES_OF_WEIGHTS * weights + rows * (_COPIES_OF_STATES * width + symbols)
    _refuse_over(4 * needed, config)


def _refuse_over(needed: int, config: RunConfig) -> None:
    if needed > MEMORY_LIMIT:
        is_probe = _sequences(config) > config.training.batch_size
        field, value, what = (
            ("analysis.probe_size", config.analysis.probe_size, "probe batch")
            if is_probe
            else ("training.batch_size", config.training.batch_size, "batch")
        )
        raise ConfigError(
            [
                FieldError(
                    field=field,
                    value=value,
                    problem=(
                        f"{what}, sequence and network together would need about {needed / 2**30:,.1f} GiB "
                        f"of memory; a run may take {MEMORY_LIMIT // 2**30}"
                    ),
                    remedy=f"lower the size of the {what}, the length, the hidden size or the layers",
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
_measuring = threading.Lock()
"""One at a time: side by side they would disturb each other, and add up their memory."""


def _measured(key: str, resolved: Resolved) -> tuple[int, int, float]:
    """Parameters, multiplications per timestep, and seconds per update."""
    with _measuring:
        if (known := _measurements.get(key)) is not None:
            return known
        if len(_measurements) > 500:
            _measurements.clear()
        training = RunConfig.model_validate(json.loads(key)).training
        network = resolved.network()
        parameters = sum(p.numel() for p in network.parameters())
        multiplications = network.multiplications_per_timestep()
        seconds = _seconds_per_update(network, resolved, training)
        _measurements[key] = measured = (parameters, multiplications, seconds)
        return measured


def _seconds_per_update(network: Network[Any], resolved: Resolved, training: TrainingConfig) -> float:
    """Time forward and backward on as much of a batch as fits the budget; scale to an update's windows."""
    one = resolved.task.draw_validation(1, torch.Generator().manual_seed(0))
    per_sequence = 3 * network.multiplications_per_timestep() * _REPEATS  # of one timestep
    rows = max(1, min(training.batch_size, int(_MEASURED_OPERATIONS / per_sequence)))
    most = max(1, int(_MEASURED_OPERATIONS / (per_sequence * rows)))
    timesteps = _timesteps_per_update(one, training)
    measured = max(1, min(one.length, int(timesteps), most))
    inputs = torch.rand(rows, measured, resolved.task.input_size, generator=torch.Generator().manual_seed(0))
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        outputs, _ = network(inputs)
        torch.autograd.grad(outputs.square().mean(), list(network.parameters()))
        times.append(time.perf_counter() - began)
    per_timestep = min(times) / measured  # the others were disturbed, or paid for a first call
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
