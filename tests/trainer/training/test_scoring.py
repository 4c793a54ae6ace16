"""What an update learns from: which outputs, how many windows, which state, which teacher."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models import MODELS
from tests.trainer.training.test_tbptt import B, D, H, O, Regression, by_hand, gradients, module, network
from trainer.cursor import Cursor
from trainer.module import RecurrentTraining
from trainer.schema import TrainingConfig
from trainer.scoring import asks_once, at_all, at_last
from trainer.tasks.base import Batch


class Drawn(Regression):
    """Hands out given batches one after the other."""

    def __init__(self, batches: list[Batch]) -> None:
        super().__init__(batches[0].length)
        self.batches = iter(batches)

    def draw(self, batch_size: int, generator: torch.Generator) -> Batch:
        del batch_size, generator
        return next(self.batches)


def random_batch(rows: int, length: int, seed: int, masked: bool = False) -> Batch:
    source = torch.Generator().manual_seed(seed)
    kind = torch.float64
    mask = torch.rand(rows, length, generator=source) < 0.6 if masked else None
    if mask is not None:
        mask[:, 2] = True  # every sequence is asked something
    return Batch(
        torch.randn(rows, length, D, generator=source, dtype=kind),
        torch.randn(rows, length, O, generator=source, dtype=kind),
        first=0,
        mask=mask,
    )


# --- Which outputs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
def test_the_last_scored_output_of_each_sequence_is_kept(masked: bool) -> None:
    batch = random_batch(20, 7, seed=1, masked=masked)
    kept = at_last(batch)
    assert kept.scored_count() == 20
    for row in range(20):
        scored = [t for t in range(7) if batch.mask is None or batch.mask[row, t]]
        now = [t for t in range(kept.first, 7) if kept.mask is None or kept.mask[row, t - kept.first]]
        assert now == scored[-1:]
        assert torch.equal(kept.targets[row, now[0] - kept.first], batch.targets[row, now[0]])


@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_target_replication_wants_the_last_target_at_every_timestep(kind: str) -> None:
    targets = torch.randn(B, 1, O) if kind == "numbers" else torch.tensor([[2], [0], [1]])
    batch = Batch(torch.randn(B, 5, D), targets, first=4)
    assert asks_once(batch)
    whole = at_all(batch)
    assert whole.scored_count() == 5 * B
    assert whole.scored(0, 5) == (slice(0, 5), slice(0, 5))
    for t in range(5):
        assert torch.equal(whole.targets[:, t], targets[:, 0])


@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_that_asks_more_than_once_has_no_one_target_to_repeat(masked: bool) -> None:
    batch = random_batch(4, 7, seed=1, masked=masked)
    assert not asks_once(batch)
    with pytest.raises(ValueError, match="one target"):
        at_all(batch)


@pytest.mark.parametrize("k1", [None, 3])
@pytest.mark.parametrize("loss_at", ["last", "all"])
def test_the_gradient_is_that_of_the_outputs_that_were_chosen(loss_at: str, k1: int | None) -> None:
    batch = random_batch(B, 8, seed=2)
    if loss_at == "all":
        batch = batch._replace(targets=batch.targets[:, -1:], first=7)
    net = network("gru")
    made = RecurrentTraining(
        net,
        Drawn([batch]),
        TrainingConfig(batch_size=B, loss_at=loss_at, k1=k1),
        torch.Generator(),  # type: ignore[arg-type]
    )
    made.cursor = prepared(made)
    total = None
    for begin in range(0, 8, k1 or 8):
        end = min(begin + (k1 or 8), 8)
        made._window()
        wanted = batch.targets[:, -1:].expand(B, 8, O)
        first, count = (7, B) if loss_at == "last" else (0, 8 * B)
        begin = max(begin, first)
        if begin < end:
            hand = by_hand(net, batch.inputs, wanted, 0, begin, end, count)
            total = hand if total is None else [a + b for a, b in zip(total, hand, strict=True)]
    assert total is not None
    for got, want in zip(gradients(net), total, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


def prepared(made: RecurrentTraining) -> Cursor[Any]:
    """The cursor that the module makes for itself when training begins."""
    made.optimizers = lambda **_: torch.optim.SGD(made.network.parameters(), lr=0.1)  # type: ignore[method-assign]
    made.on_fit_start()
    return made.cursor


# --- How many windows --------------------------------------------------------------------------------------


def train_on(batches: list[Batch], updates: int, **settings: Any) -> list[Tensor]:
    """The weights after so many updates of plain gradient descent."""
    net = network("lstm")
    settings = {"optimizer": "sgd", "learning_rate": 0.1, "clip": None, **settings}
    made = RecurrentTraining(net, Drawn(batches), TrainingConfig(**settings), torch.Generator())  # type: ignore[arg-type]
    made.optimizers = lambda **_: made.configure_optimizers()  # type: ignore[method-assign]
    made.on_fit_start()
    for _ in range(updates):
        made._update()
    return [parameter.detach().clone() for parameter in net.parameters()]


def merged(batches: list[Batch]) -> Batch:
    mask = None
    if batches[0].mask is not None:
        mask = torch.cat([batch.mask for batch in batches])  # type: ignore[misc]
    inputs, targets = (torch.cat([batch[place] for batch in batches]) for place in (0, 1))  # type: ignore[misc]
    return Batch(inputs, targets, first=0, mask=mask)


@pytest.mark.parametrize("masked", [False, True])
def test_the_mean_of_n_batches_does_what_one_batch_n_times_as_large_does(masked: bool) -> None:
    """Three updates, four batches each; with masks the batches differ in how many outputs they score."""
    small = [random_batch(B, 6, seed, masked) for seed in range(12)]
    large = [merged(small[begin : begin + 4]) for begin in (0, 4, 8)]
    before = train_on(small, 0, batch_size=B)
    accumulated = train_on(small, 3, batch_size=B, update_every=4, accumulate="mean")
    at_once = train_on(large, 3, batch_size=4 * B)
    for one, other, start in zip(accumulated, at_once, before, strict=True):
        assert float((one - other).abs().max()) < 1e-6
        assert float((one - start).abs().max()) > 1e-4


def test_the_sum_of_a_sequences_windows_does_what_the_whole_sequence_does() -> None:
    """Update once every three windows: of k1 = 2 out of six timesteps, with the gradient reaching all."""
    batches = [random_batch(B, 6, seed) for seed in range(3)]
    whole = train_on(batches, 3, batch_size=B)
    summed = train_on(batches, 3, batch_size=B, k1=2, update_every=3)
    for one, other in zip(summed, whole, strict=True):
        assert float((one - other).abs().max()) < 1e-6


def test_the_sum_of_n_batches_is_n_times_their_mean() -> None:
    small = [random_batch(B, 6, seed) for seed in range(4)]
    start = train_on(small, 0, batch_size=B)
    summed = train_on(small, 1, batch_size=B, update_every=4)
    mean = train_on(small, 1, batch_size=B, update_every=4, accumulate="mean")
    for one, other, begin in zip(summed, mean, start, strict=True):
        torch.testing.assert_close(one - begin, 4 * (other - begin), rtol=1e-9, atol=1e-12)


# --- Which state -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k1", "k2"), [(None, None), (7, 18), (4, 100)])
def test_a_stream_whose_state_is_not_carried_begins_each_batch_from_zero(
    k1: int | None, k2: int | None
) -> None:
    net, task = network("lstm"), Regression(20, streaming=True)
    made = RecurrentTraining(
        net,  # type: ignore[arg-type]
        task,
        TrainingConfig(batch_size=B, k1=k1, k2=k2, carry_state=False),
        torch.Generator(),
    )
    made.cursor = prepared(made)
    for batch in range(3):
        x, y = (part[:, 20 * batch : 20 * batch + 20] for part in (task.inputs, task.targets))
        for begin in range(0, 20, k1 or 20):
            end = min(begin + (k1 or 20), 20)
            start = 0 if k2 is None else max(0, end - k2)
            made._window()
            expected = by_hand(net, x, y, start, begin, end, B * 20)
            for got, want in zip(gradients(net), expected, strict=True):
                torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


# --- Which teacher -----------------------------------------------------------------------------------------


def taught_by_hand(
    net: Any, x: Tensor, y: Tensor, asked: Tensor, start: int, begin: int, end: int, count: int
) -> list[Tensor]:
    """As ``by_hand``, with the right output put in the place of the network's own after each timestep."""
    state = net.initial_state(B)
    loss = torch.zeros((), dtype=torch.float64)
    for t in range(end):
        if t == start:
            state = type(state)(*(tuple(part.detach() for part in parts) for parts in state))
        output, state = net.step(x[:, t], state)
        right = torch.sigmoid(y[:, t])  # as the network would read an output of y
        state = state._replace(y=(torch.where(asked[:, t, None], right, state.y[0]),))
        if t >= begin:
            errors = ((output - y[:, t]) ** 2).mean(dim=-1)
            loss = loss + errors[asked[:, t]].sum() / count
    return list(torch.autograd.grad(loss, list(net.parameters())))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(("k1", "k2"), [(None, None), (6, 6), (6, 15), (20, 33)])
