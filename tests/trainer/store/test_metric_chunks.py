"""Metrics are stored in chunks: however points arrive and are cut, a curve reads as its last values."""

from __future__ import annotations

import itertools
import math
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert

from trainer.schema import Column
from trainer.store import metrics
from trainer.store.tables import metadata, names, runs

report = st.lists(
    st.tuples(st.integers(0, 40), st.floats(allow_nan=False, width=32)), min_size=1, max_size=12
)
action = st.one_of(report, st.integers(-1, 40))  # points to write, or a step to cut after


def column(points: list[tuple[int, float]]) -> Column:
    steps = [step for step, _ in points]
    return Column(
        step=steps,
        value=[v for _, v in points],
        seconds=[s / 2 for s in steps],
        sequences=[8.0 * s for s in steps],
    )


@settings(deadline=None, max_examples=200)
@given(st.lists(action, max_size=8))
def test_chunks_behave_like_a_dictionary_of_points(actions: list[list[tuple[int, float]] | int]) -> None:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    expected: dict[int, float] = {}
    with engine.connect() as connection:
        row = {c.name: 0 for c in runs.c if not c.nullable} | {
            "number": 1,
            "config": "",
            "summary": "",
            "name": "",
        }
        connection.execute(
            insert(runs), row | {"id": uuid.uuid4(), "state": "", "model": "", "task": "", "launch_hash": ""}
        )
        connection.execute(insert(names), [{"id": 7, "name": "loss"}])
        for act in actions:
            if isinstance(act, int):
                metrics.cut_after(connection, 1, act)
                expected = {step: value for step, value in expected.items() if step <= act}
            else:
                metrics.write(connection, 1, {"loss": 7}, {"loss": column(act)})
                expected |= dict(act)
            stored = metrics.points_of(connection, 1, "loss")
            assert stored[metrics.STEP].tolist() == sorted(expected)
            assert stored[metrics.VALUE].tolist() == [expected[step] for step in sorted(expected)]
            assert stored[metrics.SECONDS].tolist() == [step / 2 for step in sorted(expected)]
            for after in (0, 7, 20, 39):
                later = metrics._read(connection, 1, 7, after)
                assert ([] if later is None else later[metrics.STEP].tolist()) == [
                    step for step in sorted(expected) if step > after
                ]
            spans = connection.exec_driver_sql(
                "SELECT first_step, last_step FROM metrics ORDER BY first_step"
            ).all()
            assert all(one.last_step < other.first_step for one, other in itertools.pairwise(spans))
    engine.dispose()


@pytest.mark.parametrize(("value", "flag"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_a_value_that_is_not_finite_has_its_flag(value: float, flag: str) -> None:
    assert metrics.flag_of(value) == flag
