"""Real checkpoints of real, very short runs; and what their views answer, without a process of their own."""

from __future__ import annotations

import json
import signal
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.base import Network
from tests.trainer.training.conftest import ServiceInMemory
from trainer.checkpoint import unpack
from trainer.config import resolve
from trainer.corpora import builtin_corpora
from trainer.inspection.child import Question, answer
from trainer.schema import Inspection, RunConfig
from trainer.seeds import generator
from trainer.tasks.base import Batch, Task


class Trained(NamedTuple):
    """A run of three updates and its last checkpoint."""

    config: RunConfig
    step: int
    data: bytes

    def rebuilt(self) -> tuple[Task, Network[Any], Batch]:
        """Task, network with the checkpoint's weights, and the run's probe, by another way than a view's."""
        resolved = resolve(self.config, lambda corpus: builtin_corpora()[corpus].text)
        network = resolved.network().double()
        network.load_state_dict(unpack(self.data)["module"]["network"])
        probe = resolved.task.draw_validation(
            self.config.analysis.probe_size, generator(self.config.seed, "probe")
        )
        return resolved.task, network.eval(), probe.to(torch.device("cpu"), torch.float64)


def config_of(
    model: dict[str, Any], task: dict[str, Any], training: dict[str, Any] | None = None
) -> RunConfig:
    return RunConfig.model_validate(
        {
            "model": model,
            "task": task,
            "training": {
                "steps": 3,
                "batch_size": 4,
                "accelerator": "cpu",
                "precision": "64",
                "validate_every": 1000,
                **(training or {}),
            },
            "analysis": {"every": None, "samples_every": None},
            "seed": 3,
        }
    )


def trained(model: dict[str, Any], task: dict[str, Any], training: dict[str, Any] | None = None) -> Trained:
    return _trained(config_of(model, task, training).model_dump_json())


@cache
def _trained(config_json: str) -> Trained:
    config = RunConfig.model_validate_json(config_json)
    service = ServiceInMemory()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    service.train(config)
    for number, handler in before.items():  # a worker takes them over, for its whole process
        signal.signal(number, handler)
    return Trained(config, *service.checkpoints[-1])


def asked(run: Trained, view: str, **settings: Any) -> Inspection:
    """The view's answer, as a client reads it."""
    status, body = asked_raw(run, view, **settings)
    assert status == 200, body
    return Inspection.model_validate(body)


def asked_raw(run: Trained, view: str, **settings: Any) -> tuple[int, dict[str, Any]]:
    reply = answer(
        Question(view=view, settings=settings, config=run.config, step=run.step, checkpoint=run.data)
    )
    return reply.status, json.loads(reply.body)


def numbers(rows: list[list[float | None]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


ADDING = {"name": "adding", "length": 12}
TEXT = {"name": "characters", "length": 20}


def lstm(hidden_size: int = 6, **more: Any) -> dict[str, Any]:
    return {"name": "lstm", "hidden_size": hidden_size, **more}
