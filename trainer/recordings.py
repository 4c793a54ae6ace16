"""What a run records of its gradients and weights while it trains, at every so many updates."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from models.bptt.credit import INPUT, credit, input_gradient
from models.bptt.jacobians import eigenvalues
from models.bptt.state_gradients import norms_over_time
from models.bptt.truncation import truncation_meter
from trainer.callbacks import BlockCallback
from trainer.module import RecurrentTraining
from trainer.reporter import Reporter
from trainer.schema import EIGENVALUES, TrainingConfig
from trainer.tasks.base import Batch
from trainer.tbptt import windows

MOST_SPECTRA = 2 * 256**3
"""Of the cubed sizes of all matrices whose eigenvalues are recorded: some 50 ms."""
MOST_READ = 4
"""How often the windows of a truncation may read each timestep of the probe for it to be measured live."""


class Recording(BlockCallback):
    """Records before the first update and at every ``every``-th."""

    def __init__(self, reporter: Reporter, every: int) -> None:
        self.reporter, self.every = reporter, every

    @override
    def at_start(self, module: RecurrentTraining) -> None:
        if module.step == 0:
            self.record(module)

    @override
    def at_block(self, module: RecurrentTraining) -> None:
        if module.step % self.every == 0:
            self.record(module)

    @abstractmethod
    def record(self, module: RecurrentTraining) -> None: ...

    def point(self, module: RecurrentTraining, key: str, value: float) -> None:
        self.reporter.points(key, [module.step], [value], [module.seconds], [module.cursor.sequences])

    def vector(self, module: RecurrentTraining, name: str, numbers: Tensor) -> None:
        """(N,), sent as float32, little-endian."""
        data = numbers.to("cpu", torch.float32).numpy().astype("<f4").tobytes()
        self.reporter.vector(name, module.step, data)


class RecordGradients(Recording):
    """What the loss's gradient does through time, on a probe batch that stays the same.

    The norm at every timestep; where some timesteps decide the target, how much of it arrives at those
    (``credit/…``); and where training truncates, how its gradient compares with the full one
    (``truncation/…``), unless its windows overlap so much that measuring would cost more than a few updates.
    """

    def __init__(self, reporter: Reporter, training: TrainingConfig, every: int, probe: Batch) -> None:
        super().__init__(reporter, every)
        self.probe = probe
        cut = windows(probe.length, training.k1, training.k2)
        read = sum(window.end - window.start for window in cut)
        self.cut = cut if len(cut) > 1 and read <= MOST_READ * probe.length else []

    @override
    def at_start(self, module: RecurrentTraining) -> None:
        self.probe = self.probe.to(module.device, module.dtype_of_numbers)
        super().at_start(module)

    @override
    def record(self, module: RecurrentTraining) -> None:
        probe, network = self.probe, module.network
        count = probe.scored_count()

        def loss(outputs: Tensor) -> Tensor:
            return module.task.scored_losses(outputs[:, probe.first :], probe).sum() / count

        gradients = network.state_gradients(probe.inputs, None, loss)
        for name, norms in norms_over_time(gradients).items():
            self.vector(module, name, norms)
        if probe.informative is not None and gradients:
            of_inputs = {INPUT: input_gradient(network, probe.inputs, None, loss)}
            for name, found in credit({**of_inputs, **gradients}, probe.informative, probe.lengths()).items():
                self._compared(module, f"credit/{name}", found.ratio)
        if self.cut:
            (matches,) = truncation_meter(network, probe.inputs, None, loss, [self.cut])
            for role, match in matches.items():
                self._compared(module, f"truncation/cosine/{role}", match.cosine)
                self._compared(module, f"truncation/norm_ratio/{role}", match.norm_ratio)

    def _compared(self, module: RecurrentTraining, key: str, value: float) -> None:
        if not math.isnan(value):  # no gradient at all, or one that is NaN: there is nothing to compare
            self.point(module, key, value)


class RecordSpectra(Recording):
    """The eigenvalues of each recurrent matrix, and the largest one's size, before the first update and
    whenever the run validates.

    Of matrices whose eigenvalues take no longer than a few updates.
    """

    def __init__(self, reporter: Reporter, training: TrainingConfig) -> None:
        super().__init__(reporter, training.validate_every)
        self.last = training.steps

    @override
    def at_block(self, module: RecurrentTraining) -> None:
        if module.step % self.every == 0 or module.step == self.last:
            self.record(module)

    @override
    def record(self, module: RecurrentTraining) -> None:
        matrices = module.network.recurrent_matrices()
        if sum(len(matrix) ** 3 for matrix in matrices.values()) > MOST_SPECTRA:
            return
        for name, matrix in matrices.items():
            found = eigenvalues(matrix)
            self.point(module, f"spectral_radius/{name}", float(found.abs().max()))
            self.vector(module, EIGENVALUES + name, torch.view_as_real(found).flatten())
