"""Curves, vectors, samples and log: selected, thinned, and read from where one left off."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from tests.trainer.store.making import column, post, report, started, vector
from trainer.schema import EigenvalueSeries, ForecastSample, LogLine, Sample, SequenceSample, TextSample
from trainer.store import CorpusNotFound, Store
from trainer.store.downsample import indices
from trainer.store.records import to_datetime


def test_curves_of_many_runs_come_back_by_run_and_key_in_the_order_asked_for(store: Store) -> None:
    attempts = [started(store) for _ in range(3)]
    for number, attempt in enumerate(attempts):
        post(store, attempt, report(metrics={"loss": column([1, number + 2]), "other": column([1])}))
    asked = [attempts[2].run_id, attempts[0].run_id]
    curves = store.metrics(asked, keys=["loss", "unknown"])
    assert list(curves) == asked
    assert {run_id: list(found) for run_id, found in curves.items()} == {run_id: ["loss"] for run_id in asked}
    assert curves[asked[0]]["loss"].step == [1, 4]


def test_reading_goes_on_after_a_step(store: Store) -> None:
    attempt = started(store)
    post(
        store,
        attempt,
        report(
            metrics={"loss": column(range(10)), "early": column([1])},
            vectors=[vector("h/0", step, [1.0]) for step in range(10)],
            samples=[
                Sample(step=step, index=0, content=TextSample(prompt="", text="", temperature=1.0))
                for step in range(10)
            ],
        ),
    )
    curves = store.metrics([attempt.run_id], after_step=6)[attempt.run_id]
    assert {key: curve.step for key, curve in curves.items()} == {"loss": [7, 8, 9]}
    assert store.vectors(attempt.run_id, after_step=6)["h/0"].steps == [7, 8, 9]
    assert [sample.step for sample in store.samples(attempt.run_id, after_step=6)] == [7, 8, 9]
    assert [sample.step for sample in store.samples(attempt.run_id, limit=2)] == [8, 9]


def test_every_kind_of_sample_comes_back_as_it_was_sent(store: Store) -> None:
    contents = [
        TextSample(prompt="a", text="b", temperature=0.5),
        SequenceSample(channels=[], informative=[], target="1", prediction="2", correct=False),
        ForecastSample(truth=[1.0, 2.0], one_ahead=[None, 2.5], alone=[None, None], given=1, detail="d"),
    ]
    sent = [Sample(step=3, index=index, content=content) for index, content in enumerate(contents)]
    attempt = started(store)
    post(store, attempt, report(samples=sent))
    assert store.samples(attempt.run_id) == sent


def test_thinning_keeps_both_ends_every_spike_and_what_is_not_finite(store: Store) -> None:
    drawn = random.Random(1)
    values = [drawn.gauss(0.0, 0.1) for _ in range(20_000)]
    spikes, broken = [517, 9_001, 15_555], [3, 12_345]
    for step in spikes:
        values[step] = 50.0 if step != 9_001 else -50.0
    for step in broken:
        values[step] = math.inf
    attempt = started(store)
    post(store, attempt, report(metrics={"loss": column(range(20_000), values), "few": column([1, 2])}))
    curves = store.metrics([attempt.run_id], max_points=200)[attempt.run_id]
    curve = curves["loss"]
    assert len(curve.step) <= 200
    assert {0, 19_999, *spikes, *broken} <= set(curve.step)
    assert curve.step == sorted(set(curve.step))
    assert curve.flag == dict.fromkeys(broken, "inf")
    for step, value, seconds, sequences in zip(
        curve.step, curve.value, curve.seconds, curve.sequences, strict=True
    ):
        assert value == (None if step in broken else values[step])
        assert (seconds, sequences) == (0.5 * step, 32.0 * step)
    assert curves["few"].step == [1, 2]


@pytest.mark.parametrize("limit", [2, 3, 4, 5, 6, 7, 10, 99])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_thinning_never_exceeds_its_limit_and_keeps_the_ends(limit: int, share: float) -> None:
    drawn = random.Random(limit)
    values = np.array([math.nan if drawn.random() < share else drawn.random() for _ in range(100)])
    kept = indices(np.arange(100.0), values, limit)
    assert kept is not None
    assert len(kept) <= limit
    assert kept[0] == 0
    assert kept[-1] == 99
    assert kept == sorted(set(kept))
    assert indices(np.arange(100.0), values, 100) is None


def test_vectors_come_back_as_float32_and_not_finite_as_none(store: Store) -> None:
    attempt = started(store)
    sent = [1 / 3, 1e-30, math.nan, math.inf]
    post(
        store,
        attempt,
        report(vectors=[vector("h/0", 5, sent), vector("c/0", 5, []), vector("h/1", 5, [2.0])]),
    )
    found = store.vectors(attempt.run_id, names=["h/0", "c/0"])
    assert set(found) == {"h/0", "c/0"}
    assert found["h/0"].norms == [[float(np.float32(1 / 3)), float(np.float32(1e-30)), None, None]]
    assert found["c/0"].norms == [[]]


def test_eigenvalues_are_read_apart_from_gradients(store: Store) -> None:
    attempt = started(store)
    sent = [vector("h/0", 5, [1.0]), vector("eigenvalues/Ws/0/f", 5, [0.5, 0.25, 0.5, -0.25])]
    post(store, attempt, report(vectors=sent))
    assert set(store.vectors(attempt.run_id)) == {"h/0"}
    assert set(store.vectors(attempt.run_id, names=["eigenvalues/Ws/0/f"])) == set()
    (found,) = store.eigenvalues(attempt.run_id).items()
    assert found == ("Ws/0/f", EigenvalueSeries(steps=[5], real=[[0.5, 0.5]], imaginary=[[0.25, -0.25]]))


def test_thinned_vectors_are_spread_evenly_with_first_and_last(store: Store) -> None:
    attempt = started(store)
    post(store, attempt, report(vectors=[vector("h/0", step, [float(step)]) for step in range(101)]))
    found = store.vectors(attempt.run_id, max_steps=5)["h/0"]
    assert found.steps == [0, 25, 50, 75, 100]
    assert found.norms == [[0.0], [25.0], [50.0], [75.0], [100.0]]


def test_the_log_is_read_from_its_end_or_after_the_lines_one_has(store: Store) -> None:
    attempt = started(store)
    for index in range(4):
        lines = [LogLine(at=to_datetime(0), level="info", text=f"{index}.{part}") for part in range(3)]
        post(store, attempt, report(index, log=lines))
    whole = [f"{index}.{part}" for index in range(4) for part in range(3)]
    assert [line.text for line in store.log(attempt.run_id)] == whole
    assert [line.text for line in store.log(attempt.run_id, limit=2)] == whole[-2:]
    assert [line.text for line in store.log(attempt.run_id, after=5, limit=3)] == whole[5:8]
    assert store.log(attempt.run_id, after=12) == []


def test_a_text_is_stored_once_and_keeps_its_first_name(store: Store) -> None:
    info = store.add_corpus("poems", "é" * 10 + "\nabc")
    assert (info.name, info.characters, info.vocabulary, info.builtin) == ("poems", 14, 5, False)
    assert store.add_corpus("again", "é" * 10 + "\nabc") == info
    other = store.add_corpus("other", "abc")
    table = store.add_corpus("table", "rain\n" + "1\n2\n" * 20)
    assert table.columns == ["rain"]
    assert store.corpora() == [info, other, table]
    assert store.corpus_text(info.id) == "é" * 10 + "\nabc"
    for unknown in ("no", "a\x00"):
        with pytest.raises(CorpusNotFound):
            store.corpus_text(unknown)
