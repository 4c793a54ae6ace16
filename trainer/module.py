"""The LightningModule: a block of optimiser updates per training step.

Lightning's own work around a ``training_step`` costs 1 to 2 ms, as much as half an update of a toy network.
So what Lightning calls a batch is here a block of updates, and the step that users see is the optimiser
update, counted by us. Optimisation is manual: truncated windows, summed gradients and a clip between backward
and step leave nothing for the automatic kind to do.

Axes: B (batch), T (time), O (outputs).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Generator, Tensor, optim

from models.base import Network, map_state
from models.bptt.omega import omega, recurrent_weights
from trainer.checkpoint import random_state, set_random_state
from trainer.clipping import Clipped, clip_gradients
from trainer.cursor import Cursor, Work
from trainer.lengths import RandomLengths
from trainer.noise import GradientNoise
from trainer.norms import to_widest
from trainer.optimizers import make_optimizer
from trainer.schedules import changes, learning_rate
from trainer.schema import TrainingConfig, blow_up
from trainer.scoring import RULES
from trainer.tasks.base import Task
from trainer.tbptt import forward_window, read

BLOCK_UPDATES = 50
"""Updates per block: enough to make Lightning's cost per update small."""
BLOCK_SECONDS = 0.25
"""A block of slow updates ends early, so that a stop is answered soon."""
SLOW_UPDATE_SECONDS = 0.5
"""After an update that took longer, the next one can be broken off."""


class Update(NamedTuple):
    """What one optimiser update reports."""

    step: int
    """1 for the first update."""
    loss: float
    """Mean over the scored outputs of the update's windows."""
    norm_before: float
    norm_after: float
    clipped: bool
    seconds: float
    sequences: float
    learning_rate: float | None = None
    """None where it is the same for all updates."""
    omega: float | None = None
    """None where the regulariser is off."""
    clip_cosine: float | None = None
    """Between the gradient before and after the clip; None where the clip keeps its direction."""


class _Pending(NamedTuple):
    """An update whose numbers still lie on the device."""

    step: int
    loss_sum: Tensor
    scored: int
    clip: Clipped
    seconds: float
    sequences: float
    omega: Tensor | None


