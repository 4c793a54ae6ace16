"""Deleting gives the space back."""

from __future__ import annotations

from pathlib import Path

from benchmarks.prove.ground import Ground
from benchmarks.prove.processes import until
from benchmarks.prove.promise import Promise, hold
from benchmarks.prove.stand_in import ENDLESS, StandIn

CHECKPOINTS, MEGABYTES = 3, 16
SHARE = 0.35
"""Of the largest size that may be left."""
GIVEN_BACK_WITHIN = 60.0
"""Seconds."""


def size(ground: Ground) -> int:
    """Bytes that the database takes."""
    if ground.is_postgresql:
        return int(ground.rows("SELECT pg_database_size(current_database()) AS size")[0].size)
    file = Path(ground.store.removeprefix("sqlite:///"))
    return sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))


def given_back(ground: Ground) -> str:
    """A run with large checkpoints is deleted, and the database shrinks while the service runs."""
    with ground.service() as service:
        empty = size(ground)
        run = service.launch(ENDLESS)
        worker = StandIn(ground, service, run)
        for _ in range(CHECKPOINTS):
            data = ground.chosen.randbytes(2**20) * MEGABYTES
            reply = worker.post(worker.report(bytes([_]) + data, points=2000))
            hold(reply.status_code == 200, f"a report was answered {reply.status_code}: {reply.text[:300]}")
        full = size(ground)
        worker.close()
        hold(until(lambda: service.run(run).state.is_over, 30), "a killed worker's run is not over")
        service.call("DELETE", f"/runs/{run.id}")
        until(lambda: size(ground) - empty <= SHARE * (full - empty), GIVEN_BACK_WITHIN, 0.5)
        left = size(ground)
        share = (left - empty) / (full - empty)
        hold(
            share <= SHARE,
            f"{full / 1e6:.0f} MB with a run, {left / 1e6:.0f} MB without it, after {GIVEN_BACK_WITHIN:g} s",
        )
    return f"{empty / 1e6:.1f} MB empty, {full / 1e6:.0f} MB with the run, {left / 1e6:.1f} MB once deleted"


PROMISES = [
    Promise(
        name="space",
        says="Deleting a run gives its space back",
        tried=f"a run with checkpoints of {MEGABYTES} MB deleted under a running service; the size measured",
        proof=given_back,
    ),
]
