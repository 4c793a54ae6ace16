"""The tasks a network can be trained on. A new task is one file here and one line in ``TASKS``."""

from trainer.tasks import adding, characters, temporal_order
from trainer.tasks.base import TaskSpec

TASKS: dict[str, TaskSpec] = {
    "adding": adding.SPEC,
    "temporal_order": temporal_order.SPEC,
    "characters": characters.SPEC,
}
"""By the name that a run's configuration uses, in the order in which the catalogue shows them."""
