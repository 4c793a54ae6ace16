"""What holds for every task of the registry: a new one is tested the day it is added."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic import ValidationError

from trainer.corpora import builtin_corpora
from trainer.schema import SequenceSample, TrainingConfig
from trainer.tasks import TASKS
from trainer.tasks.base import Batch, Task, TaskSpec


def corpora(corpus: str) -> str:
    return builtin_corpora()[corpus].text


def build(spec: TaskSpec) -> Task:
    return spec.build(spec.config(), corpora)


@pytest.fixture(params=TASKS)
def spec(request: pytest.FixtureRequest) -> TaskSpec:
    return TASKS[request.param]


@pytest.fixture
def task(spec: TaskSpec) -> Task:
    return build(spec)


def draws(task: Task, seed: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(seed)
    return [task.draw(5, generator), task.draw_validation(4, generator), task.draw(5, generator)]


def test_batches_have_the_shapes_and_types_of_the_contract(task: Task) -> None:
    for batch, size in zip(draws(task, 0), (5, 4, 5), strict=True):
        scored = batch.length - batch.first
        assert batch.inputs.shape == (size, batch.length, task.input_size)
        assert batch.inputs.dtype == torch.float32
        assert 0 <= batch.first < batch.length
        if task.loss_kind == "mse":
            assert batch.targets.shape == (size, scored, task.output_size)
            assert batch.targets.dtype == torch.float32
        else:
            assert batch.targets.shape == (size, scored)
            assert batch.targets.dtype == torch.int64
            assert int(batch.targets.min()) >= 0
            assert int(batch.targets.max()) < task.output_size
        if batch.mask is not None:
            assert batch.mask.shape == (size, scored)
            assert batch.mask.dtype == torch.bool
        if batch.informative is not None:
            assert batch.informative.shape[0] == size
            assert batch.informative.dtype == torch.int64
            assert int(batch.informative.min()) >= 0
            assert int(batch.informative.max()) < batch.length
        assert all(t.is_contiguous() for t in batch if isinstance(t, torch.Tensor))


def test_limits_on_memory_count_about_as_many_timesteps_as_are_drawn(spec: TaskSpec, task: Task) -> None:
    assert all(batch.length <= 2 * spec.config().timesteps for batch in draws(task, 0))


def test_draws_depend_on_the_generator_alone_and_leave_the_global_one(spec: TaskSpec) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = draws(build(spec), seed=7)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    again = draws(build(spec), seed=7)
    for ours, theirs in zip(first, again, strict=True):
        assert torch.equal(ours.inputs, theirs.inputs)
        assert torch.equal(ours.targets, theirs.targets)


def test_another_seed_validates_on_other_sequences(task: Task) -> None:
    ours, theirs = (task.draw_validation(4, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert ours.inputs.shape != theirs.inputs.shape or not torch.equal(ours.inputs, theirs.inputs)


def test_some_rows_of_a_batch_are_judged_as_they_are_within_it(task: Task) -> None:
    batch = draws(task, 0)[0]
    outputs = torch.randn(*batch.targets.shape[:2], task.output_size, generator=torch.Generator())
    losses, some = task.scored_losses(outputs, batch), batch.rows(1, 3)
    assert torch.equal(some.inputs, batch.inputs[1:3])
    assert some.first == batch.first
    torch.testing.assert_close(task.scored_losses(outputs[1:3], some), losses[1:3])
    each = task.elementwise_loss(outputs, batch.targets)
    counted = [
        loss for row, b in zip(each, range(5), strict=True) for loss in row[mask_of(batch)[b]].tolist()
    ]
    assert float(losses.sum()) == pytest.approx(sum(counted), rel=1e-4)
    assert len(counted) == batch.scored_count()


def mask_of(batch: Batch) -> torch.Tensor:
    return torch.ones(batch.targets.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask


def test_a_sequence_is_as_long_as_its_last_scored_timestep_says(task: Task) -> None:
    for batch in draws(task, 0):
        ends = [batch.first + int(row.nonzero().max()) + 1 for row in mask_of(batch)]
        assert batch.lengths().tolist() == ends


@pytest.mark.parametrize("window", [1, 3, 7, 1000])
def test_windows_of_any_size_score_each_target_once(task: Task, window: int) -> None:
    batch = draws(task, 0)[0]
    steps = torch.arange(batch.length)
    scored, targets = [], []
    for begin in range(0, batch.length, window):
        end = min(begin + window, batch.length)
        found = batch.scored(begin, end)
        if found is not None:
            scored += steps[begin:end][found[0]].tolist()
            targets += torch.arange(batch.length - batch.first)[found[1]].tolist()
    assert scored == list(range(batch.first, batch.length))
    assert targets == list(range(batch.length - batch.first))


def test_chance_is_what_some_constant_output_reaches_and_less_than_a_foolish_one(task: Task) -> None:
    """Blind outputs, the same at every timestep: those of equal probability, or of zero, do no better."""
    assert task.chance.loss > 0
    assert task.chance.error is None or 0 < task.chance.error <= 1
    batch = task.draw_validation(2000 if not task.streaming else 50, torch.Generator().manual_seed(0))
    blind = torch.zeros((*batch.targets.shape[:2], task.output_size))
    losses = task.elementwise_loss(blind, batch.targets)
    mean = (losses if batch.mask is None else losses[batch.mask]).mean()
    assert mean > 0.97 * task.chance.loss  # where zero is the best guess: to within the luck of the draw


def test_perfect_outputs_are_scored_without_error_and_their_opposite_all_wrong(task: Task) -> None:
    """Units are what a task says they are: at most one for each scored output."""
    batch = draws(task, 0)[0]
    perfect = task.teacher(batch).nan_to_num()
    if task.loss_kind == "mse":
        opposite = perfect + 10
    else:
        perfect = 100 * perfect  # sure of it
        opposite = perfect.roll(1, dims=-1)
    units = task.score(perfect, batch).total
    assert 0 < units <= batch.scored_count()
    assert task.score(perfect, batch) == (0, units)
    assert task.score(opposite, batch) == (units, units)
    assert task.render(batch, perfect, 0).correct
    assert not task.render(batch, opposite, 0).correct


def test_every_sequence_of_a_batch_can_be_rendered_and_sent(task: Task) -> None:
    batch = draws(task, 0)[1]
    shape = (*batch.targets.shape[:2], task.output_size)
    outputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for index in range(4):
        sample = task.render(batch, outputs, index)
        assert SequenceSample.model_validate_json(sample.model_dump_json()) == sample
        lengths = {len(channel.values) for channel in sample.channels}
        if batch.mask is None:
            assert lengths == {batch.length}
        else:  # padding is left out
            assert lengths == {batch.first + int(batch.mask[index].nonzero().max()) + 1}
        assert all(0 <= step < max(lengths) for step in sample.informative)
        assert sample.target
        assert sample.prediction


def test_rendering_and_scoring_accept_half_precision_outputs(task: Task) -> None:
    batch = draws(task, 0)[0]
    outputs = torch.zeros((*batch.targets.shape[:2], task.output_size), dtype=torch.bfloat16)
    assert task.score(outputs, batch) == task.score(outputs.float(), batch)
    assert task.render(batch, outputs, 0).prediction


def test_a_position_survives_json_and_the_stream_goes_on_from_it(spec: TaskSpec) -> None:
    ours, theirs = build(spec), build(spec)
    generator = torch.Generator().manual_seed(0)
    ours.draw(3, generator)
    theirs.seek(json.loads(json.dumps(ours.position())))
    resumed = generator.clone_state()
    a, b = ours.draw(3, generator), theirs.draw(3, resumed)
    assert torch.equal(a.inputs, b.inputs)
    assert torch.equal(a.targets, b.targets)


def test_settings_refuse_unknown_keys_cannot_be_changed_and_are_all_described(spec: TaskSpec) -> None:
    with pytest.raises(ValidationError):
        spec.config(no_such_setting=1)
    with pytest.raises(ValidationError):
        spec.config().length = 12  # type: ignore[attr-defined]
    fields = spec.config.model_json_schema()["properties"]
    assert all(field["description"] and "default" in field for field in fields.values())


def test_the_catalogue_texts_are_there_and_the_defaults_are_training_settings(spec: TaskSpec) -> None:
    assert spec.title
    assert "\n" not in spec.summary
    assert spec.description.endswith(".")
    assert any(digit in spec.source for digit in "0123456789")
    assert spec.task.loss_unit
    assert spec.task.error_unit
    assert " is wrong when" in spec.wrong_when
    assert spec.wrong_when.endswith(".")
    assert spec.defaults.keys() <= TrainingConfig.model_fields.keys()
    TrainingConfig(**spec.defaults)
    assert spec.needs_corpus == ("corpus" in spec.config.model_fields)
