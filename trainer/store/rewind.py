"""Before a resumed attempt: back to the newest checkpoint that is intact, as if nothing came after it."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, select

from trainer.schema import Run, Summary, finite
from trainer.store import metrics
from trainer.store.logs import append_line
from trainer.store.mapping import summary_columns
from trainer.store.metrics import SECONDS, STEP, VALUE
from trainer.store.tables import checkpoints, samples, vectors


def rewind(connection: Connection, run: Run) -> tuple[int | None, dict[str, Any]]:
    """Drop what was recorded after the checkpoint, or everything where there is none.

    Returns:
        The checkpoint's step or None, and the summary's columns as of that step.
    """
    step = _drop_damaged(connection, run)
    metrics.cut_after(connection, run.number, -1 if step is None else step)
    for table in (vectors, samples, checkpoints):
        gone = delete(table).where(table.c.run == run.number)
        connection.execute(gone if step is None else gone.where(table.c.step > step))
    return step, summary_columns(_summary_at(connection, run, step))


def newest_intact(connection: Connection, run: int) -> int | None:
    """The step of the newest checkpoint whose bytes match their hash; None where there is none."""
    found = select(checkpoints.c.step).where(checkpoints.c.run == run)
    steps = connection.execute(found.order_by(checkpoints.c.step.desc())).scalars().all()
    return next((int(step) for step in steps if _is_intact(connection, run, step)), None)


def _drop_damaged(connection: Connection, run: Run) -> int | None:
    """The same, and those after it are dropped, which the run's log tells."""
    intact = newest_intact(connection, run.number)
    damaged = select(checkpoints.c.step).where(checkpoints.c.run == run.number)
    if intact is not None:
        damaged = damaged.where(checkpoints.c.step > intact)
    for step in connection.execute(damaged.order_by(checkpoints.c.step.desc())).scalars().all():
        text = f"The checkpoint of step {step} is damaged; dropped it."
        append_line(connection, run.number, run.attempt, "warning", text)
        this = (checkpoints.c.run == run.number, checkpoints.c.step == step)
        connection.execute(delete(checkpoints).where(*this))
    return intact


def _is_intact(connection: Connection, run: int, step: int) -> bool:
    this = (checkpoints.c.run == run, checkpoints.c.step == step)
    row = connection.execute(select(checkpoints.c.sha256, checkpoints.c.data).where(*this)).one()
    return bool(hashlib.sha256(row.data).hexdigest() == row.sha256)


def _summary_at(connection: Connection, run: Run, step: int | None) -> Summary:
    """The summary with its results taken from the rows that are left."""
    stays = run.summary.model_dump(include={"parameters", "device", "chance"})
    if step is None:
        return Summary(**stays)
    stays |= run.summary.model_dump(include={"steps_per_second", "sequences_per_second", "clip_rate"})
    losses = metrics.points_of(connection, run.number, "loss")
    validation = metrics.points_of(connection, run.number, "validation/loss")
    errors = metrics.points_of(connection, run.number, "validation/error")
    if losses.size:
        stays["loss"] = finite(float(losses[VALUE, -1]))
        stays["seconds"] = float(losses[SECONDS, -1])
    if validation.size:
        error_at = dict(zip(errors[STEP].tolist(), errors[VALUE].tolist(), strict=True))
        stays["validation_loss"] = finite(float(validation[VALUE, -1]))
        stays["validation_error"] = error_at.get(float(validation[STEP, -1]))
        values = np.where(np.isfinite(validation[VALUE]), validation[VALUE], np.inf)
        best = int(values.argmin())
        if math.isfinite(values[best]):
            stays |= {
                "best_step": int(validation[STEP, best]),
                "best_validation_loss": float(values[best]),
            }
        if errors.size:
            stays["best_validation_error"] = float(errors[VALUE].min())  # each best is taken by itself
        if run.summary.bits_per_character is not None and stays["validation_loss"] is not None:
            stays["bits_per_character"] = stays["validation_loss"] / math.log(2)
    if run.summary.solved_at is not None and run.summary.solved_at <= step:
        stays |= {"solved": run.summary.solved, "solved_at": run.summary.solved_at}
    return Summary(**stays)
