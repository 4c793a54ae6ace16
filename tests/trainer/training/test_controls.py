"""Training controls in whole runs: dropout's place, float64, Ω, early stopping."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models import MODELS
from models.bptt.omega import omega
from tests.trainer.training.test_worker import STREAM, config
from trainer.checkpoint import unpack
from trainer.config import resolve
from trainer.corpora import builtin_corpora
from trainer.evaluation import VALIDATION_SEQUENCES, evaluate, validation_generator
from trainer.schema import RunState
from trainer.seeds import derived_seed

DROPPING = {"model": {"name": "lstm", "hidden_size": 8, "layers": 2, "dropout": 0.5}}


def corpora(corpus_id: str) -> str:
    return builtin_corpora()[corpus_id].text


def final_network(service: Any, made: Any) -> Any:
    network = resolve(made, corpora).network()
    stored = unpack(service.checkpoints[-1][1])["module"]["network"]
    network.to(next(iter(stored.values())).dtype).load_state_dict(stored)
    return network.eval()


# --- Dropout -----------------------------------------------------------------------------------------------


def test_dropout_acts_in_updates_and_nowhere_else(service: Any, another_service: Any) -> None:
    """The validations before the first update agree; the last one is the whole network's."""
    made = config(**DROPPING)
    service.train(made)
    another_service.train(config(model={**DROPPING["model"], "dropout": 0.0}))
    assert service.points("validation/loss")[0] == another_service.points("validation/loss")[0]
    assert service.points("loss")[1] != another_service.points("loss")[1]
    task = resolve(made, corpora).task
    whole = final_network(service, made)
    verdict = evaluate(whole, task, VALIDATION_SEQUENCES, validation_generator(task, 0, 60))
    assert service.points("validation/loss")[60] == verdict.loss
    dropping = evaluate(whole.train(), task, VALIDATION_SEQUENCES, validation_generator(task, 0, 60))
    assert dropping.loss != verdict.loss


# --- Float64 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["temporal_order", "adding", "characters"])
def test_at_64_bits_all_is_computed_in_64_bits(service: Any, another_service: Any, task: str) -> None:
    given = {"task": {"name": task, "length": 20}, "training": {"steps": 30, "clip": None}}
    given["training"] |= {"optimizer": "sgd", "learning_rate": 0.1}
    made = config(**{**given, "training": {**given["training"], "precision": "64"}})
    service.train(made)
    assert service.end.state is RunState.FINISHED
    another_service.train(config(**given))
    double, single = service.points("loss"), another_service.points("loss")
    assert double == pytest.approx(single, rel=1e-4)
    assert double != single
    stored = unpack(service.checkpoints[-1][1])["module"]["network"]
    assert {tensor.dtype for tensor in stored.values()} == {torch.float64}
    if task != "characters":
        first = _first_loss(made)
        assert double[1] == pytest.approx(first, rel=1e-14)
        assert single[1] != pytest.approx(first, rel=1e-14)


def _first_loss(made: Any) -> float:
    """Of the first update, in float64, with ``step``."""
    resolved = resolve(made, corpora)
    network = resolved.network().double()
    source = torch.Generator().manual_seed(derived_seed(0, "training"))
    batch = resolved.task.draw(made.training.batch_size, source)
    state = network.initial_state(made.training.batch_size)
    with torch.no_grad():
        for x_t in batch.inputs.double().unbind(1):
            output, state = network.step(x_t, state)
    if resolved.task.loss_kind == "mse":
        return float((output - batch.targets[:, -1].double()).square().mean())
    return float(torch.nn.functional.cross_entropy(output, batch.targets[:, -1]))


