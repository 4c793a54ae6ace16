"""Which timesteps decide the target: counted over every sequence that gradients are measured on."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.trainer.inspection.making import config_of
from tests.trainer.training.conftest import ServiceInMemory
from trainer.config import resolve
from trainer.corpora import builtin_corpora
from trainer.schema import Summary
from trainer.seeds import generator

MODEL = {"name": "elman", "hidden_size": 4}


@pytest.mark.parametrize(
    "task",
    [
        {"name": "adding", "length": 30},
        {"name": "temporal_order", "length": 30},
        {"name": "memorisation"},
        {"name": "reber"},
    ],
)
def test_a_run_tells_of_all_sequences_of_its_probe_which_timesteps_decide(task: dict[str, Any]) -> None:
    config = config_of(MODEL, task)
    config = config.model_copy(update={"analysis": config.analysis.model_copy(update={"probe_size": 8})})
    service = ServiceInMemory()
    service.train(config)
    resolved = resolve(config, lambda corpus: builtin_corpora()[corpus].text)
    probe = resolved.task.draw_validation(8, generator(config.seed, "probe"))
    assert probe.informative is not None
    by_hand = Counter(t for row in probe.informative.tolist() for t in set(row))
    assert service.summary["informative"] == dict(by_hand)
    kept = Summary.model_validate_json(Summary(informative=service.summary["informative"]).model_dump_json())
    assert kept.informative == dict(by_hand)  # JSON's keys are texts


def test_where_every_timestep_decides_none_is_told() -> None:
    service = ServiceInMemory()
    service.train(config_of(MODEL, {"name": "parity"}))
    assert "informative" not in service.summary