class RecurrentTraining(pl.LightningModule):
    """Trains a network on a task; ``block`` holds what the last block of updates reported.

    Args:
        network: any network that meets ``models.base``.
        task: any task that meets ``trainer.tasks.base``.
        config: the training settings.
        generator: the source of training data, on the CPU.
        pauses: a block ends at every multiple of each of these, so that a callback sees that very step.
        lengths: draws the training batches instead of ``task``, at lengths of their own.
        noise_seed: where the gradient noise starts.
        until: the last update, where that is another one than ``config.steps``, by which schedules go.
    """

    def __init__(
        self,
        network: Network[Any],
        task: Task,
        config: TrainingConfig,
        generator: Generator,
        pauses: Sequence[int] = (),
        *,
        lengths: RandomLengths | None = None,
        noise_seed: int = 0,
        until: int | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.dtype_of_numbers = torch.float64 if config.precision == "64" else None
        """Of inputs and targets; None leaves them as the task draws them, in float32."""
        self.network, self.task, self.config = network.to(self.dtype_of_numbers), task, config
        self.generator, self.pauses = generator, tuple(pauses)
        self.lengths, self.noise_seed = lengths, noise_seed
        self.last = config.steps if until is None else until
        self.low_precision = config.precision == "bf16"
        self.averages = config.accumulate == "mean"
        self.learning_rate_changes = changes(config)
        self.noise: GradientNoise | None = None
        self.step = 0
        """Optimiser updates made."""
        self.clipped_updates = 0
        self.seconds_before = 0.0
        """Training time of earlier attempts."""
        self.block: list[Update] = []
        self.failure: str | None = None
        """Why training cannot go on, once it cannot."""
        self.interrupted = False
        """Set from outside, at any time: the block ends after its current update; a slow one is undone."""
        self._omega: Tensor | None = None  # summed over the update's windows
        self._is_slow = True  # until the first update is known to be quick
        self._resume_from: dict[str, Any] | None = None

    # --- Lightning's hooks -------------------------------------------------------------------------

    def configure_optimizers(self) -> optim.Optimizer:
        return make_optimizer(self.network.parameters(), self.config, self.device)

    def on_fit_start(self) -> None:
        """Everything that needs the device; a checkpoint is loaded here, when weights lie where they stay."""
        self.optimizer: optim.Optimizer = self.optimizers(use_pl_optimizer=False)  # type: ignore[assignment]
        self.parameters_list = [p for p in self.network.parameters() if p.requires_grad]
        self.cursor: Cursor[Any] = Cursor(
            self.network,
            self.task,
            batch_size=self.config.batch_size,
            k1=self.config.k1,
            k2=self.config.k2,
            generator=self.generator,
            device=self.device,
            dtype=self.dtype_of_numbers,
            carry_state=self.config.carry_state,
            rescore=RULES[self.config.loss_at],
            lengths=self.lengths,
        )
        strength = self.config.gradient_noise
        self.noise = None if strength is None else GradientNoise(strength, self.noise_seed, self.device)
        if self._resume_from is not None:
            self._restore(self._resume_from)
        self._clock_began = time.perf_counter()

    def training_step(self, *_: Any) -> None:
        """One block. The network is in training mode for its updates only: nothing else drops units out."""
        self.network.train()
        end = self._block_end()
        pending: list[_Pending] = []
        began = time.perf_counter()
        while self.step < end and not self.interrupted and time.perf_counter() - began < BLOCK_SECONDS:
            update = self._update()
            if update is None:
                break
            pending.append(update)
        self.network.eval()
        self.block = self._collect(pending)

    # --- One update --------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Training time so far, over all attempts."""
        return self.seconds_before + time.perf_counter() - self._clock_began

    def _block_end(self) -> int:
        ends = [self.step + BLOCK_UPDATES, self.last]
        # The very first block is one update, so that a first loss is seen at once.
        ends += [1] if self.step == 0 else []
        ends += [(self.step // pause + 1) * pause for pause in self.pauses]
        return min(ends)

    def _update(self) -> _Pending | None:
        """Windows forward and backward, ``update_every`` of them, then clip, then step.

        None where an interruption undid it: the cursor and the global generators, from which dropout draws,
        stand where the update began.
        """
        # Setting an attribute of a module costs microseconds, and a small update has 400 of them.
        began = time.perf_counter()
        before = (self.cursor.state_dict(), random_state()) if self._is_slow else None
        for parameter in self.parameters_list:
            parameter.grad = None
        if self._omega is not None:
            self._omega = None
        sums: list[Tensor] = []
        scored = 0
        while len(sums) < self.config.update_every:
            if before is not None and self.interrupted:
                self.cursor.load_state_dict(before[0])
                set_random_state(before[1])
                return None
            summed, count = self._window()
            if summed is not None:
                sums.append(summed)
                scored += count
        gradients = [p.grad for p in self.parameters_list if p.grad is not None]
        if self.averages:
            torch._foreach_mul_(gradients, 1 / scored)
        clip = clip_gradients(gradients, self.config.clip, self.config.clip_at)
        if self.noise is not None:
            self.noise.add_to(gradients, self.step)
        if self.learning_rate_changes:
            rate = learning_rate(self.config, self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        self.optimizer.step()
        self.step += 1
        is_slow = time.perf_counter() - began > SLOW_UPDATE_SECONDS
        if is_slow != self._is_slow:
            self._is_slow = is_slow
        total = sums[0] if len(sums) == 1 else torch.stack(sums).sum()
        omega_mean = None if self._omega is None else self._omega / len(sums)
        return _Pending(self.step, total, scored, clip, self.seconds, self.cursor.sequences, omega_mean)

    def _window(self) -> tuple[Tensor | None, int]:
        """One window forward and, where any of its outputs is scored, backward.

        The gradient is that of the window's share in its batch's mean loss, so that the gradients of all
        windows of a sequence add up to the sequence's own whatever their lengths. Where windows are averaged
        it is that of the window's summed loss, which ``_update`` divides once it knows by how much.

        Returns:
            The detached sum of the window's losses and how many there are; None, 0 where none is scored.
        """
        work = self.cursor.next()
        spans = work.batch.scored(work.window.begin, work.window.end)
        # The autocast region is opened for each window: it caches cast weights until it closes, and one
        # that stayed open over several updates would go on using the weights of the first.
        low = torch.autocast(self.device.type, torch.bfloat16) if self.low_precision else nullcontext()
        if spans is None:
            # There is nothing to learn from: only the state at the next window's start is wanted.
            kept = work.state
            if work.lead:
                with torch.no_grad(), low:
                    early = None if work.teacher is None else work.teacher[:, : work.lead]
                    _, kept = read(self.network, work.inputs[:, : work.lead], work.state, work.lead, early)
            self.cursor.advance(kept)
            return None, 0
        within, of_targets = spans
        with low:
            outputs, kept = forward_window(
                self.network, work.inputs, work.state, work.lead, work.history + within.start, work.teacher
            )
        self.cursor.advance(kept)
        if outputs.dtype is torch.bfloat16:
            outputs = outputs.float()
        summed, count = self._summed_loss(outputs, work, of_targets)
        if count == 0:
            return None, 0
        share = 1.0 if self.averages else 1 / work.scored_in_batch
        summed.backward(gradient=summed.new_tensor(share))  # type: ignore[no-untyped-call]
        if self.config.omega is not None:
            self._regularise(work, within, of_targets, share * count)
        return summed.detach(), count

    def _summed_loss(self, outputs: Tensor, work: Work, of_targets: slice) -> tuple[Tensor, int]:
        """The summed loss of a window's scored (B, n, O) outputs, and how many of them count."""
        losses = self.task.elementwise_loss(outputs, work.batch.targets[:, of_targets])
        if work.batch.mask is None:
            return losses.sum(), losses.numel()
        mask = work.batch.mask[:, of_targets]
        return losses[mask].sum(), int(mask.sum())

    def _regularise(self, work: Work, within: slice, of_targets: slice, share: float) -> None:
        """Add Ω's gradient over a window to that of its loss, by the same share of the batch."""
        assert self.config.omega is not None
        first = work.history + within.start

        def loss(outputs: Tensor) -> Tensor:
            summed, _ = self._summed_loss(outputs[:, first:], work, of_targets)
            return summed / work.scored_in_batch

        self.network.eval()  # Ω is a property of the whole network, not of one with units dropped out
        # Ω is reckoned outside autocast, which may have left a state of 16 bits.
        state = map_state(lambda held: held.to(work.inputs.dtype), work.state)
        found = omega(self.network, work.inputs, state, loss)
        self.network.train()
        for role, weight in recurrent_weights(self.network).items():
            assert weight.grad is not None
            weight.grad.add_(found.gradients[role], alpha=self.config.omega * share)
        self._omega = found.value if self._omega is None else self._omega + found.value

    def _collect(self, pending: list[_Pending]) -> list[Update]:
        """Fetch a block's numbers from the device at once, up to the first that is not finite."""
        if not pending:
            return []
        columns = zip(*((p.loss_sum, *p.clip[:3]) for p in pending), strict=True)
        # A norm may be beyond the range of the numbers that it is one of.
        fetched = torch.stack([to_widest(torch.stack(column)) for column in columns])  # (4, updates)
        omegas = [p.omega for p in pending if p.omega is not None]
        values = iter(torch.stack(omegas).tolist() if omegas else [None] * len(pending))
        bent = [p.clip.cosine for p in pending if p.clip.cosine is not None]
        cosines = iter(torch.stack(bent).tolist() if bent else [None] * len(pending))
        block = []
        for p, (loss_sum, before, after, acted) in zip(pending, fetched.t().tolist(), strict=True):
            loss = loss_sum / p.scored
            rate = learning_rate(self.config, p.step - 1) if self.learning_rate_changes else None
            update = Update(
                p.step,
                loss,
                before,
                after,
                bool(acted),
                p.seconds,
                p.sequences,
                rate,
                next(values),
                next(cosines),
            )
            block.append(update)
            self.clipped_updates += update.clipped
            if not math.isfinite(update.loss):
                self.failure = blow_up("the loss", update.loss, update.step)
            elif not math.isfinite(update.norm_before):
                self.failure = blow_up("the gradient's norm", update.norm_before, update.step)
            if self.failure:
                self.step = update.step
                break
        return block

    # --- Resuming ----------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """All that the next update depends on, and the counts that reports need."""
        return {
            "step": self.step,
            "clipped_updates": self.clipped_updates,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "cursor": self.cursor.state_dict(),
        }

    def resume_from(self, snapshot: dict[str, Any]) -> None:
        """Start from ``snapshot`` instead of from nothing; call before ``Trainer.fit``."""
        self._resume_from = snapshot
        self.step = snapshot["step"]

    def _restore(self, snapshot: dict[str, Any]) -> None:
        self.network.load_state_dict(snapshot["network"])
        self.optimizer.load_state_dict(snapshot["optimizer"])
        self.cursor.load_state_dict(snapshot["cursor"])
        self.clipped_updates = snapshot["clipped_updates"]
        self.seconds_before = snapshot["seconds"]
