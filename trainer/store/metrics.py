"""Scalars: stored as chunks, the points of one metric that one report brought.

A chunk is one row whose blob is a (4, n) matrix of little-endian float64: step, value, seconds, sequences. A
run of 100,000 updates then has some thousand rows a metric instead of 100,000, and is read without making a
Python object of each number first; NaN and infinity need no columns of their own. Chunks of a metric never
overlap: a point that is there already is replaced.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, delete, insert, select

from trainer.schema import Column, Series
from trainer.store.downsample import indices
from trainer.store.errors import BadReport
from trainer.store.mapping import IS_THERE, not_found
from trainer.store.tables import metrics, names, runs

MAX_STEP = 2**53
Points = npt.NDArray[np.float64]
"""(4, n): step, value, seconds, sequences, in order of step, which float64 holds exactly up to 2**53."""
STEP, VALUE, SECONDS, SEQUENCES = range(4)


def check(columns: Mapping[str, Column]) -> None:
    """Refuse columns that do not fit together, before anything is written."""
    for name, column in columns.items():
        lengths = {len(column.step), len(column.value), len(column.seconds), len(column.sequences)}
        if len(lengths) > 1:
            raise BadReport(
                f"the columns of {name!r} have {sorted(lengths)} entries", "send four equal columns"
            )
        if not 0 < len(name) <= 200 or "\x00" in name:
            raise BadReport(f"a metric is called {name[:40]!r}", "use 1 to 200 characters, none of them NUL")
        if column.step and not 0 <= min(column.step) <= max(column.step) < MAX_STEP:
            raise BadReport(f"{name!r} has a step outside 0 to 2**53", "count updates from 0")
        if not all(map(math.isfinite, column.seconds)) or not all(map(math.isfinite, column.sequences)):
            raise BadReport(
                f"{name!r} has a time or a sequence count that is not finite", "only values may be"
            )


def write(connection: Connection, run: int, keys: Mapping[str, int], columns: Mapping[str, Column]) -> None:
    """Store a report's columns; a point that is there already is replaced."""
    rows = []
    for name, column in columns.items():
        if column.step:
            key = keys[name]
            points = _in_order(np.array([column.step, column.value, column.seconds, column.sequences]))
            if (overlapping := _take_overlapping(connection, run, key, points)) is not None:
                points = _in_order(np.concatenate((overlapping, points), axis=1))
            rows.append(_row(run, key, points))
    if rows:
        connection.execute(insert(metrics), rows)


def cut_after(connection: Connection, run: int, step: int) -> None:
    """Drop every point of a run after ``step``."""
    connection.execute(delete(metrics).where(metrics.c.run == run, metrics.c.first_step > step))
    across = metrics.c.run == run, metrics.c.last_step > step
    rows = connection.execute(select(metrics.c.key, metrics.c.data).where(*across)).all()
    connection.execute(delete(metrics).where(*across))
    for key, data in rows:
        points = _unpack(data)
        connection.execute(insert(metrics), [_row(run, key, points[:, points[STEP] <= step])])


def points_of(connection: Connection, run: int, name: str) -> Points:
    """All points of one metric of one run, by its number."""
    key = connection.execute(select(names.c.id).where(names.c.name == name)).scalar_one_or_none()
    found = None if key is None else _read(connection, run, key, -1)
    return np.empty((4, 0)) if found is None else found


def _row(run: int, key: int, points: Points) -> dict[str, Any]:
    return {
        "run": run,
        "key": key,
        "first_step": int(points[STEP, 0]),
        "last_step": int(points[STEP, -1]),
        "data": points.astype("<f8").tobytes(),
    }


def _unpack(data: bytes) -> Points:
    return np.frombuffer(data, "<f8").reshape(4, -1)


def _in_order(points: Points) -> Points:
    """By step; of points with the same step the last stays."""
    steps = points[STEP]
    if np.all(steps[1:] > steps[:-1]):
        return points
    _, newest = np.unique(steps[::-1], return_index=True)
    return points[:, len(steps) - 1 - newest]


def _take_overlapping(connection: Connection, run: int, key: int, points: Points) -> Points | None:
    """Remove the stored chunks that share a range of steps with ``points``, and return what they held."""
    before_end = (
        metrics.c.run == run,
        metrics.c.key == key,
        metrics.c.first_step <= int(points[STEP, -1]),
    )
    # Chunks do not overlap, so the last of these reaches furthest: the index finds it, and as a rule it ends
    # before the new points begin.
    newest = select(metrics.c.last_step).where(*before_end).order_by(metrics.c.first_step.desc()).limit(1)
    reach = connection.execute(newest).scalar_one_or_none()
    if reach is None or reach < points[STEP, 0]:
        return None
    here = (*before_end, metrics.c.last_step >= int(points[STEP, 0]))
    stored = connection.execute(select(metrics.c.data).where(*here).order_by(metrics.c.first_step)).scalars()
    chunks = [_unpack(data) for data in stored]
    connection.execute(delete(metrics).where(*here))
    return np.concatenate(chunks, axis=1)


