"""The other future of a rewind whose windows have other ends, beside a training loop written out here."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, cast

import pytest
import torch
from torch import Tensor

from models.base import Network, detach
from tests.trainer.inspection.making import TEXT, Trained, asked, asked_raw, config_of, lstm
from tests.trainer.training.conftest import ServiceInMemory
from trainer.checkpoint import pack, unpack
from trainer.config import resolve
from trainer.corpora import builtin_corpora
from trainer.schema import RewindView, RunConfig
from trainer.seeds import derived_seed
from trainer.tasks.base import Batch, Task

ECHO = {"name": "echo", "length": 14, "lag": 3}
"""17 timesteps, all but the first three of them scored."""
PLAIN = {"clip": None, "optimizer": "sgd", "learning_rate": 0.3, "steps": 12, "validate_every": 1}
"""Descent that can be written in one line; a checkpoint after every update."""


class Begin(NamedTuple):
    """Of a batch: the state before its history, and that history, (B, h, D)."""

    state: Any
    history: Tensor


class Place(NamedTuple):
    """Where an update left training."""

    loss: float
    network: Network[Any]
    batch: int
    """The one that comes next, or goes on."""
    begin: Begin
    """With which that one begins, or began."""
    is_within: bool


class Run(NamedTuple):
    """All that updates by hand need."""

    task: Task
    batches: Sequence[Batch]
    carries: bool
    update_every: int

    def walk(self, network: Network[Any], at: int, begin: Begin, k1: int, k2: int) -> Iterator[Place]:
        """Update by update, from the beginning of a batch; the network learns as it goes."""
        losses: list[tuple[Tensor, int]] = []
        for number, batch in enumerate(self.batches[at:], start=at):
            held, length = begin.history.shape[1], batch.length
            x = torch.cat((begin.history, batch.inputs.double()), dim=1)
            state_at = {-held: begin.state}
            for start_of_losses in range(0, length, k1):
                end = min(start_of_losses + k1, length)
                start = max(-held, end - k2)
                state, loss, count = state_at[start], torch.zeros((), dtype=torch.float64), 0
                for t in range(start, end):
                    state_at[t] = detach(state)
                    output, state = network.step(x[:, held + t], state)
                    if t >= max(start_of_losses, batch.first):
                        target = batch.targets[:, t - batch.first, None]
                        loss = loss + self.task.elementwise_loss(output[:, None], target).sum()
                        count += len(target)
                state_at[end] = detach(state)
                if not count:
                    continue
                (loss / batch.scored_count()).backward()
                losses.append((loss.detach(), count))
                if len(losses) < self.update_every:
                    continue
                with torch.no_grad():
                    for weight in network.parameters():
                        weight -= 0.3 * cast(Tensor, weight.grad)
                network.zero_grad()
                is_within = end < length
                following = begin if is_within else self._next(x, held, start, state_at, k1, k2)
                mean = float(sum(each for each, _ in losses)) / sum(n for _, n in losses)
                losses = []
                yield Place(mean, copy.deepcopy(network), number + (not is_within), following, is_within)
            begin = self._next(x, held, start, state_at, k1, k2)

    def _next(self, x: Tensor, held: int, start: int, state_at: dict[int, Any], k1: int, k2: int) -> Begin:
        length = x.shape[1] - held
        if not self.carries:
            return Begin(state_at[-held], x[:, :0])  # which is the initial one
        reach = max(start, length - (k2 - min(k1, length)))
        return Begin(state_at[reach], x[:, held + reach :])


def fork(place: Place, k1: int, k2: int) -> Begin:
    """The batch's begin for windows that want less history: read on, with the weights that there are now."""
    (state, history), network = place.begin, place.network
    spare = max(0, history.shape[1] - (k2 - k1))
    with torch.no_grad():
        for x_t in history[:, :spare].unbind(1):
            _, state = network.step(x_t, state)
    return Begin(state, history[:, spare:])


def prepared(config: RunConfig) -> tuple[Run, Network[Any], Begin]:
    resolved = resolve(config, lambda corpus: builtin_corpora()[corpus].text)
    source = torch.Generator().manual_seed(derived_seed(config.seed, "training"))
    training = config.training
    batches = [resolved.task.draw(training.batch_size, source) for _ in range(30)]
    network = resolved.network().double()
    carries = resolved.task.streaming and training.carry_state
    nothing = batches[0].inputs[:, :0].double()
    return (
        Run(resolved.task, batches, carries, training.update_every),
        network,
        Begin(network.initial_state(training.batch_size), nothing),
    )