def test_a_taught_network_reads_the_right_outputs_through_windows_and_batches(
    k1: int | None, k2: int | None, streaming: bool
) -> None:
    """Also in the history that a window reaches back into, and in the batch before."""
    spec = MODELS["jordan"]
    net = spec.build(spec.config(hidden_size=H, teacher_forcing=True), D, O, seed=3).double()  # type: ignore[call-arg]
    task = Regression(20, streaming=streaming)
    made = module(task, net, k1=k1, k2=k2)
    everything = torch.ones(B, 400, dtype=torch.bool)
    for batch in range(3):
        here = 20 * batch if streaming else 0
        lasting = slice(0, 20 * (batch + 1)) if streaming else slice(20 * batch, 20 * batch + 20)
        x, y = task.inputs[:, lasting], task.targets[:, lasting]
        stride = 20 if k1 is None else min(k1, 20)
        for begin in range(0, 20, stride):
            end = min(begin + stride, 20)
            start = here if k2 is None else max(0, here + end - k2)
            made._window()
            expected = taught_by_hand(net, x, y, everything, start, here + begin, here + end, B * 20)
            for got, want in zip(gradients(net), expected, strict=True):
                torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("feedback", ["sigmoid", "tanh", "softmax", "linear"])
def test_a_taught_network_that_is_always_right_reads_what_it_will_read_in_tests(feedback: str) -> None:
    """Its own outputs as targets: teaching then changes nothing, however outputs are squashed."""
    spec = MODELS["jordan"]
    settings = {"hidden_size": H, "feedback": feedback, "teacher_forcing": True}
    net = spec.build(spec.config(**settings), D, O, seed=3).double()  # type: ignore[arg-type]
    batch = random_batch(B, 8, seed=4)
    with torch.no_grad():
        alone, _ = net(batch.inputs)
    made = module(Drawn([batch._replace(targets=alone)]), net)
    work = made.cursor.next()
    taught, _ = net.forward_taught(work.inputs, work.state, 0, work.teacher)
    torch.testing.assert_close(taught, alone, rtol=1e-12, atol=1e-14)


def test_where_a_task_wishes_for_nothing_a_taught_network_reads_its_own_output() -> None:
    spec = MODELS["jordan"]
    net = spec.build(spec.config(hidden_size=H, teacher_forcing=True), D, O, seed=3).double()  # type: ignore[call-arg]
    whole = random_batch(B, 8, seed=4, masked=True)
    assert whole.mask is not None
    batch = whole._replace(targets=whole.targets[:, 2:], mask=whole.mask[:, 2:], first=2)
    made = module(Drawn([batch]), net, k1=5)
    asked = whole.mask.clone()
    asked[:, :2] = False
    for begin, end in ((0, 5), (5, 8)):
        made._window()
        expected = taught_by_hand(
            net, whole.inputs, whole.targets, asked, 0, begin, end, batch.scored_count()
        )
        for got, want in zip(gradients(net), expected, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)
