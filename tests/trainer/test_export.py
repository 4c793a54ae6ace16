"""Exported files, read back by the tools that they are for."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pandas as pd
import pytest
from pyarrow import parquet
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainer.export import Record, write_csv, write_parquet, write_tensorboard
from trainer.schema import EigenvalueSeries, Run, RunConfig, RunState, Series, Summary, VectorSeries

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def record(number: int) -> Record:
    run = Run(
        id=UUID(int=number),
        number=number,
        name=f'run "{number}", with a comma',
        tags=[],
        state=RunState.FAILED,
        reason=None,
        attempt=1,
        step=3,
        config=RunConfig(model={"name": "gru"}, task={"name": "adding"}, seed=number),
        summary=Summary(),
        created_at=STARTED,
        started_at=STARTED,
        ended_at=None,
        can_resume=True,
    )
    loss = Series(
        step=[1, 2, 3],
        value=[0.5 * number, None, None],
        seconds=[0.25, 0.5, 0.75],
        sequences=[32, 64, 96],
        flag={2: "inf", 3: "nan"},
    )
    error = Series(step=[3], value=[0.125], seconds=[0.75], sequences=[96])
    gradient = VectorSeries(steps=[1, 3], norms=[[0.1, 0.2, 0.3], [1.0, None, 3.0]])
    spectrum = EigenvalueSeries(steps=[0, 3], real=[[0.5, 0.5], [1.5]], imaginary=[[0.25, -0.25], [None]])
    return Record(run, {"loss": loss, "validation/error": error}, {"h/0": gradient}, {"Ws/0": spectrum})


RECORDS = [record(1), record(2)]


def check_metrics(metrics: pd.DataFrame) -> None:
    assert list(metrics) == ["run", "run_id", "run_name", "metric", "step", "seconds", "sequences", "value"]
    assert len(metrics) == 8
    loss = metrics[(metrics.run == 2) & (metrics.metric == "loss")]
    assert list(loss.step) == [1, 2, 3]
    assert list(loss.seconds) == [0.25, 0.5, 0.75]
    assert list(loss.sequences) == [32, 64, 96]
    first, second, third = loss.value
    assert first == 1.0
    assert math.isinf(second)
    assert math.isnan(third)
    assert set(metrics.run_name) == {'run "1", with a comma', 'run "2", with a comma'}
    assert set(metrics.run_id) == {str(UUID(int=1)), str(UUID(int=2))}


def check_gradients(gradients: pd.DataFrame) -> None:
    assert list(gradients) == ["run", "run_id", "run_name", "quantity", "step", "timestep", "norm"]
    one = gradients[(gradients.run == 1) & (gradients.quantity == "h/0")]
    assert list(zip(one.step, one.timestep, strict=True)) == [(1, 0), (1, 1), (1, 2), (3, 0), (3, 1), (3, 2)]
    assert list(one.norm)[:4] == [0.1, 0.2, 0.3, 1.0]
    assert math.isnan(list(one.norm)[4])


def check_eigenvalues(eigenvalues: pd.DataFrame) -> None:
    assert list(eigenvalues) == ["run", "run_id", "run_name", "matrix", "step", "real", "imaginary"]
    two = eigenvalues[(eigenvalues.run == 2) & (eigenvalues.matrix == "Ws/0")]
    assert list(zip(two.step, two.real, strict=True)) == [(0, 0.5), (0, 0.5), (3, 1.5)]
    assert list(two.imaginary)[:2] == [0.25, -0.25]
    assert math.isnan(list(two.imaginary)[2])


def test_csv_holds_every_point_and_timestep(tmp_path: Path) -> None:
    metrics, gradients, eigenvalues, runs = write_csv(RECORDS, tmp_path)
    check_metrics(pd.read_csv(metrics))
    check_gradients(pd.read_csv(gradients))
    check_eigenvalues(pd.read_csv(eigenvalues))
    assert [run["config"]["seed"] for run in json.loads(runs.read_text())] == [1, 2]


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    metrics, gradients, eigenvalues, _ = write_parquet(RECORDS, tmp_path)
    check_metrics(parquet.read_table(metrics).to_pandas())
    check_gradients(parquet.read_table(gradients).to_pandas())
    check_eigenvalues(parquet.read_table(eigenvalues).to_pandas())


def test_tensorboard_shows_each_run_with_its_steps_values_and_times(tmp_path: Path) -> None:
    paths = write_tensorboard(RECORDS, tmp_path)
    assert [path.name for path in paths] == ["run-1", "run-2"]
    events = EventAccumulator(str(paths[1]))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "validation/error"}
    loss = events.Scalars("loss")
    assert [event.step for event in loss] == [1, 2, 3]
    assert [event.wall_time - STARTED.timestamp() for event in loss] == pytest.approx([0.25, 0.5, 0.75])
    assert loss[0].value == 1.0
    assert math.isinf(loss[1].value)
    assert math.isnan(loss[2].value)
    (text,) = events.Tensors("configuration")
    assert b'"seed": 2' in text.tensor_proto.string_val[0]


@pytest.mark.parametrize("write", [write_csv, write_parquet, write_tensorboard])
def test_a_run_that_recorded_nothing_can_be_exported(tmp_path: Path, write: object) -> None:
    assert callable(write)
    for path in write([Record(RECORDS[0].run, {}, {}, {})], tmp_path):
        assert path.exists()
    if write is write_csv:
        assert len(pd.read_csv(tmp_path / "metrics.csv")) == 0