def checkpoints(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> dict[int, Trained]:
    taken = ServiceInMemory().train_keeping_checkpoints(config, monkeypatch)
    return {step: Trained(config, step, data) for step, data in taken}


def rewound(run: Trained, **settings: Any) -> RewindView:
    return cast(RewindView, asked(run, "rewind", clip="as it was", **settings).result)


@pytest.mark.parametrize(
    ("task", "training", "other"),
    [
        pytest.param(ECHO, {"k1": 4, "k2": 6}, (5, 9), id="sequences"),
        pytest.param(ECHO, {"k1": 4, "k2": 6, "update_every": 3}, (7, 7), id="several windows an update"),
        pytest.param(TEXT, {"k1": 6, "k2": 9}, (10, 10), id="stream, no history wanted"),
        pytest.param(TEXT, {"k1": 6, "k2": 9}, (8, 9), id="stream, less history"),
        pytest.param(TEXT, {"k1": 6, "k2": 9}, (4, 7), id="stream, as much history"),
        pytest.param(TEXT, {"k1": 6, "k2": 9}, (5, 16), id="stream, more history than is held"),
        pytest.param(TEXT, {"k1": 6, "k2": 9, "update_every": 3}, (10, 11), id="stream, several windows"),
        pytest.param(TEXT, {"k1": 6, "k2": 9, "carry_state": False}, (8, 10), id="stream, nothing carried"),
    ],
)
def test_the_other_future_begins_the_batch_with_the_state_with_which_it_began(
    task: dict[str, Any],
    training: dict[str, Any],
    other: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = config_of(lstm(), task, {**PLAIN, "batch_size": 8, **training})
    run, network, begin = prepared(config)
    taken = checkpoints(config, monkeypatch)
    k1, k2 = other
    seen = set()
    places = run.walk(network, 0, begin, cast(int, config.training.k1), cast(int, config.training.k2))
    for step, place in enumerate(islice(places, 9), start=1):
        weights = unpack(taken[step].data)["module"]["network"]
        for name, weight in place.network.state_dict().items():
            torch.testing.assert_close(weights[name], weight)  # so far, both are the same run
        seen.add(place.is_within)
        view = rewound(taken[step], updates=4, k1=k1, k2=k2)
        learner = copy.deepcopy(place.network)
        expected = run.walk(learner, place.batch, fork(place, k1, k2), k1, k2)
        assert view.changed.loss == pytest.approx([e.loss for e in islice(expected, 4)], rel=1e-4)
        assert ("anew" in view.note) == place.is_within
        wanted, held = k2 - k1, place.begin.history.shape[1]
        assert ("all that the checkpoint holds" in view.note) == (run.carries and wanted > held)
    assert seen == {True, False}


def test_a_checkpoint_that_does_not_hold_that_state_is_refused_where_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As earlier versions wrote them: without the state with which the batch began."""
    config = config_of(lstm(), TEXT, {**PLAIN, "batch_size": 8, "k1": 6, "k2": 9})
    told = {}
    for step, run in checkpoints(config, monkeypatch).items():
        stored = unpack(run.data)
        stored["module"]["cursor"].pop("begun", None)
        old = run._replace(data=pack(stored))
        status, body = asked_raw(old, "rewind", clip="as it was", k1=10, k2=10, updates=2)
        told[step] = status
        if status == 422:
            assert body["errors"][0]["field"] == "settings.k1"
            assert "does not hold the state with which the batch began" in body["errors"][0]["problem"]
        else:
            assert rewound(old, k1=10, k2=10, updates=2) == rewound(run, k1=10, k2=10, updates=2)
        assert rewound(old, learning_rate=0.1, updates=2).changed.ended is None
    # Four windows a batch: in the first batch, and between two, all that is needed is there.
    assert [told[step] for step in range(1, 10)] == [200, 200, 200, 200, 422, 422, 422, 200, 422]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "step"])
def test_past_the_runs_last_update_its_schedule_stays_what_it_was(
    schedule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {"schedule": schedule, "schedule_factor": 0.1, "schedule_every": 4, "warmup_steps": 2}
    config = config_of(lstm(), ECHO, {**PLAIN, **changed})
    service = ServiceInMemory()
    taken = dict(service.train_keeping_checkpoints(config, monkeypatch))
    view = rewound(Trained(config, 4, taken[4]), updates=14, learning_rate=0.2)
    expected = [service.points("loss")[step] for step in range(5, 13)]
    assert view.untouched.loss[:8] == pytest.approx(expected, rel=1e-4)
    assert len(view.untouched.loss) == 14  # and goes on where the schedule ended
