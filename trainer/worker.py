"""One attempt at one run, from claim to last word, in a process of its own.

A worker never opens the database: it is told what to do by an ``Assignment`` and says everything else to the
service.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import sys
import traceback
import warnings
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch.utils.data import IterableDataset
from typing_extensions import override

from models.base import Network
from trainer import memory
from trainer.callbacks import (
    EndInTime,
    ReportUpdates,
    Results,
    TakeSamples,
    Validate,
    WriteCheckpoints,
    test,
)
from trainer.checkpoint import CheckpointError, seed_everything, set_random_state, unpack
from trainer.config import Resolved, resolve
from trainer.evaluation import EvaluationStopped, evaluate_at_lengths
from trainer.lengths import RandomLengths, ladder
from trainer.module import RecurrentTraining
from trainer.recordings import RecordGradients, RecordSpectra
from trainer.reporter import Reporter
from trainer.schema import Assignment, End, RunConfig, RunState, TableReading
from trainer.scoring import as_learnt
from trainer.seeds import derived_seed, generator
from trainer.tables import Table
from trainer.tables.stored import fetched, from_bytes

LAST_WORD_SECONDS = 8.0
"""How long a worker that was told to stop waits for the service: a stop must end within 10 s."""


class Blocks(IterableDataset[int]):
    """Endless: how many blocks a run needs is known only as it goes."""

    def __iter__(self) -> Iterator[int]:
        return itertools.repeat(0)


def training_module(
    network: Network[Any],
    resolved: Resolved,
    config: RunConfig,
    pauses: Sequence[int],
    until: int | None = None,
) -> RecurrentTraining:
    """A run's training at its very beginning, with the run's own sources of random numbers.

    ``until`` is the last update; None takes the run's own.
    """
    training = config.training
    source = torch.Generator().manual_seed(derived_seed(config.seed, "training"))
    lengths = None
    if training.longest is not None:
        lengths = RandomLengths(resolved.task_at, resolved.shortest, training.longest)
    noise_seed = derived_seed(config.seed, "gradient noise")
    return RecurrentTraining(
        network,
        resolved.task,
        training,
        source,
        pauses,
        lengths=lengths,
        noise_seed=noise_seed,
        until=until,
    )


def fit(module: RecurrentTraining, accelerator: str, callbacks: list[pl.Callback]) -> None:
    """Train, block by block, until a callback says that it is enough; Lightning itself writes nothing."""
    trainer = pl.Trainer(
        accelerator=accelerator,
        devices=1,
        max_epochs=1,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        use_distributed_sampler=False,
        default_root_dir=Path.cwd(),
    )
    trainer.fit(module, torch.utils.data.DataLoader(Blocks(), batch_size=None))


class _ToReporter(logging.Handler):
    """Warnings of the libraries, into the run's log."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.WARNING)
        self.reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        self.reporter.log("error" if record.levelno >= logging.ERROR else "warning", record.getMessage())


