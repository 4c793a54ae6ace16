"""The tasks a network can be trained on. A new task is one file here and one line in ``TASKS``."""

from trainer.tasks import (
    adding,
    characters,
    copy_memory,
    counting,
    digits,
    dyck,
    echo,
    lag,
    memorisation,
    multiplication,
    parity,
    random_lag,
    random_permutation,
    reber,
    series,
    temporal_order,
    waves,
    words,
)
from trainer.tasks.base import TaskSpec

TASKS: dict[str, TaskSpec] = {
    "adding": adding.SPEC,
    "temporal_order": temporal_order.SPEC,
    "multiplication": multiplication.SPEC,
    "random_permutation": random_permutation.SPEC,
    "memorisation": memorisation.SPEC,
    "copy_memory": copy_memory.SPEC,
    "echo": echo.SPEC,
    "lag": lag.SPEC,
    "random_lag": random_lag.SPEC,
    "reber": reber.SPEC,
    "parity": parity.SPEC,
    "counting": counting.SPEC,
    "dyck": dyck.SPEC,
    "waves": waves.SPEC,
    "characters": characters.SPEC,
    "words": words.SPEC,
    "digits": digits.SPEC,
    "series": series.SPEC,
}
"""By the name that a run's configuration uses, in the order in which the catalogue shows them."""
