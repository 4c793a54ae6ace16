"""What an inspection's process says when it is given what it cannot use."""

from __future__ import annotations

import errno
from typing import Any

import pytest
import torch

from tests.trainer.inspection.making import ADDING, Trained, asked, asked_raw, lstm, trained
from trainer.checkpoint import pack, unpack


def test_bytes_that_are_no_checkpoint_are_told_with_a_remedy() -> None:
    run = trained(lstm(), ADDING)
    for damaged in (run.data[: len(run.data) // 2], b"junk", b""):
        status, body = asked_raw(run._replace(data=damaged), "triangle")
        assert status == 409
        assert body["message"].startswith(
            "The checkpoint of step 3 cannot be used: the checkpoint cannot be read"
        )
        assert body["remedy"] == "Choose another checkpoint, or train the run again."


def with_network(run: Trained, weights: dict[str, torch.Tensor]) -> Trained:
    content = unpack(run.data)
    module = {**content["module"], "network": weights}
    return run._replace(data=pack({"module": module, "results": content["results"]}))


def test_weights_of_another_network_or_that_are_not_finite_are_told() -> None:
    run = trained(lstm(), ADDING)
    weights = unpack(run.data)["module"]["network"]
    status, body = asked_raw(with_network(run, {"one": torch.zeros(3)}), "gates")
    assert (status, "do not fit" in body["message"]) == (409, True)
    broken = {name: tensor * torch.nan for name, tensor in weights.items()}
    status, body = asked_raw(with_network(run, broken), "jacobians")
    assert (status, "not finite" in body["message"]) == (409, True)


def test_a_view_that_needs_no_checkpoint_answers_without_one_that_cannot_be_used() -> None:
    run = trained(lstm(), ADDING)
    broken = {name: w * torch.nan for name, w in unpack(run.data)["module"]["network"].items()}
    found = asked(with_network(run, broken), "diagnosis")
    assert (found.step, found.result is None) == (None, False)
    assert found.note == (
        "The checkpoint of step 3 cannot be used: some of its weights are not finite numbers any more. "
        "What is shown does without one."
    )
    assert asked(run, "diagnosis").note == ""


def test_a_configuration_of_another_version_is_told() -> None:
    run = trained(lstm(), ADDING)
    old = run.config.model_copy(update={"model": {**run.config.model, "unheard_of": 1}})
    status, body = asked_raw(run._replace(config=old), "gates")
    assert (status, "cannot be built again" in body["message"]) == (409, True)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("could not execute a primitive"),
        RuntimeError("std::bad_alloc"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("where", ["trainer.inspection.child.resolve", "torch.load"])
def test_the_lack_of_memory_is_told_as_such_wherever_it_shows(
    monkeypatch: pytest.MonkeyPatch, error: Exception, where: str
) -> None:
    run = trained(lstm(), ADDING)

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(where, fail)
    status, body = asked_raw(run, "gates")
    assert status == 504
    assert body["message"] == "The inspection needed more memory than it may take, and was ended."
