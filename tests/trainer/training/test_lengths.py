"""Random training lengths, and tests on longer sequences than were trained on."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.training.test_worker import config
from trainer.checkpoint import unpack
from trainer.config import resolve
from trainer.corpora import builtin_corpora
from trainer.evaluation import evaluate
from trainer.lengths import RandomLengths, ladder
from trainer.seeds import generator
from trainer.tasks import TASKS
from trainer.tasks.base import Task

TEMPORAL_ORDER = TASKS["temporal_order"]


def at(length: int) -> Task:
    return TEMPORAL_ORDER.build(TEMPORAL_ORDER.config(length=length), lambda _: "")  # type: ignore[call-arg]


def corpora(corpus_id: str) -> str:
    return builtin_corpora()[corpus_id].text


def test_training_lengths_are_uniform_between_the_tasks_own_and_the_longest() -> None:
    source = torch.Generator().manual_seed(1)
    lengths = RandomLengths(at, 20, 24)
    counts = Counter(lengths.draw(1, source).length for _ in range(2000))
    assert sorted(counts) == [20, 21, 22, 23, 24]
    assert all(count == pytest.approx(400, abs=80) for count in counts.values())  # four standard deviations


def test_a_batch_of_random_length_is_what_the_task_draws_at_that_length() -> None:
    """And is drawn again from the generator as it was before: that is how a run resumes."""
    source = torch.Generator().manual_seed(1)
    lengths = RandomLengths(at, 20, 40)
    for _ in range(5):
        before = source.get_state()
        batch = lengths.draw(3, source)
        again = torch.Generator()
        again.set_state(before)
        torch.randint(2, (), generator=again)
        same = at(batch.length).draw(3, again)
        assert torch.equal(batch.inputs, same.inputs)
        assert torch.equal(batch.targets, same.targets)


@given(shortest=st.integers(1, 300), more=st.integers(0, 5000))
def test_a_ladder_of_lengths_doubles_from_the_first_and_ends_at_the_last(shortest: int, more: int) -> None:
    rungs = ladder(shortest, shortest + more)
    assert rungs[0] == shortest
    assert rungs[-1] == shortest + more
    assert rungs == sorted(set(rungs))
    assert all(rung == shortest * 2**place for place, rung in enumerate(rungs[:-1]))
    assert len(rungs) == 1 or rungs[-1] <= 2 * rungs[-2]


def test_a_run_trains_on_random_lengths_and_validates_at_its_own(
    service: Any, another_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: dict[str, set[int]] = {"draw": set(), "draw_validation": set()}

    def watch(way: str) -> Any:
        real = getattr(TEMPORAL_ORDER.task, way)

        def draw(self: Any, count: int, source: torch.Generator) -> Any:
            batch = real(self, count, source)
            read[way].add(batch.length)
            return batch

        return draw

    for way in read:
        monkeypatch.setattr(TEMPORAL_ORDER.task, way, watch(way))
    service.train(config(training={"longest": 30}))
    assert read["draw_validation"] == {20}
    assert read["draw"] <= set(range(20, 31))
    assert len(read["draw"]) > 5
    monkeypatch.undo()
    another_service.train(config())
    assert service.points("validation/loss")[0] == another_service.points("validation/loss")[0]
    assert service.points("loss") != another_service.points("loss")


def test_the_generalisation_curve_is_what_the_stored_network_does_at_each_length(service: Any) -> None:
    """Judged again here, from the last checkpoint."""
    made = config(analysis={"test_lengths_to": 70})
    service.train(made)
    network = resolve(made, corpora).network()
    network.load_state_dict(unpack(service.checkpoints[-1][1])["module"]["network"])
    curve = service.summary["lengths"]
    assert [point["length"] for point in curve] == [20, 40, 70]
    for point in curve:
        verdict = evaluate(network, at(point["length"]), 1000, generator(0, "length", point["length"]))
        assert point["loss"] == pytest.approx(verdict.loss)
        assert (point["wrong"], point["total"]) == (verdict.wrong, 1000)
        assert point["error"] == pytest.approx(verdict.wrong / 1000)
        assert point["chance"] == {"loss": pytest.approx(1.3863, abs=1e-4), "error": 0.75}


def test_without_the_setting_there_is_no_curve(service: Any) -> None:
    service.train(config())
    assert "lengths" not in service.summary
