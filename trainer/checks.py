"""What a run may not ask for, though each of its settings is within its own bounds."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from pydantic import ValidationError

from models.base import ModelSpec, Network, NetworkConfig, named_tensors
from models.bptt.omega import recurrent_weights
from trainer import memory
from trainer.errors import ConfigError, errors_of
from trainer.schema import FieldError, RunConfig
from trainer.scoring import asks_once
from trainer.tasks.base import Task, TaskConfig, TaskSpec

_COPIES_OF_WEIGHTS = 4
"""Weights, gradients and two moments of Adam."""
_COPIES_OF_STATES = 12
"""Of each (B, T, H) state in a forward and backward pass: gates, their inputs, and their gradients."""
_COPIES_WITH_OMEGA = 48
"""The same where Ω is on, which keeps a graph of all timesteps' second derivatives (measured: a GRU's 46)."""
_COPIES_OF_EMBEDDINGS = 6
"""Of each (B, T, E) embedded input: in the order of each layer that reads it, and gradients (an LSTM's 6)."""
_COPIES_OF_HELD = 4
"""Of all that a network holds of a sequence at one timestep: delay lines hold far more than they make."""
CHECKPOINT_LIMIT = 480 * 10**6
"""Bytes of one checkpoint. It travels in one report, of at most 512 MiB, and lies in one row."""
_CHECKPOINT_COPIES = 3
"""Weights and two moments of Adam."""


@lru_cache(maxsize=1)
def accelerators() -> tuple[str, ...]:
    """Those of cpu, gpu, mps that this machine has."""
    gpu = ("gpu",) if torch.cuda.is_available() else ()
    mps = ("mps",) if torch.backends.mps.is_available() else ()
    return ("cpu", *gpu, *mps)


def check_device(config: RunConfig) -> list[FieldError]:
    """What is wrong with the device that a run asks for."""
    asked, there = config.training.accelerator, accelerators()
    if asked != "auto" and asked not in there:
        return [
            FieldError(
                field="training.accelerator",
                value=asked,
                problem="this machine has no such device",
                remedy=f"choose auto or {' or '.join(there)}",
            )
        ]
    taken = next(name for name in ("gpu", "mps", "cpu") if name in there) if asked == "auto" else asked
    if config.training.precision == "64" and taken == "mps":
        return [
            FieldError(
                field="training.precision",
                value="64",
                problem="mps has no 64-bit numbers",
                remedy="choose 32, or the accelerator cpu",
            )
        ]
    return []


def check_before_building(
    config: RunConfig,
    model_spec: ModelSpec,
    model_config: NetworkConfig,
    task_spec: TaskSpec,
    task_config: TaskConfig,
) -> None:
    """Refuse what settings alone show to be wrong, before a corpus is read.

    Raises:
        ConfigError: a training control without meaning here, or more memory than a run may take.
    """
    network = _weightless(model_spec, model_config, 1, 1)
    found = [
        *_wrong_length("training.longest", config.training.longest, task_spec, task_config),
        *_wrong_length("analysis.test_lengths_to", config.analysis.test_lengths_to, task_spec, task_config),
    ]
    if config.training.omega is not None and not recurrent_weights(network):
        found.append(
            FieldError(
                field="training.omega",
                value=config.training.omega,
                problem=f"{model_spec.title} has no state-to-state weights for Ω to act on",
                remedy="leave Ω empty, or choose a network that has them, such as Elman's",
            )
        )
    if found:
        raise ConfigError(found)
    _check_memory(config, network, model_config, task_config)


def check_after_building(
    config: RunConfig, model_spec: ModelSpec, model_config: NetworkConfig, task_config: TaskConfig, task: Task
) -> None:
    """Refuse what only the built task can tell: its sizes, and how it asks.

    Raises:
        ConfigError: as ``check_before_building``.
    """
    network = _weightless(model_spec, model_config, task.input_size, task.output_size)
    _check_memory(config, network, model_config, task_config)
    if config.training.loss_at == "all":
        one = task.draw_validation(1, torch.Generator().manual_seed(0))
        if not asks_once(one):
            raise ConfigError(
                [
                    FieldError(
                        field="training.loss_at",
                        value="all",
                        problem="this task asks more than once, so there is no one answer to repeat",
                        remedy="choose task, or a task with one answer at the end",
                    )
                ]
            )


def _weightless(spec: ModelSpec, config: NetworkConfig, input_size: int, output_size: int) -> Network[Any]:
    """The network without memory for its weights: to be counted and named."""
    with torch.device("meta"):
        return spec.network(config, input_size, output_size)


def _wrong_length(field: str, longest: int | None, spec: TaskSpec, config: TaskConfig) -> list[FieldError]:
    if longest is None:
        return []
    if "length" not in spec.config.model_fields or spec.task.streaming:
        problem = "is one long stream" if spec.task.streaming else "has no setting length"
        return [
            FieldError(
                field=field,
                value=longest,
                problem=f"the task {spec.title.lower()} {problem}, so it has no other length",
                remedy="leave this empty, or choose a task with sequences of a length",
            )
        ]
    shortest = config.length  # type: ignore[attr-defined]
    if longest < shortest:
        return [
            FieldError(
                field=field,
                value=longest,
                problem=f"is less than the task's own length, {shortest}",
                remedy=f"give {shortest} or more, or leave it empty",
            )
        ]
    try:
        spec.config.model_validate({**config.model_dump(), "length": longest})
    except ValidationError as error:
        wrong = errors_of(error, model=spec.config)[0]
        return [wrong.model_copy(update={"field": field, "value": longest})]
    return []


def _timesteps(config: RunConfig, task: TaskConfig) -> int:
    """Timesteps of the longest training sequence."""
    if config.training.longest is None:
        return task.timesteps
    return task.model_copy(update={"length": config.training.longest}).timesteps


def _check_memory(
    config: RunConfig, network: Network[Any], model_config: NetworkConfig, task_config: TaskConfig
) -> None:
    size = 8 if config.training.precision == "64" else 4
    weights = sum(p.numel() for p in network.parameters())
    width = model_config.state_size
    held = sum(tensor.shape[1] for _, tensor in named_tensors(network.initial_state(1)))
    embedding = network.weight_roles().get("We")
    embedded = 0 if embedding is None else embedding.shape[0]
    per_timestep = 2 * network.input_size + 3 * network.output_size + _COPIES_OF_EMBEDDINGS * embedded
    batch, timesteps = config.training.batch_size, _timesteps(config, task_config)
    copies = _COPIES_OF_STATES if config.training.omega is None else _COPIES_WITH_OMEGA
    training = batch * (timesteps * (copies * width + per_timestep) + _COPIES_OF_HELD * held)
    # A recording keeps the gradient of all that is held, at every timestep.
    recorded = max(_COPIES_OF_STATES * width, _COPIES_OF_HELD * held) + per_timestep
    probe = 0 if config.analysis.every is None else config.analysis.probe_size * timesteps * recorded
    of_sequences, is_probe = size * max(training, probe), probe > training
    _refuse_over(of_sequences, config, is_probe)
    checkpoint = size * (_CHECKPOINT_COPIES * weights + batch * held)  # with the state that a stream carries
    if checkpoint > CHECKPOINT_LIMIT:
        raise ConfigError(
            [
                FieldError(
                    field="model.hidden_size"
                    if "hidden_size" in type(model_config).model_fields
                    else "model",
                    value=getattr(model_config, "hidden_size", None),
                    problem=(
                        f"the network has {weights / 1e6:,.0f} million weights, so a checkpoint would take "
                        f"{checkpoint / 1e6:,.0f} MB; one may take {CHECKPOINT_LIMIT / 1e6:,.0f}"
                    ),
                    remedy="lower the hidden size or the layers",
                )
            ]
        )
    _refuse_over(of_sequences + size * _COPIES_OF_WEIGHTS * weights, config, is_probe)


def _refuse_over(needed: int, config: RunConfig, is_probe: bool) -> None:
    limit = memory.limit()
    if needed <= limit:
        return
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
                    f"of memory; a run may take {limit / 2**30:,.1f}"
                ),
                remedy=f"lower the size of the {what}, the length, the hidden size or the layers",
            )
        ]
    )
