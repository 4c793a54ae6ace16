"""The best blind guesser of a task over symbols, simulated."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.tasks.base import Task


def assert_chance_is_reached_and_not_beaten(task: Task, guess: Tensor, sure: Tensor, sequences: int) -> None:
    """Loss and error of two blind guessers, measured on fresh sequences, are the task's chance level.

    One guesser gives the probabilities ``guess`` (n, O) whatever it reads: its mean loss must be the chance
    loss, and go up when its probabilities are changed. The other is sure of the classes ``sure`` (n,): its
    error must be the chance error. Both within five standard errors.
    """
    generator = torch.Generator().manual_seed(3)
    batch = task.draw_validation(sequences, generator)
    outputs = guess.double().clamp(min=1e-12).log()

    def losses(logits: Tensor) -> Tensor:
        return task.elementwise_loss(logits.expand(sequences, -1, -1), batch.targets).mean(dim=1)

    blind = losses(outputs)
    spread = float(blind.std()) / sequences**0.5
    # Half of all guesses are equally good in every sequence: then there is no spread, only rounding.
    assert abs(float(blind.mean()) - task.chance.loss) < 5 * spread + 1e-6
    for _ in range(3):
        changed = outputs + torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
        assert float(losses(changed).mean()) > task.chance.loss

    certain = 100 * torch.nn.functional.one_hot(sure, task.output_size).float()
    score = task.score(certain.expand(sequences, -1, -1), batch)
    error = task.chance.error
    assert error is not None
    assert abs(score.wrong / score.total - error) < 5 * (error * (1 - error) / score.total) ** 0.5
