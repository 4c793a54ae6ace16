"""Runs as files that other tools read: CSV, Parquet, TensorBoard event files."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from trainer.schema import EigenvalueSeries, Run, Series, VectorSeries

METRICS = pa.schema(
    [
        ("run", pa.int64()),
        ("run_id", pa.string()),
        ("run_name", pa.string()),
        ("metric", pa.string()),
        ("step", pa.int64()),
        ("seconds", pa.float64()),
        ("sequences", pa.float64()),
        ("value", pa.float64()),
    ]
)
GRADIENTS = pa.schema(
    [
        ("run", pa.int64()),
        ("run_id", pa.string()),
        ("run_name", pa.string()),
        ("quantity", pa.string()),
        ("step", pa.int64()),
        ("timestep", pa.int64()),
        ("norm", pa.float64()),
    ]
)
EIGENVALUES = pa.schema(
    [
        ("run", pa.int64()),
        ("run_id", pa.string()),
        ("run_name", pa.string()),
        ("matrix", pa.string()),
        ("step", pa.int64()),
        ("real", pa.float64()),
        ("imaginary", pa.float64()),
    ]
)


@dataclasses.dataclass(frozen=True)
class Record:
    """A run with everything numeric that it recorded."""

    run: Run
    metrics: dict[str, Series]
    gradients: dict[str, VectorSeries]
    eigenvalues: dict[str, EigenvalueSeries]


def values(series: Series) -> list[float]:
    """The values of a metric, with NaN and infinities back in their places."""
    return [
        value if value is not None else float(series.flag.get(step, "nan"))
        for step, value in zip(series.step, series.value, strict=True)
    ]


def metric_table(records: list[Record]) -> pa.Table:
    """One row for each point of each metric of each run."""
    parts = [METRICS.empty_table()]
    for record in records:
        for key, series in record.metrics.items():
            points: list[list[Any]] = [series.step, series.seconds, series.sequences, values(series)]
            parts.append(_part(METRICS, record.run, key, points))
    return pa.concat_tables(parts)


def gradient_table(records: list[Record]) -> pa.Table:
    """One row for each timestep of each recorded gradient; timestep 0 is the first of the sequence."""
    parts = [GRADIENTS.empty_table()]
    for record in records:
        for quantity, vectors in record.gradients.items():
            for step, norms in zip(vectors.steps, vectors.norms, strict=True):
                timesteps = list(range(len(norms)))
                columns: list[list[Any]] = [[step] * len(norms), timesteps, _known(norms)]
                parts.append(_part(GRADIENTS, record.run, quantity, columns))
    return pa.concat_tables(parts)


def eigenvalue_table(records: list[Record]) -> pa.Table:
    """One row for each recorded eigenvalue of each recurrent matrix."""
    parts = [EIGENVALUES.empty_table()]
    for record in records:
        for matrix, series in record.eigenvalues.items():
            for step, real, imaginary in zip(series.steps, series.real, series.imaginary, strict=True):
                columns: list[list[Any]] = [[step] * len(real), _known(real), _known(imaginary)]
                parts.append(_part(EIGENVALUES, record.run, matrix, columns))
    return pa.concat_tables(parts)


def write_csv(records: list[Record], folder: Path) -> list[Path]:
    """``metrics.csv``, ``gradients.csv``, ``eigenvalues.csv`` and ``runs.json``; the paths written."""
    return _write_tables(records, folder, ".csv", csv.write_csv)


def write_parquet(records: list[Record], folder: Path) -> list[Path]:
    """The same tables as Parquet, and ``runs.json``; the paths written."""
    return _write_tables(records, folder, ".parquet", parquet.write_table)


def write_tensorboard(records: list[Record], folder: Path) -> list[Path]:
    """A folder of event files for each run, with the time at which each point was made; the paths written."""
    # Imported here: it is slow, and most exports have no use for it.
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text.summary_v2 import text_pb  # type: ignore[attr-defined, unused-ignore]
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    paths = []
    for record in records:
        run = record.run
        path = folder / f"run-{run.number}"
        # Training time counts from the start; between attempts no time passes on that clock.
        start = (run.started_at or run.created_at).timestamp()
        writer = EventFileWriter(str(path))
        try:
            config = json.dumps(run.config.model_dump(mode="json"), indent=2)
            text = text_pb("configuration", f"{run.name}\n\n```\n{config}\n```")
            writer.add_event(Event(wall_time=start, step=0, summary=text))
            for key, series in record.metrics.items():
                for step, seconds, value in zip(series.step, series.seconds, values(series), strict=True):
                    summary = Summary(value=[Summary.Value(tag=key, simple_value=value)])
                    writer.add_event(Event(wall_time=start + seconds, step=step, summary=summary))
        finally:
            writer.close()
        paths.append(path)
    return paths


def _known(numbers: list[float | None]) -> list[float]:
    """NaN where the number was not finite."""
    return [math.nan if number is None else number for number in numbers]


def _part(schema: pa.Schema, run: Run, quantity: str, columns: list[list[Any]]) -> pa.Table:
    """Rows of one quantity of one run: whose they are, then the columns that differ."""
    owner: list[Any] = [
        pa.repeat(value, len(columns[0])) for value in (run.number, str(run.id), run.name, quantity)
    ]
    arrays = [*owner, *columns]
    return pa.table([pa.array(a, field.type) for a, field in zip(arrays, schema, strict=True)], schema=schema)


def _write_tables(
    records: list[Record], folder: Path, suffix: str, write: Callable[[pa.Table, str], None]
) -> list[Path]:
    tables = {
        "metrics": metric_table(records),
        "gradients": gradient_table(records),
        "eigenvalues": eigenvalue_table(records),
    }
    paths = []
    for stem, rows in tables.items():
        path = (folder / stem).with_suffix(suffix)
        write(rows, str(path))
        paths.append(path)
    runs = folder / "runs.json"
    runs.write_text(json.dumps([record.run.model_dump(mode="json") for record in records], indent=2))
    return [*paths, runs]
