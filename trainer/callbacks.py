"""What a run reports, and when. Each callback looks at the end of a block of updates.

They are called in the order in which the worker lists them: a later one uses what an earlier one measured.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any

import pytorch_lightning as pl
from typing_extensions import override

from trainer.checkpoint import pack
from trainer.evaluation import (
    EvaluationStopped,
    Verdict,
    evaluate,
    test_size,
    validation_generator,
    validation_size,
)
from trainer.module import RecurrentTraining
from trainer.reporter import Reporter
from trainer.schema import RunConfig, Sample
from trainer.seeds import generator
from trainer.tasks.base import Batch, Task

RATE_WINDOW_SECONDS = 2.0
FIRST_CHECKPOINT_SECONDS = 1.0
CHECKPOINT_SECONDS = 5.0
CHECKPOINT_SHARE = 0.02
"""Checkpoints take at most this share of the training time."""


class Results:
    """What a run has achieved so far: kept beside it, and in each checkpoint."""

    def __init__(self) -> None:
        self.validation_loss: float | None = None
        self.validated_at: int | None = None
        """The step of the last validation that was done to its end."""
        self.best_loss: float | None = None
        self.best_error: float | None = None
        self.best_step: int | None = None
        self.solved_at: int | None = None
        self.validations_since_best = 0

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        vars(self).update(stored)


class BlockCallback(pl.Callback):
    """Calls ``at_start`` before the first update of an attempt and ``at_block`` after each block."""

    after_failure = False
    """Whether to look at a block that ended in a failure too: its weights are of no use any more."""

    def at_start(self, module: RecurrentTraining) -> None: ...

    def at_block(self, module: RecurrentTraining) -> None: ...

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, RecurrentTraining)
        self.at_start(pl_module)

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, RecurrentTraining)
        if pl_module.block and (self.after_failure or pl_module.failure is None):
            self.at_block(pl_module)


class ReportUpdates(BlockCallback):
    """Loss and gradient norms of every update; speed once a block."""

    after_failure = True

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.recent: deque[tuple[float, int, float]] = deque()  # (seconds, step, sequences)
        self.first = True

    def at_start(self, module: RecurrentTraining) -> None:
        self.recent.append((module.seconds, module.step, module.cursor.sequences))

    def at_block(self, module: RecurrentTraining) -> None:
        block = module.block
        steps = [update.step for update in block]
        seconds = [update.seconds for update in block]
        sequences = [update.sequences for update in block]
        for key, values in (
            ("loss", [update.loss for update in block]),
            ("gradient_norm/before_clip", [update.norm_before for update in block]),
            ("gradient_norm/after_clip", [update.norm_after for update in block]),
            ("clipped", [float(update.clipped) for update in block]),
        ):
            self.reporter.points(key, steps, values, seconds, sequences)
        for key, optional in (
            ("learning_rate", [update.learning_rate for update in block]),
            ("omega", [update.omega for update in block]),
            ("clip_cosine", [update.clip_cosine for update in block]),
        ):
            if known := [value for value in optional if value is not None]:  # all of them, or none
                self.reporter.points(key, steps, known, seconds, sequences)
        last = block[-1]
        speed = self._speed(module, last.step, last.sequences)
        for key, rate in speed.items():
            self.reporter.points(key, [last.step], [rate], [last.seconds], [last.sequences])
        self.reporter.progress(last.step)
        self.reporter.summary(
            loss=last.loss if math.isfinite(last.loss) else None,
            clip_rate=module.clipped_updates / last.step,
            seconds=last.seconds,
            **speed,
        )
        if self.first:
            self.first = False
            self.reporter.soon()

    def _speed(self, module: RecurrentTraining, step: int, sequences: float) -> dict[str, float]:
        """Rates over the last seconds, with everything that a run does beside its updates."""
        now = module.seconds
        self.recent.append((now, step, sequences))
        while len(self.recent) > 2 and now - self.recent[0][0] > RATE_WINDOW_SECONDS:
            self.recent.popleft()
        then, first_step, first_sequences = self.recent[0]
        elapsed = max(now - then, 1e-9)
        return {
            "steps_per_second": (step - first_step) / elapsed,
            "sequences_per_second": (sequences - first_sequences) / elapsed,
        }


class Validate(BlockCallback):
    """Loss and error on sequences that training never reads, before the first update and every so many.

    A stop breaks a validation off and leaves no trace of it; the attempt that resumes makes up for it.
    """

    def __init__(self, reporter: Reporter, config: RunConfig, results: Results) -> None:
        self.reporter, self.config, self.results = reporter, config, results

    def at_start(self, module: RecurrentTraining) -> None:
        is_solved = self.config.training.stop_when_solved and self.results.solved_at == module.step
        if is_solved or self._is_patience_gone():
            module.trainer.should_stop = True  # the attempt before was killed on its way out
        elif self.results.validated_at != module.step:
            self.at_block(module)

    def at_block(self, module: RecurrentTraining) -> None:
        if (
            module.step % self.config.training.validate_every == 0
            or module.step == self.config.training.steps
        ):
            try:
                self.validate(module)
            except EvaluationStopped:
                return
            self.results.validated_at = module.step
            if self._is_patience_gone() and module.step < self.config.training.steps:
                module.trainer.should_stop = True
                self.reporter.log(
                    "info",
                    f"Stopped early at update {module.step}: the lowest validation loss was at update "
                    f"{self.results.best_step}, {self.results.validations_since_best} validations ago.",
                )

    def _is_patience_gone(self) -> bool:
        patience = self.config.training.patience
        return patience is not None and self.results.validations_since_best >= patience

    def validate(self, module: RecurrentTraining) -> None:
        task = module.task
        source = validation_generator(task, self.config.seed, module.step)
        verdict = evaluate(module.network, task, validation_size(task), source, lambda: module.interrupted)
        where = ([module.step], [module.seconds], [module.cursor.sequences])
        for key, value in (("validation/loss", verdict.loss), ("validation/error", verdict.error)):
            self.reporter.points(key, where[0], [value], where[1], where[2])
        results = self.results
        results.validation_loss = verdict.loss if math.isfinite(verdict.loss) else None
        results.validations_since_best += 1
        if results.best_loss is None or verdict.loss < results.best_loss:
            results.best_loss, results.best_step = results.validation_loss, module.step
            results.validations_since_best = 0
        if results.best_error is None or verdict.error < results.best_error:
            results.best_error = verdict.error
        self.reporter.summary(
            validation_loss=results.validation_loss,
            validation_error=verdict.error,
            best_validation_loss=results.best_loss,
            best_validation_error=results.best_error,
            best_step=results.best_step,
            bits_per_character=_bits(task, results.validation_loss),
        )
        if (
            self.config.training.stop_when_solved
            and module.step
            and module.task.is_solved(verdict.wrong, verdict.total)
            and test(module, self.config, self.reporter, results)
        ):
            module.trainer.should_stop = True


def test(module: RecurrentTraining, config: RunConfig, reporter: Reporter, results: Results) -> bool:
    """Judge on 10,000 sequences that training never reads (of a stream: 1,000 chunks) and report.

    Returns:
        Whether the task's success rule holds.

    Raises:
        EvaluationStopped: the module was interrupted.
    """
    task = module.task
    source = generator(config.seed, "test", module.step)
    verdict: Verdict = evaluate(module.network, task, test_size(task), source, lambda: module.interrupted)
    solved = task.is_solved(verdict.wrong, verdict.total)
    if solved and results.solved_at is None:
        results.solved_at = module.step
    reporter.summary(
        solved=solved,
        solved_at=results.solved_at,
        test_loss=verdict.loss if math.isfinite(verdict.loss) else None,
        test_wrong=verdict.wrong,
        test_total=verdict.total,
        bits_per_character=_bits(task, verdict.loss),
    )
    return bool(solved)


def _bits(task: Task, loss: float | None) -> float | None:
    """Bits per character, for a stream of characters."""
    return loss / math.log(2) if task.counts_characters and loss is not None and math.isfinite(loss) else None


class TakeSamples(BlockCallback):
    """What the network produces, on the same inputs each time."""

    def __init__(self, reporter: Reporter, config: RunConfig, every: int, shown: Batch) -> None:
        self.reporter, self.config, self.every, self.shown = reporter, config, every, shown
        self.taken_at = -1

    def at_start(self, module: RecurrentTraining) -> None:
        self.shown = self.shown.to(module.device, module.dtype_of_numbers)

    def at_block(self, module: RecurrentTraining) -> None:
        if module.step % self.every == 0:
            self.take(module)

    def take(self, module: RecurrentTraining) -> None:
        if self.taken_at == module.step:
            return
        self.taken_at = module.step
        source = generator(self.config.seed, "samples")
        for index, content in enumerate(module.task.samples(module.network, self.shown, source)):
            self.reporter.sample(Sample(step=module.step, index=index, content=content))


class WriteCheckpoints(BlockCallback):
    """The run's exact state, every few seconds."""

    def __init__(self, reporter: Reporter, results: Results) -> None:
        self.reporter, self.results = reporter, results
        self.due = 0.0
        self.written_at = -1

    def at_start(self, module: RecurrentTraining) -> None:
        self.due = time.perf_counter() + FIRST_CHECKPOINT_SECONDS
        self.written_at = module.step

    def at_block(self, module: RecurrentTraining) -> None:
        if time.perf_counter() >= self.due and module.failure is None:
            self.write(module)

    def write(self, module: RecurrentTraining) -> None:
        if self.written_at == module.step:
            return
        began = time.perf_counter()
        data = pack({"module": module.snapshot(), "results": self.results.state_dict()})
        self.reporter.checkpoint(module.step, data, self.results.validation_loss)
        self.written_at = module.step
        now = time.perf_counter()
        self.due = now + max(CHECKPOINT_SECONDS, (now - began) / CHECKPOINT_SHARE)


class EndInTime(pl.Callback):
    """Ends training at the last update, at a failure, or when asked to."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, RecurrentTraining)
        if (
            pl_module.step >= pl_module.config.steps
            or pl_module.failure
            or pl_module.interrupted
            or self.reporter.stop_requested.is_set()
            or self.reporter.abandoned
        ):
            trainer.should_stop = True
