"""MLflow's side of rows.py. Runs in MLflow's own environment, so it imports nothing of ours.

Takes the shape as JSON and prints the seconds that writing and reading took.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

from mlflow import MlflowClient
from mlflow.entities import Metric


def measure(keys: list[str], updates: int, updates_per_report: int) -> tuple[float, float]:
    """Seconds to write all rows with log_batch, and to read them with get_metric_history."""
    with TemporaryDirectory() as folder:
        client = MlflowClient(tracking_uri=f"sqlite:///{Path(folder) / 'mlflow.db'}")
        run_id = client.create_run(client.create_experiment("rows")).info.run_id
        batches = [
            [
                Metric(key=key, value=float(step), timestamp=step, step=step)
                for key in keys
                for step in range(first, first + updates_per_report)
            ]
            for first in range(1, updates + 1, updates_per_report)
        ]
        began = time.perf_counter()
        for batch in batches:
            client.log_batch(run_id, metrics=batch)
        written = time.perf_counter()
        histories = [client.get_metric_history(run_id, key) for key in keys]
        read = time.perf_counter()
    if any(len(history) != updates for history in histories):
        raise RuntimeError("what was read is not what was written")
    return written - began, read - written


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
