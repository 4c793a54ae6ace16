"""One attempt at a run, whole: what it reports, how it ends, and that a resumed one goes on exactly."""

from __future__ import annotations

import math
import os
import signal
from typing import Any

import httpx
import pytest
import torch

from models import MODELS
from models.base import named_tensors
from trainer.checkpoint import unpack
from trainer.config import resolve
from trainer.corpora import builtin_corpora
from trainer.evaluation import evaluate
from trainer.schema import EIGENVALUES, Report, RunConfig, RunState, SequenceSample, TextSample
from trainer.seeds import generator


def config(**given: Any) -> RunConfig:
    """A small run; sections are merged over these settings."""
    base: dict[str, dict[str, Any]] = {
        "model": {"name": "lstm", "hidden_size": 8},
        "task": {"name": "temporal_order", "length": 20},
        "training": {"steps": 60, "batch_size": 8, "validate_every": 25, "learning_rate": 0.01},
        "analysis": {"every": 20, "samples_every": 30, "probe_size": 4},
    }
    for section, settings in given.items():
        if section in ("model", "task") and "name" in settings:
            base[section] = settings
        else:
            base.setdefault(section, {}).update(settings)
    return RunConfig(**base)  # type: ignore[arg-type]


def small(name: str) -> dict[str, Any]:
    """Two layers of 8 units, of a network that has those settings."""
    sizes = {"hidden_size": 8, "layers": 2}
    return {"name": name, **{key: sizes[key] for key in sizes if key in MODELS[name].config.model_fields}}


STREAM = {"task": {"name": "characters", "length": 12}, "training": {"k1": 5, "k2": 9, "update_every": 2}}
"""Truncation that leaves windows of unequal length, updates across batches, and carried state and history."""


def test_every_update_reports_loss_and_gradient_norm_before_and_after_the_clip(service: Any) -> None:
    service.train(config(training={"clip_at": 0.1}))
    assert service.end.state is RunState.FINISHED
    steps = list(range(1, 61))
    loss, before, after, clipped = (
        service.points(key)
        for key in ("loss", "gradient_norm/before_clip", "gradient_norm/after_clip", "clipped")
    )
    assert list(loss) == list(before) == list(after) == list(clipped) == steps
    for step in steps:
        assert after[step] == pytest.approx(min(before[step], 0.1), rel=1e-5)
        assert bool(clipped[step]) == (before[step] > 0.1)
    assert service.summary["clip_rate"] == pytest.approx(sum(clipped.values()) / 60)
    assert min(service.points("steps_per_second").values()) > 0


def test_validation_gradients_and_samples_come_when_they_were_asked_for(service: Any) -> None:
    service.train(config())
    assert list(service.points("validation/loss")) == [0, 25, 50, 60]
    sent = [vector for report in service.reports for vector in report.vectors]
    vectors = [(v.name, v.step, len(v.numbers)) for v in sent if not v.name.startswith(EIGENVALUES)]
    assert sorted(vectors) == [(name, step, 80) for name in ("c/0", "h/0") for step in (0, 20, 40, 60)]
    assert sorted({sample.step for sample in service.samples}) == [30, 60]
    assert all(isinstance(sample.content, SequenceSample) for sample in service.samples)


def test_who_asks_for_no_samples_and_no_gradients_gets_none(service: Any) -> None:
    service.train(config(analysis={"every": None, "samples_every": None}))
    assert service.end.state is RunState.FINISHED
    assert service.samples == []
    assert not any(report.vectors for report in service.reports)


def test_the_summary_of_a_finished_run_is_what_the_network_it_stored_achieves(service: Any) -> None:
    """The closing test is done again here, from the last checkpoint."""
    service.train(config())
    resolved = resolve(config(), lambda name: builtin_corpora()[name].text)
    network = resolved.network()
    network.load_state_dict(unpack(service.checkpoints[-1][1])["module"]["network"])
    verdict = evaluate(network, resolved.task, 10_000, generator(0, "test", 60))
    assert service.summary["test_wrong"] == verdict.wrong
    assert service.summary["test_total"] == verdict.total == 10_000
    assert service.summary["parameters"] == sum(p.numel() for p in network.parameters())
    assert service.summary["chance"]["loss"] == pytest.approx(math.log(4))


def test_text_is_sampled_at_two_temperatures_and_bits_follow_from_the_loss(service: Any) -> None:
    service.train(config(**STREAM))
    texts = [sample.content for sample in service.samples if sample.step == 60]
    assert [text.temperature for text in texts] == [0.5, 1.0]
    assert all(isinstance(text, TextSample) and len(text.text) == 200 for text in texts)
    summary = service.summary
    assert summary["bits_per_character"] == pytest.approx(summary["test_loss"] / math.log(2))
    assert "solved" not in summary  # no text is ever solved


