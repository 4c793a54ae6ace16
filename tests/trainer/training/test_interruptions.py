"""A stop, a signal or a failure at an awkward moment: what is kept and said, and that nothing differs."""

from __future__ import annotations

import math
import os
import signal
import threading
from typing import Any

import httpx
import pytest
import torch
from pytorch_lightning.loops.fit_loop import _FitLoop

from models import MODELS
from tests.trainer.training.test_worker import config, small
from trainer import callbacks, evaluation, module, worker
from trainer.corpora import builtin_corpora
from trainer.cursor import Cursor
from trainer.evaluation import EvaluationStopped, batch_size, evaluate
from trainer.reporter import Reporter
from trainer.sampling import generate_text
from trainer.schema import Report, RunState, TrainingConfig
from trainer.seeds import generator
from trainer.tasks import TASKS

STREAM = {"task": {"name": "characters", "length": 12}, "training": {"k1": 5, "k2": 9, "update_every": 3}}


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


# --- A stop outside of the updates -------------------------------------------------------------------------


def test_a_stop_during_the_closing_test_breaks_it_off_and_keeps_the_last_update(
    service: Any, another_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10,000 long sequences take minutes; the grace of a stop is 10 s."""
    judged = []

    def draw(self: Any, count: int, source: torch.Generator) -> Any:
        judged.append(count)
        if sum(judged) > 2000:  # all validations together need fewer
            terminate()
        return self.draw(count, source)

    task = TASKS["temporal_order"].task
    with monkeypatch.context() as during:
        during.setattr(task, "draw_validation", draw)
        service.train(config())
    assert sum(judged) < 3000
    assert service.end.state is RunState.INTERRUPTED
    assert service.checkpoints[-1][0] == 60
    assert "test_total" not in service.summary
    another_service.checkpoints[:] = service.checkpoints
    another_service.train(config(), resume=True)
    assert another_service.end.state is RunState.FINISHED
    assert another_service.summary["test_total"] == 10_000
    assert another_service.reports[-1].step == 60


def test_a_validation_that_a_stop_broke_off_is_made_up_for_by_the_attempt_that_resumes(
    service: Any, another_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_service.train(config())
    unbroken = another_service.points("validation/loss")
    task = TASKS["temporal_order"].task
    drawn = []

    def draw(self: Any, count: int, source: torch.Generator) -> Any:
        drawn.append(count)
        if len(drawn) == 5:  # the probe, then ten for the validation before the first update
            terminate()
        return self.draw(count, source)

    monkeypatch.setattr(evaluation, "_BATCH", 26)
    with monkeypatch.context() as during:
        during.setattr(task, "draw_validation", draw)
        service.train(config())
    assert service.end.state is RunState.INTERRUPTED
    monkeypatch.undo()
    assert service.points("validation/loss") == {}
    service.train(config(), resume=True)
    assert service.points("validation/loss") == unbroken


def test_a_validation_broken_off_between_updates_is_made_up_for(
    service: Any, another_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_service.train(config())
    real = callbacks.evaluate
    asked = []

    def broken_off(*args: Any) -> Any:
        asked.append(1)
        if len(asked) == 2:  # at step 25
            terminate()
            raise EvaluationStopped
        return real(*args)

    with monkeypatch.context() as during:
        during.setattr(callbacks, "evaluate", broken_off)
        service.train(config())
    assert service.checkpoints[-1][0] == 25
    assert list(service.points("validation/loss")) == [0]
    service.train(config(), resume=True)
    assert service.points("validation/loss") == another_service.points("validation/loss")
    assert service.points("loss") == another_service.points("loss")


def test_a_run_that_was_solved_and_killed_on_its_way_out_does_not_train_on(
    service: Any, another_service: Any
) -> None:
    settings = config(
        model={"name": "gru", "hidden_size": 32},
        task={"name": "temporal_order", "length": 10},
        training={"steps": 5000, "batch_size": 32, "learning_rate": 0.01, "stop_when_solved": True},
    )
    service.train(settings)
    another_service.checkpoints[:] = service.checkpoints[-1:]
    another_service.train(settings, resume=True)
    assert another_service.end.state is RunState.FINISHED
    assert another_service.points("loss") == {}
    assert another_service.summary["solved_at"] == service.summary["solved_at"]


def test_a_sigterm_while_lightning_gets_ready_ends_the_attempt_with_its_last_word(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning then raises an exception of its own, which is no Exception but a SystemExit."""
    real = _FitLoop.setup_data

    def setup_data(self: Any) -> None:
        real(self)
        terminate()

    monkeypatch.setattr(_FitLoop, "setup_data", setup_data)
    service.train(config(training={"steps": 100_000}))
    assert service.end.state is RunState.INTERRUPTED


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_stop_undoes_a_slow_update_and_a_resumed_attempt_repeats_it(
    service: Any, another_service: Any, monkeypatch: pytest.MonkeyPatch, dropout: float
) -> None:
    """In the middle of an update of three windows, whose first window began in the batch before.

    What dropout has drawn for the first of them is drawn again.
    """
    model = {"name": "lstm", "hidden_size": 8, "layers": 2, "dropout": dropout}
    another_service.train(config(**STREAM, model=model))
    monkeypatch.setattr(module, "SLOW_UPDATE_SECONDS", 0.0)
    real = module.RecurrentTraining._window
    seen = []

    def window(self: Any) -> Any:
        seen.append(1)
        if len(seen) == 31 * 3 + 2:
            terminate()
        return real(self)

    with monkeypatch.context() as during:
        during.setattr(module.RecurrentTraining, "_window", window)
        service.train(config(**STREAM, model=model))
    assert service.end.state is RunState.INTERRUPTED
    assert service.checkpoints[-1][0] == 31
    assert len(seen) == 31 * 3 + 2
    service.train(config(**STREAM, model=model), resume=True)
    assert service.points("loss") == another_service.points("loss")


# --- A failure ---------------------------------------------------------------------------------------------


def test_a_run_that_diverges_where_samples_are_due_fails_by_its_loss_and_not_by_its_samples(
    service: Any,
) -> None:
    """The weights of a failed block are not finite: nothing can be drawn from what they give."""
    given = {
        "task": {"name": "characters", "length": 12},
        "training": {"optimizer": "sgd", "learning_rate": 10.0, "clip": None, "steps": 400},
        "model": {"name": "elman", "hidden_size": 8, "nonlinearity": "linear"},
    }
    service.train(config(**given, analysis={"samples_every": 1, "every": 1}))
    assert service.end.state is RunState.FAILED
    assert "became" in service.end.reason
    last = max(service.points("loss"))
    assert max(sample.step for sample in service.samples) < last


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("could not execute a primitive"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4294967296 bytes"),
    ],
    ids=repr,
)
def test_a_run_that_ran_out_of_memory_fails_in_those_words(
    service: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_: Any) -> Any:
        raise error

    monkeypatch.setattr(module.RecurrentTraining, "_window", fail)
    service.train(config())
    assert service.end.state is RunState.FAILED
    assert service.end.reason.startswith("it ran out of memory; lower the batch size")


