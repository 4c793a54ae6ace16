"""What a run records beside its scalars: gradients by timestep, eigenvalues, and samples of its work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from sqlalchemy import Connection, select

from trainer.schema import EIGENVALUES, EigenvalueSeries, Sample, SampleContent, Vector, VectorSeries
from trainer.store.errors import BadReport
from trainer.store.metrics import MAX_STEP
from trainer.store.tables import names, samples, vectors
from trainer.store.upsert import upsert

_CONTENT: TypeAdapter[SampleContent] = TypeAdapter(SampleContent)


def check(sent: Sequence[Vector], shown: Sequence[Sample]) -> None:
    """Refuse what could not be read back, before anything is written."""
    for vector in sent:
        if len(vector.numbers) % 4:
            raise BadReport(
                f"{vector.name!r} has {len(vector.numbers)} bytes", "send float32 numbers of 4 bytes each"
            )
        if not 0 < len(vector.name) <= 200 or "\x00" in vector.name:
            raise BadReport(
                f"a vector is called {vector.name[:40]!r}", "use 1 to 200 characters, none of them NUL"
            )
    for step in (*(vector.step for vector in sent), *(sample.step for sample in shown)):
        if not 0 <= step < MAX_STEP:
            raise BadReport(f"step {step} is outside 0 to 2**53", "count updates from 0")
    if not all(0 <= sample.index < 2**31 for sample in shown):
        raise BadReport("a sample's index is outside 0 to 2**31", "count samples of one step from 0")


def write_vectors(connection: Connection, run: int, keys: Mapping[str, int], sent: Sequence[Vector]) -> None:
    """Store vectors; one of the same name and step is replaced."""
    rows = [{"run": run, "key": keys[v.name], "step": v.step, "norms": v.numbers} for v in sent]
    upsert(connection, vectors, rows)


def write_samples(connection: Connection, run: int, sent: Sequence[Sample]) -> None:
    """Store samples; one of the same step and index is replaced."""
    rows = [
        {"run": run, "step": s.step, "index": s.index, "content": s.content.model_dump_json()} for s in sent
    ]
    upsert(connection, samples, rows)


def read_vectors(
    connection: Connection,
    run: int,
    wanted: Sequence[str] | None,
    max_steps: int | None,
    after_step: int | None,
) -> dict[str, VectorSeries]:
    """Norms by timestep; ``max_steps`` takes evenly spread recordings, the first and the last too."""
    series = {}
    for name, key in _present(connection, run).items():
        if name.startswith(EIGENVALUES) or (wanted is not None and name not in wanted):
            continue
        steps, rows = _read(connection, run, key, max_steps, after_step)
        series[name] = VectorSeries.model_construct(steps=steps, norms=rows)
    return series


def read_eigenvalues(connection: Connection, run: int, max_steps: int | None) -> dict[str, EigenvalueSeries]:
    """Eigenvalues by matrix; ``max_steps`` as above."""
    series = {}
    for name, key in _present(connection, run).items():
        if name.startswith(EIGENVALUES):
            steps, rows = _read(connection, run, key, max_steps, after_step=None)
            series[name.removeprefix(EIGENVALUES)] = EigenvalueSeries.model_construct(
                steps=steps, real=[row[::2] for row in rows], imaginary=[row[1::2] for row in rows]
            )
    return series


def _present(connection: Connection, run: int) -> dict[str, int]:
    """The key of each vector that the run recorded, by name."""
    used = select(vectors.c.key).where(vectors.c.run == run).distinct()
    found = select(names.c.name, names.c.id).where(names.c.id.in_(used)).order_by(names.c.name)
    return {row.name: row.id for row in connection.execute(found)}


def _read(
    connection: Connection, run: int, key: int, max_steps: int | None, after_step: int | None
) -> tuple[list[int], list[list[float | None]]]:
    """Steps, and the numbers of each."""
    this: list[Any] = [vectors.c.run == run, vectors.c.key == key]
    if after_step is not None:
        this.append(vectors.c.step > min(after_step, MAX_STEP))
    steps = list(connection.execute(select(vectors.c.step).where(*this).order_by(vectors.c.step)).scalars())
    if max_steps is not None and len(steps) > max_steps:
        places = np.linspace(0, len(steps) - 1, max_steps).round().astype(int)
        steps = [steps[place] for place in places]
        this.append(vectors.c.step.in_(steps))
    rows = connection.execute(select(vectors.c.norms).where(*this).order_by(vectors.c.step)).scalars()
    return steps, [_numbers(blob) for blob in rows]


def _numbers(blob: bytes) -> list[float | None]:
    numbers = np.frombuffer(blob, dtype="<f4")
    listed: list[float | None] = numbers.astype(np.float64).tolist()
    if not np.isfinite(numbers).all():
        return [number if ok else None for number, ok in zip(listed, np.isfinite(numbers), strict=True)]
    return listed


def read_samples(connection: Connection, run: int, after_step: int | None, limit: int | None) -> list[Sample]:
    """Samples by step and index; with ``limit``, the newest of them."""
    found = select(samples.c.step, samples.c.index, samples.c.content).where(samples.c.run == run)
    if after_step is not None:
        found = found.where(samples.c.step > min(after_step, MAX_STEP))
    if limit is not None:
        found = found.limit(limit)
    rows = connection.execute(found.order_by(samples.c.step.desc(), samples.c.index.desc())).all()
    return [
        Sample.model_construct(step=step, index=index, content=_CONTENT.validate_json(content))
        for step, index, content in reversed(rows)
    ]
