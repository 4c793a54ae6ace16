"""The first experiment: one task for three networks, chosen so that the difference shows in a minute."""

from __future__ import annotations

from trainer.schema import Catalog, Launch

TASK, LENGTH = "temporal_order", 50
TRAINING = {"steps": 2000, "learning_rate": 0.003}
"""Where a plain network stays at chance and a gated one solves the task, on every seed that was tried."""
NETWORKS = ("elman", "lstm", "gru")
TAG = "demo"


def demo_launches(catalog: Catalog) -> list[Launch]:
    """One launch for each of the networks, alike in all but the network."""
    task = next(entry for entry in catalog.tasks if entry.name == TASK)
    titles = {entry.name: entry.title for entry in catalog.models}
    return [
        Launch.model_validate(
            {
                "config": {
                    "model": {"name": network},
                    "task": {"name": task.name, "length": LENGTH},
                    "training": TRAINING,
                },
                "name": f"{titles[network]}, {task.title.lower()}",
                "tags": [TAG],
            }
        )
        for network in NETWORKS
        if network in titles
    ]
