"""The first experiment: one task for three networks, chosen so that the difference shows in a minute."""

from __future__ import annotations

from trainer.schema import Catalog, Launch

TASK = "adding"
NETWORKS = ("elman", "lstm", "gru")
TAG = "demo"


def demo_launches(catalog: Catalog) -> list[Launch]:
    """One launch for each of the networks, alike in all but the network, with the task's own defaults."""
    task = next(entry for entry in catalog.tasks if entry.name == TASK)
    titles = {entry.name: entry.title for entry in catalog.models}
    return [
        Launch.model_validate(
            {
                "config": {
                    "model": {"name": network},
                    "task": {"name": task.name},
                    "training": task.training_defaults,
                },
                "name": f"{titles[network]}, {task.title.lower()}",
                "tags": [TAG],
            }
        )
        for network in NETWORKS
        if network in titles
    ]