def test_text_ends_where_the_networks_outputs_stop_being_finite() -> None:
    text = builtin_corpora()["python-topics"].text
    spec = TASKS["characters"]
    task: Any = spec.build(spec.config(), lambda _: text)
    network = MODELS["elman"].build(MODELS["elman"].config(), task.input_size, task.output_size, 0)
    network.readout.bias.data[0] = math.nan
    written = generate_text(
        network, task, "The", length=5, temperatures=(0.5, 1.0), generator=generator(0, "samples")
    )
    assert written == ["", ""]


@pytest.mark.parametrize("status", [413, 422])
def test_a_worker_whose_reports_are_refused_as_wrong_ends_as_an_error_that_says_why(
    service: Any, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the run would be called interrupted, without a reason, and fail again when resumed."""
    service.before_answer = lambda report: httpx.Response(status, text="too long") if report.step else None
    with pytest.raises(SystemExit) as ended:
        service.train(config(training={"steps": 10_000_000}), interval=0.01)
    assert ended.value.code == 1
    assert f"{status}: too long" in capsys.readouterr().err


def test_the_reason_of_a_failure_waits_for_a_service_that_is_away(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LAST_WORD_SECONDS", 0.0)
    silent = iter([True] * 8)

    def away(report: Report) -> httpx.Response | None:
        return httpx.Response(503) if report.end is not None and next(silent, False) else None

    service.before_answer = away
    service.train(config(model={"name": "nothing"}))
    assert service.end.state is RunState.FAILED


def test_a_corpus_is_asked_for_again_while_the_database_is_away(service: Any) -> None:
    answers = iter([503, 503])
    real = service.handle

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/corpora/") and (status := next(answers, None)):
            return httpx.Response(status)
        return real(request)

    service.handle = handle
    service.train(config(**STREAM))
    assert service.end.state is RunState.FINISHED


# --- What is computed --------------------------------------------------------------------------------------


class Counting(torch.nn.Module):
    """A network that counts the timesteps it is asked for."""

    taught = False

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.inner, self.timesteps = network, 0
        self.initial_state = network.initial_state

    def forward(self, x: torch.Tensor, *rest: Any) -> Any:
        self.timesteps += x.shape[1]
        return self.inner(x, *rest)


def test_windows_without_a_scored_output_only_move_the_state_on() -> None:
    """100 timesteps, one scored output: each is read once, and the last window's history again."""
    spec = TASKS["temporal_order"]
    task = spec.build(spec.config(length=100), lambda _: "")  # type: ignore[call-arg]
    elman = MODELS["elman"].build(MODELS["elman"].config(), task.input_size, task.output_size, 0)
    network: Any = Counting(elman)
    training = module.RecurrentTraining(
        network, task, TrainingConfig(k1=5, k2=40, batch_size=4), generator(0, "training")
    )
    training.optimizer = torch.optim.SGD(elman.parameters(), lr=0.0)
    training.parameters_list = list(elman.parameters())
    training.cursor = Cursor(
        network,
        task,
        batch_size=4,
        k1=5,
        k2=40,
        generator=training.generator,
        device=torch.device("cpu"),
    )
    training._clock_began = 0.0
    pending = training._update()
    assert network.timesteps == 100
    assert pending is not None
    batch = task.draw(4, generator(0, "training"))
    outputs, _ = elman(batch.inputs)
    loss = task.elementwise_loss(outputs[:, -1:], batch.targets).sum()
    torch.testing.assert_close(pending.loss_sum, loss.detach())


def test_a_judgement_takes_as_many_sequences_at_once_as_fit_and_the_verdict_counts_them_all() -> None:
    spec = TASKS["adding"]
    usual, long = (spec.build(spec.config(length=n), lambda _: "") for n in (50, 5000))  # type: ignore[call-arg]
    small = MODELS["lstm"].build(MODELS["lstm"].config(), 2, 1, 0)
    large = MODELS["lstm"].build(MODELS["lstm"].config(hidden_size=512), 2, 1, 0)  # type: ignore[call-arg]
    assert batch_size(small, usual) == 256
    at_once = batch_size(large, long)
    assert 1 <= at_once * 5000 * 512 * 2 * 5 <= 2**26
    stateless = MODELS["ffnn"].build(MODELS["ffnn"].config(hidden_size=2048), 2, 1, 0)  # type: ignore[call-arg]
    assert 1 <= batch_size(stateless, long) * 5000 * 2048 <= 2**26
    assert evaluate(small, usual, 300, generator(0, "test")).total == 300


@pytest.mark.parametrize("name", MODELS)
def test_a_bf16_stream_carries_its_state_through_windows_and_a_checkpoint_bit_for_bit(
    service: Any, another_service: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = config(
        model=small(name),
        task=STREAM["task"],
        training={**STREAM["training"], "precision": "bf16"},
    )
    taken = service.train_keeping_checkpoints(given, monkeypatch)
    step, data = taken[len(taken) // 2]
    assert step < 60
    another_service.checkpoints[:] = [(step, data)]
    another_service.train(given, resume=True)
    unbroken = {at: loss for at, loss in service.points("loss").items() if at > step}
    assert another_service.points("loss") == unbroken
    assert all(map(math.isfinite, unbroken.values()))


def test_a_resumed_attempt_says_where_it_stands_before_its_first_update(
    service: Any, another_service: Any
) -> None:
    service.train(config())
    another_service.checkpoints[:] = service.checkpoints
    another_service.train(config(), resume=True)
    assert another_service.reports[-1].step == 60


def test_a_log_record_made_while_a_row_is_added_does_not_wait_for_itself(service: Any) -> None:
    """A finaliser may warn at any moment, and warnings go into the run's log."""
    from trainer.schema import Assignment

    assignment = Assignment(
        run_id="00000000-0000-0000-0000-000000000000",  # type: ignore[arg-type]
        attempt=1,
        token="t",
        url="http://service",
        config=config(),
        resume=False,
    )
    reporter = Reporter(assignment, transport=httpx.MockTransport(service.handle))

    def within() -> None:
        with reporter._lock:
            reporter.log("warning", "unclosed file")

    thread = threading.Thread(target=within, daemon=True)
    thread.start()
    thread.join(timeout=30)
    assert not thread.is_alive()