def run_attempt(assignment: Assignment, reporter: Reporter | None = None) -> None:
    """Do one attempt. Returns when its last word is stored, or when nobody wants it any more.

    Args:
        assignment: what to do, and for whom.
        reporter: the line to the service, where it is not the usual one.

    Raises:
        SystemExit: the service takes no reports of this attempt, though it is the current one. Why is
            written to stderr, the only place left.
    """
    torch.set_num_threads(1)
    # cuBLAS repeats itself only with a fixed workspace; without it a resumed run would drift on a GPU.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.deterministic = True
    for quiet in ("pytorch_lightning", "lightning", "lightning_fabric"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
    reporter = reporter or Reporter(assignment)
    logging.getLogger().addHandler(_ToReporter(reporter))
    reporter.start()
    try:
        end: End | None = _Attempt(assignment, reporter).run()
    except Exception as error:
        reporter.log("error", traceback.format_exc())
        end = End(state=RunState.FAILED, reason=_reason(error))
    # Whoever was told to end must do so; a result or a reason waits for a service that is away.
    patient = end is not None and end.state in (RunState.FINISHED, RunState.FAILED)
    reporter.close(end, timeout=None if patient else LAST_WORD_SECONDS)
    if reporter.abandoned and not reporter.is_gone:
        sys.stderr.write(f"{reporter.abandoned}\n")
        sys.exit(1)


def _reason(error: Exception) -> str:
    told = f"{type(error).__name__}: {error}"[:2000]
    return f"it ran out of memory; {memory.ADVICE} ({told})" if memory.is_lack(error) else told


class _Attempt:
    def __init__(self, assignment: Assignment, reporter: Reporter) -> None:
        self.assignment, self.config, self.reporter = assignment, assignment.config, reporter
        self.results = Results()
        self.terminated = False
        self.module: RecurrentTraining | None = None
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is the service's to answer
        reporter.on_stop = self._end_block

    def _terminate(self, *_: Any) -> None:
        self.terminated = True
        self._end_block()

    def _end_block(self) -> None:
        if self.module is not None:
            self.module.interrupted = True

    def run(self) -> End | None:
        resolved = resolve(self.config, self._corpus, self._table)
        seed_everything(self.config.seed)
        task, network = resolved.task, resolved.network()
        module = self._module(network, resolved)
        self._load_checkpoint(module)
        self.module = module
        if self._is_over():  # said while there was no module to tell
            self._end_block()
        probe = task.draw_validation(self.config.analysis.probe_size, generator(self.config.seed, "probe"))
        samples_every = self.config.analysis.samples_every or self.config.training.steps + 1
        samples = TakeSamples(self.reporter, self.config, samples_every, probe)
        checkpoints = WriteCheckpoints(self.reporter, self.results)
        callbacks: list[pl.Callback] = [
            _AtStart(self._terminate, self._random_state, self.reporter),
            ReportUpdates(self.reporter),
            Validate(self.reporter, self.config, self.results),
            samples,
            checkpoints,
            EndInTime(self.reporter),
        ]
        if self.config.analysis.every is not None:
            training = self.config.training
            learnt = as_learnt(probe, training.loss_at)
            record = RecordGradients(self.reporter, training, self.config.analysis.every, learnt)
            callbacks[3:3] = [record, RecordSpectra(self.reporter, training)]
        self._describe(resolved, module)
        self.reporter.summary(informative=probe.informative_counts())
        # Also where no update is left to do: the checkpoint's weights are put in place by fit.
        with contextlib.suppress(SIGTERMException):  # of a signal that came while Lightning got ready
            fit(module, self.config.training.accelerator, callbacks)
        return self._conclude(module, resolved, samples, checkpoints)

    def _is_over(self) -> bool:
        """Whether someone has ended this attempt before its last update."""
        return self.terminated or self.reporter.stop_requested.is_set() or bool(self.reporter.abandoned)

    # --- Before training ---------------------------------------------------------------------------

    def _corpus(self, corpus_id: str) -> str:
        response = self.reporter.fetch(f"/corpora/{corpus_id}/text")
        return response.content.decode("utf-8")

    def _table(self, corpus_id: str) -> Table:
        """The table as the service has read it; only the column that is wanted comes over."""
        path = f"/corpora/{corpus_id}/table"
        reading = TableReading.model_validate_json(self.reporter.fetch(path).content)

        def load(name: str) -> array[float]:
            return from_bytes(self.reporter.fetch(f"{path}/column?name={quote(name, safe='')}").content)

        return fetched(reading, load)

    def _module(self, network: Network[Any], resolved: Resolved) -> RecurrentTraining:
        analysis, training = self.config.analysis, self.config.training
        pauses = [p for p in (analysis.every, analysis.samples_every, training.validate_every) if p]
        return training_module(network, resolved, self.config, pauses)

    def _load_checkpoint(self, module: RecurrentTraining) -> None:
        if not self.assignment.resume:
            return
        path = f"/runs/{self.assignment.run_id}/attempts/{self.assignment.attempt}/checkpoint"
        response = self.reporter.fetch(path)
        if response.status_code == 204:
            self.reporter.log("info", "No checkpoint was stored: the run starts again from its first update.")
            return
        try:
            stored = unpack(response.content)
        except CheckpointError as error:
            raise RuntimeError(f"{error}; launch the run again") from error
        module.resume_from(stored["module"])
        self.results.load_state_dict(stored["results"])
        # The global generators go back last: building the network and the trainer may have drawn from them.
        self._random = stored["random"]
        self.reporter.progress(module.step)
        self.reporter.log("info", f"Resumed from the checkpoint at update {module.step}.")

    def _describe(self, resolved: Resolved, module: RecurrentTraining) -> None:
        parameters = sum(p.numel() for p in module.network.parameters())
        self.reporter.summary(parameters=parameters, chance=resolved.chance(self.config.training))
        self.reporter.log(
            "info",
            f"Attempt {self.assignment.attempt}: {resolved.model_spec.title} with {parameters:,} parameters "
            f"on {resolved.task_spec.title.lower()}, process {os.getpid()}.",
        )

    _random: dict[str, Any] | None = None

    def _random_state(self) -> None:
        if self._random is not None:
            set_random_state(self._random)

    # --- After training ----------------------------------------------------------------------------

    def _conclude(
        self,
        module: RecurrentTraining,
        resolved: Resolved,
        samples: TakeSamples,
        checkpoints: WriteCheckpoints,
    ) -> End | None:
        if module.failure:
            self.reporter.log("error", f"Ended: {module.failure}.")
            return End(state=RunState.FAILED, reason=module.failure)
        # First of all: the closing test may take long, and a kill during it must cost nothing.
        checkpoints.write(module)
        if not self._is_over():
            with contextlib.suppress(EvaluationStopped):
                test(module, self.config, self.reporter, self.results)
                self._test_at_lengths(module, resolved)
                if self.config.analysis.samples_every is not None:
                    samples.take(module)
                self.reporter.log("info", f"Finished after {module.step} updates.")
                return End(state=RunState.FINISHED)
        if self.reporter.abandoned:
            return None
        # The answer to this post says whether it was the user who wanted the stop.
        self.reporter.flush(timeout=LAST_WORD_SECONDS / 2)
        if self.reporter.stop_requested.is_set():
            self.reporter.log("info", f"Stopped at update {module.step}.")
            return End(state=RunState.STOPPED, reason=f"stopped at update {module.step}")
        self.reporter.log("warning", f"Told to end by the system at update {module.step}.")
        return End(
            state=RunState.INTERRUPTED,
            reason=f"its process was told to end (SIGTERM) at update {module.step}; resume it to go on",
        )

    def _test_at_lengths(self, module: RecurrentTraining, resolved: Resolved) -> None:
        longest = self.config.analysis.test_lengths_to
        if longest is not None:
            lengths = ladder(resolved.shortest, longest)
            verdicts = evaluate_at_lengths(
                module.network, resolved.task_at, lengths, self.config.seed, lambda: module.interrupted
            )
            self.reporter.summary(lengths=verdicts)


class _AtStart(pl.Callback):
    """The last things before the first update, when Lightning has made its own preparations."""

    def __init__(self, terminate: Any, restore_random: Any, reporter: Reporter) -> None:
        self.terminate, self.restore_random, self.reporter = terminate, restore_random, reporter

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning has put its own handler in front of ours; its exception would cut the last word short.
        signal.signal(signal.SIGTERM, self.terminate)
        self.reporter.summary(device=_device_name(pl_module.device))
        self.restore_random()
        # Lightning wants training mode until here; from here on only updates do.
        pl_module.eval()


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"GPU: {torch.cuda.get_device_name(device)}"
    return {"cpu": "CPU", "mps": "Apple GPU (mps)"}.get(device.type, device.type)