# --- Ω -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["elman", "gru"])
def test_omegas_gradient_is_added_to_that_of_the_loss_by_its_weight(service: Any, name: str) -> None:
    """One step of plain gradient descent, done again here."""
    training = {"steps": 1, "optimizer": "sgd", "learning_rate": 0.5, "clip": None, "omega": 3.0}
    made = config(model={"name": name, "hidden_size": 8}, training={**training, "precision": "64"})
    service.train(made)
    resolved = resolve(made, corpora)
    network = resolved.network().double()
    source = torch.Generator().manual_seed(derived_seed(0, "training"))
    batch = resolved.task.draw(8, source)

    def loss(outputs: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(outputs[:, -1], batch.targets[:, -1])

    x = batch.inputs.double()
    loss(network(x)[0]).backward()
    regulariser = omega(network, x, None, loss)
    assert service.points("omega") == {1: pytest.approx(float(regulariser.value))}
    stored = unpack(service.checkpoints[-1][1])["module"]["network"]
    roles = {id(weight): role for role, weight in network.weight_roles().items()}
    for key, weight in network.named_parameters():
        assert weight.grad is not None
        gradient = weight.grad + 3.0 * regulariser.gradients.get(roles.get(id(weight), ""), torch.zeros(()))
        torch.testing.assert_close(stored[key], weight.detach() - 0.5 * gradient, rtol=1e-10, atol=1e-13)


def test_omega_works_window_by_window_with_dropout_and_without_touching_it(service: Any) -> None:
    made = config(**{**STREAM, **DROPPING, "training": {**STREAM["training"], "omega": 4.0}})
    service.train(made)
    assert service.end.state is RunState.FINISHED
    assert len(service.points("omega")) == 60
    assert all(value > 0 for value in service.points("omega").values())


@pytest.mark.parametrize("name", ["elman", "lstm"])
def test_omega_takes_the_state_that_a_bf16_window_has_left(service: Any, name: str) -> None:
    """A stream's second batch begins from a state of 16 bits; Ω is reckoned in 32."""
    training = {**STREAM["training"], "omega": 4.0, "precision": "bf16", "steps": 5}
    service.train(config(**{**STREAM, "model": {"name": name, "hidden_size": 8}, "training": training}))
    assert service.end.state is RunState.FINISHED, service.end.reason
    assert len(service.points("omega")) == 5


@pytest.mark.parametrize("name", [n for n in MODELS if MODELS[n].keeps_state])
def test_every_recurrent_network_either_takes_omega_or_refuses_it_at_launch(service: Any, name: str) -> None:
    service.train(config(model={"name": name, "hidden_size": 8}, training={"omega": 1.0, "steps": 3}))
    if service.end.state is RunState.FAILED:
        assert "no state-to-state weights" in service.end.reason
        assert not any(
            role.startswith("Ws")
            for role in MODELS[name].build(MODELS[name].config(), 2, 2, 0).weight_roles()
        )
    else:
        assert list(service.points("omega")) == [1, 2, 3]


# --- Early stopping ----------------------------------------------------------------------------------------


def test_a_run_ends_after_so_many_validations_without_a_new_lowest_loss(
    service: Any, another_service: Any
) -> None:
    """With weights that hardly move, the lowest loss is a matter of luck."""
    given = {"learning_rate": 1e-9, "validate_every": 5, "steps": 1000}
    made = config(training={**given, "patience": 3})
    service.train(made)
    losses = service.points("validation/loss")
    steps = sorted(losses)
    worse_in_a_row, ended_at = 0, None
    for place, step in enumerate(steps):
        is_lowest = all(losses[step] < losses[earlier] for earlier in steps[:place])
        worse_in_a_row = 0 if is_lowest else worse_in_a_row + 1
        if worse_in_a_row == 3:
            ended_at = step
            break
    assert ended_at == steps[-1] == max(service.points("loss")) < 1000
    assert service.end.state is RunState.FINISHED
    assert service.summary["best_step"] == steps[-4]
    assert f"Stopped early at update {ended_at}" in service.log
    assert f"lowest validation loss was at update {steps[-4]}, 3 validations ago" in service.log
    assert service.summary["test_total"] == 10_000

    another_service.checkpoints[:] = service.checkpoints
    another_service.train(made, resume=True)  # killed on its way out
    assert another_service.end.state is RunState.FINISHED
    assert another_service.points("loss") == {}
