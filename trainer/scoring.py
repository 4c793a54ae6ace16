"""Which outputs of a training batch are learnt from, where that is not what the task scores.

Axes: B (batch), T (time), O (outputs).
"""

from __future__ import annotations

from collections.abc import Callable

from trainer.tasks.base import Batch


def asks_once(batch: Batch) -> bool:
    """Whether every sequence has one target, after its last timestep."""
    return batch.first == batch.length - 1 and batch.mask is None


def at_last(batch: Batch) -> Batch:
    """Only the last scored output of each sequence."""
    if batch.mask is None:
        return batch._replace(targets=batch.targets[:, -1:], first=batch.length - 1)
    later = batch.mask.flip(1).cumsum(1).flip(1)  # (B, T - first) scored outputs from here on
    return batch._replace(mask=batch.mask & (later == 1))


def at_all(batch: Batch) -> Batch:
    """Target replication: the one target of each sequence, wanted at every timestep.

    Lipton et al. 2015, "Learning to diagnose with LSTM recurrent neural networks" (arXiv 1511.03677), there
    mixed with the loss at the end; here it is the whole loss.
    """
    if not asks_once(batch):
        raise ValueError("only a sequence with one target, at its end, can have it at every timestep")
    shape = (-1, batch.length, *batch.targets.shape[2:])
    return batch._replace(targets=batch.targets.expand(shape), first=0)


RULES: dict[str, Callable[[Batch], Batch] | None] = {"task": None, "last": at_last, "all": at_all}
"""By the setting ``loss_at``; None leaves the batch as it is."""


def as_learnt(batch: Batch, loss_at: str) -> Batch:
    """The batch with losses where a run with the setting ``loss_at`` has them in training."""
    rescore = RULES[loss_at]
    return batch if rescore is None else rescore(batch)