def _read(connection: Connection, run: int, key: int, after: int) -> Points | None:
    """The points of one metric after a step; None where there are none."""
    cursor = connection.connection.cursor()  # the driver's own: SQLAlchemy's rows cost more than reading them
    try:
        cursor.execute(_SELECTS[connection.dialect.name], (run, key, run, key, after, after))
        chunks = [_unpack(data) for (data,) in cursor.fetchall()]
    finally:
        cursor.close()
    if not chunks:
        return None
    points = np.concatenate(chunks, axis=1)
    return points if points[STEP, 0] > after else points[:, points[STEP] > after]


_SELECTS = {
    dialect: (
        # The inner query finds the one chunk that may reach across the step; the index skips those before.
        f"SELECT data FROM metrics WHERE run = {mark} AND key = {mark} AND first_step >= coalesce((SELECT "
        f"max(first_step) FROM metrics WHERE run = {mark} AND key = {mark} AND first_step <= {mark}), 0) "
        f"AND last_step > {mark} ORDER BY first_step"
    )
    for dialect, mark in {"sqlite": "?", "postgresql": "%s"}.items()
}


class Names:
    """The integers of metric and vector names, remembered once their row is committed."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def ids(self, connection: Connection, wanted: Iterable[str]) -> dict[str, int]:
        """The integer of each name; new names are stored. Call ``remember`` after the commit."""
        wanted = set(wanted)
        known = {name: self._known[name] for name in wanted if name in self._known}
        if len(known) < len(wanted):
            missing = sorted(wanted - known.keys())
            present = dict(self._stored(connection, missing))
            if absent := [{"name": name} for name in missing if name not in present]:
                connection.execute(names.insert(), absent)
                present = dict(self._stored(connection, missing))
            known |= present
        return known

    def remember(self, known: Mapping[str, int]) -> None:
        self._known.update(known)

    @staticmethod
    def _stored(connection: Connection, wanted: Sequence[str]) -> list[tuple[str, int]]:
        found = connection.execute(select(names.c.name, names.c.id).where(names.c.name.in_(wanted)))
        return [(name, number) for name, number in found]


def read(
    connection: Connection,
    run_ids: Sequence[UUID],
    keys: Sequence[str] | None,
    max_points: int | None,
    after_step: int | None,
) -> dict[UUID, dict[str, Series]]:
    """The curves of some runs, each thinned to at most ``max_points``, in the order asked for."""
    known = connection.execute(select(runs.c.id, runs.c.number).where(runs.c.id.in_(run_ids), IS_THERE))
    numbers: dict[UUID, int] = {row.id: row.number for row in known}
    for run_id in run_ids:
        if run_id not in numbers:
            raise not_found(run_id)
    found = select(names.c.name, names.c.id).order_by(names.c.name)
    if keys is not None:
        found = found.where(names.c.name.in_(keys))
    wanted = [(name, key) for name, key in connection.execute(found)]
    first = -1 if after_step is None else min(after_step, MAX_STEP)
    curves: dict[UUID, dict[str, Series]] = {}
    for run_id in run_ids:
        curves[run_id] = {}
        for name, key in wanted:
            points = _read(connection, numbers[run_id], key, first)
            if points is not None:
                curves[run_id][name] = _series(points, max_points)
    return curves


def _series(points: Points, max_points: int | None) -> Series:
    if max_points is not None and (shown := indices(points[STEP], points[VALUE], max_points)) is not None:
        points = points[:, shown]
    steps: list[int] = points[STEP].astype(np.int64).tolist()
    values: list[float | None] = points[VALUE].tolist()
    flags: dict[int, Literal["nan", "inf", "-inf"]] = {}
    for place in np.flatnonzero(~np.isfinite(points[VALUE])).tolist():
        flags[steps[place]] = flag_of(float(points[VALUE, place]))
        values[place] = None
    return Series.model_construct(
        step=steps,
        value=values,
        seconds=points[SECONDS].tolist(),
        sequences=points[SEQUENCES].tolist(),
        flag=flags,
    )


def flag_of(value: float) -> Literal["nan", "inf", "-inf"]:
    """What to call a value that is not finite."""
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
