"""Checkpoints: the last two of a run and the best are kept, each checked against its SHA-256 both ways."""

from __future__ import annotations

import hashlib
import math
from typing import Literal

from sqlalchemy import Connection, and_, delete, func, select, update

from trainer.schema import CheckpointInfo, CheckpointMeta
from trainer.store.errors import BadReport, CorruptCheckpoint
from trainer.store.metrics import MAX_STEP
from trainer.store.records import Checkpoint
from trainer.store.tables import checkpoints
from trainer.store.upsert import upsert

KEPT = 2
"""The newest ones, beside the best."""

Which = Literal["latest", "best"] | int


def check(meta: CheckpointMeta | None, data: bytes | None) -> None:
    """Refuse bytes that are not those announced, before anything is written."""
    if meta is None:
        if data:
            raise BadReport(
                f"{len(data)} bytes follow a report that announces no checkpoint", "announce them"
            )
        return
    if not data:
        raise BadReport(
            f"the checkpoint of step {meta.step} was announced but has no bytes", "send them as well"
        )
    if not 0 <= meta.step < MAX_STEP:
        raise BadReport(f"a checkpoint of step {meta.step}", "count updates from 0")
    found = hashlib.sha256(data).hexdigest()
    if found != meta.sha256:
        raise BadReport(
            f"the checkpoint of step {meta.step} has SHA-256 {found[:9]}…, announced was {meta.sha256[:9]}…",
            "send the report again",
        )


def write(connection: Connection, run: int, meta: CheckpointMeta, data: bytes) -> None:
    """Store a checkpoint, mark it if it is the best, and let go of those no longer kept."""
    loss = meta.validation_loss
    loss = loss if loss is not None and math.isfinite(loss) else None
    of_run = checkpoints.c.run == run
    best = connection.execute(
        select(func.min(checkpoints.c.validation_loss)).where(
            of_run, checkpoints.c.is_best, checkpoints.c.step != meta.step
        )
    ).scalar_one()
    is_best = loss is not None and (best is None or loss < best)
    if is_best:
        connection.execute(update(checkpoints).where(of_run).values(is_best=False))
    row = {"run": run, "step": meta.step, "sha256": meta.sha256, "validation_loss": loss}
    upsert(connection, checkpoints, [{**row, "is_best": is_best, "data": data}])
    steps = select(checkpoints.c.step).where(of_run).order_by(checkpoints.c.step.desc()).limit(KEPT)
    newest = connection.execute(steps).scalars().all()
    connection.execute(
        delete(checkpoints).where(and_(of_run, checkpoints.c.step.not_in(newest), ~checkpoints.c.is_best))
    )


def listed(connection: Connection, run: int) -> list[CheckpointInfo]:
    """Those that are kept, oldest first; their bytes are not looked at."""
    columns = (
        checkpoints.c.step,
        checkpoints.c.validation_loss,
        checkpoints.c.is_best,
        func.length(checkpoints.c.data).label("size"),
    )
    rows = connection.execute(
        select(*columns).where(checkpoints.c.run == run).order_by(checkpoints.c.step)
    ).all()
    return [CheckpointInfo(**row._asdict()) for row in rows]


def read(connection: Connection, run: int, which: Which) -> Checkpoint | None:
    """The newest, the best by validation loss, or that of one step; CorruptCheckpoint if it is damaged."""
    found = select(checkpoints.c.step, checkpoints.c.sha256, checkpoints.c.data).where(
        checkpoints.c.run == run
    )
    if which == "best":
        found = found.where(checkpoints.c.is_best)
    elif which != "latest":
        found = found.where(checkpoints.c.step == which)
    row = connection.execute(found.order_by(checkpoints.c.step.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    if hashlib.sha256(row.data).hexdigest() != row.sha256:
        raise CorruptCheckpoint(
            f"the stored checkpoint of step {row.step} is damaged",
            "resume the run: it starts from the last checkpoint that is intact",
        )
    return Checkpoint(step=row.step, sha256=row.sha256, data=bytes(row.data))