CONTROLLED = {
    "model": {"name": "elman", "hidden_size": 8, "layers": 2, "dropout": 0.3},
    "training": {
        "omega": 2.0,
        "gradient_noise": 0.01,
        "schedule": "cosine",
        "warmup_steps": 10,
        "longest": 30,
        "update_every": 2,
        "accumulate": "mean",
        "precision": "64",
    },
}
"""All that draws random numbers of its own or depends on the update's number."""


@pytest.mark.parametrize(
    "given",
    [
        {},
        STREAM,
        {"model": {"name": "gru", "hidden_size": 8}, "training": {"optimizer": "rmsprop"}},
        CONTROLLED,
        {**STREAM, "model": {"name": "jordan", "hidden_size": 8, "teacher_forcing": True}},
    ],
)
def test_a_run_resumed_from_any_checkpoint_repeats_the_unbroken_one_bit_for_bit(
    service: Any, another_service: Any, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint after every block; the second attempt starts from one in the middle."""
    whole = config(**given)
    taken = service.train_keeping_checkpoints(whole, monkeypatch)
    taken = [(step, data) for step, data in taken if step < 60]
    assert len(taken) >= 4
    for step, data in (taken[0], taken[len(taken) // 2], taken[-1]):
        another_service.reports.clear()
        another_service.checkpoints[:] = [(step, data)]
        torch.manual_seed(12345)  # whatever the process did before must not matter
        another_service.train(whole, resume=True)
        assert another_service.end.state is RunState.FINISHED
        keys = ("loss", "gradient_norm/before_clip", "validation/loss", "validation/error")
        for key in (*keys, "learning_rate", "omega"):
            unbroken = {at: value for at, value in service.points(key).items() if at > step}
            assert another_service.points(key) == unbroken
        keys = ("best_validation_loss", "best_step", "clip_rate", "test_loss", "test_wrong")
        assert [another_service.summary[k] for k in keys] == [service.summary[k] for k in keys]
        final, again = (unpack(s.checkpoints[-1][1])["module"] for s in (service, another_service))
        for name, tensor in final["network"].items():
            assert torch.equal(tensor, again["network"][name])
        assert final["cursor"]["index"] == again["cursor"]["index"]


def test_resuming_without_a_checkpoint_starts_again(service: Any, another_service: Any) -> None:
    service.train(config())
    another_service.train(config(), resume=True)
    assert another_service.points("loss") == service.points("loss")
    assert "starts again" in another_service.log


def test_a_damaged_checkpoint_ends_the_attempt_with_that_reason(service: Any) -> None:
    service.checkpoints.append((10, b"not a checkpoint"))
    service.train(config(), resume=True)
    assert service.end.state is RunState.FAILED
    assert "checkpoint cannot be read" in service.end.reason


def test_a_checkpoint_that_holds_code_is_refused_and_not_run(service: Any) -> None:
    import io

    class Evil:
        def __reduce__(self) -> Any:
            return (os._exit, (3,))

    stream = io.BytesIO()
    torch.save({"format": 1, "module": Evil()}, stream)
    service.checkpoints.append((10, stream.getvalue()))
    service.train(config(), resume=True)
    assert service.end.state is RunState.FAILED


def test_a_loss_that_is_not_finite_fails_the_run_and_what_was_recorded_stays(service: Any) -> None:
    service.train(
        config(
            model={"name": "elman", "hidden_size": 8, "nonlinearity": "relu"},
            task={"name": "adding", "length": 50},
            training={"optimizer": "sgd", "learning_rate": 10.0, "clip": None, "steps": 500},
        )
    )
    assert service.end.state is RunState.FAILED
    assert "became" in service.end.reason
    loss, norms = service.points("loss"), service.points("gradient_norm/before_clip")
    last = max(loss)
    assert f"at update {last}" in service.end.reason
    assert not (math.isfinite(loss[last]) and math.isfinite(norms[last]))
    assert all(math.isfinite(loss[step]) for step in range(1, last))


def test_a_users_stop_writes_a_checkpoint_and_ends_as_stopped(service: Any, another_service: Any) -> None:
    service.before_answer = lambda report: httpx.Response(200, json={"stop": report.step >= 20})
    service.train(config(training={"steps": 100_000}), interval=0.01)
    assert service.end.state is RunState.STOPPED
    stopped_at = max(service.points("loss"))
    assert service.checkpoints[-1][0] == stopped_at < 100_000
    another_service.checkpoints[:] = service.checkpoints
    another_service.train(config(training={"steps": stopped_at + 5}), resume=True)
    assert list(another_service.points("loss")) == list(range(stopped_at + 1, stopped_at + 6))


def test_sigterm_writes_a_checkpoint_and_ends_as_interrupted(service: Any) -> None:
    def terminate(report: Report) -> None:
        if report.step >= 20:
            os.kill(os.getpid(), signal.SIGTERM)

    service.before_answer = terminate
    service.train(config(training={"steps": 100_000}), interval=0.01)
    assert service.end.state is RunState.INTERRUPTED
    assert "SIGTERM" in service.end.reason
    assert service.checkpoints[-1][0] == max(service.points("loss"))


@pytest.mark.parametrize("status", [401, 404, 409])
def test_a_worker_that_nobody_wants_any_more_ends_at_once(service: Any, status: int) -> None:
    service.before_answer = lambda report: httpx.Response(status, json={}) if report.step >= 20 else None
    service.train(config(training={"steps": 10_000_000}), interval=0.01)
    assert service.end is None


def test_a_service_that_is_away_costs_no_row_and_repeats_no_report(
    service: Any, another_service: Any
) -> None:
    """It fails, drops the connection, or stores a report and loses the answer; then it is back."""
    troubles = iter(["down", "drop", "lost", "down"])

    def troubled(report: Report) -> httpx.Response | None:
        trouble = next(troubles, None)
        if trouble == "down":
            return httpx.Response(503)
        if trouble == "drop":
            raise httpx.ConnectError("nobody there")
        if trouble == "lost":
            service.reports.append(report)
            raise httpx.ReadError("answer lost")
        return None

    service.before_answer = troubled
    service.train(config(), interval=0.01)
    another_service.train(config())
    assert service.points("loss") == another_service.points("loss")
    assert service.end.state is RunState.FINISHED
    sequences = [report.sequence for report in service.reports]
    assert sorted(set(sequences)) == list(range(len(set(sequences))))  # none is missing
    by_sequence: dict[int, Report] = {}
    for report in service.reports:  # a repeated one is the same report
        assert by_sequence.setdefault(report.sequence, report) == report


def test_a_solved_task_stops_early_when_asked(service: Any) -> None:
    service.train(
        config(
            model={"name": "gru", "hidden_size": 32},
            task={"name": "temporal_order", "length": 10},
            training={"steps": 5000, "batch_size": 32, "learning_rate": 0.01, "stop_when_solved": True},
        )
    )
    summary = service.summary
    assert service.end.state is RunState.FINISHED
    assert summary["solved"] is True
    assert summary["solved_at"] == max(service.points("loss")) < 5000
    assert summary["test_wrong"] < 100


def test_bf16_updates_each_use_the_weights_that_the_last_one_made(service: Any) -> None:
    """An autocast region kept open over a block would go on with cached casts of its first weights.

    The losses of bf16 training stay near those of float32 training from the same start.
    """
    sgd = {"optimizer": "sgd", "learning_rate": 0.5, "steps": 40}
    service.train(config(training={**sgd, "precision": "bf16"}))
    low = service.points("loss")
    service.reports.clear()
    service.train(config(training=sgd))
    full = service.points("loss")
    assert low != full
    assert max(abs(low[step] - full[step]) for step in full) < 0.02


def test_the_recorded_gradient_is_the_one_that_torch_computes_for_the_probe(service: Any) -> None:
    """From the last checkpoint: unrolled with ``step``, autograd with respect to each state."""
    service.train(config(training={"steps": 40}))
    resolved = resolve(config(), lambda name: builtin_corpora()[name].text)
    network = resolved.network()
    network.load_state_dict(unpack(service.checkpoints[-1][1])["module"]["network"])
    probe = resolved.task.draw_validation(4, generator(0, "probe"))
    state, states = network.initial_state(4), []
    for x_t in probe.inputs.unbind(1):
        output, state = network.step(x_t, state)
        states.append(state)
    loss = torch.nn.functional.cross_entropy(output, probe.targets[:, -1])
    for name in ("h/0", "c/0"):
        tensors = [dict(named_tensors(s))[name] for s in states]
        expected = torch.stack([g.norm() for g in torch.autograd.grad(loss, tensors, retain_graph=True)])
        (stored,) = (
            torch.frombuffer(bytearray(v.numbers), dtype=torch.float32)
            for report in service.reports
            for v in report.vectors
            if v.name == name and v.step == 40
        )
        torch.testing.assert_close(stored, expected.detach(), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_trains_on_every_kind_of_task(service: Any, name: str) -> None:
    for task in ({"name": "adding", "length": 12}, {"name": "characters", "length": 12}):
        service.reports.clear()
        service.train(config(model=small(name), task=task))
        assert service.end.state is RunState.FINISHED
        assert len(service.points("loss")) == 60


def test_a_run_resumed_after_its_last_update_tests_the_weights_it_had(
    service: Any, another_service: Any
) -> None:
    """Killed between the last checkpoint and the last word, there is no update left to do."""
    service.train(config())
    another_service.checkpoints[:] = service.checkpoints
    another_service.train(config(), resume=True)
    assert another_service.end.state is RunState.FINISHED
    assert another_service.summary["test_wrong"] == service.summary["test_wrong"]
    assert another_service.summary["test_loss"] == service.summary["test_loss"]
