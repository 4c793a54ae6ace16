"""Truncated backpropagation through time against windows written out by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import MODELS
from models.base import named_tensors
from trainer.cursor import Cursor
from trainer.module import RecurrentTraining
from trainer.schema import Chance, SequenceSample, TrainingConfig
from trainer.tasks.base import Batch, Score, Task
from trainer.tbptt import Window, forward_window, windows

B, D, O, H = 3, 2, 2, 5  # noqa: E741


class Regression(Task):
    """Fixed random sequences whose every output is scored; as a stream, one endless random sequence."""

    input_size, output_size = D, O
    loss_kind, loss_unit, error_unit = "mse", "squared error", "wrong"

    def __init__(self, length: int, streaming: bool = False) -> None:
        self.length, self.streaming, self.draws = length, streaming, 0  # type: ignore[misc]
        self.inputs = torch.randn(
            B, 20 * length, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
        )
        self.targets = torch.randn(
            B, 20 * length, O, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
        )

    def draw(self, batch_size: int, generator: torch.Generator) -> Batch:
        del batch_size, generator
        here = slice(self.draws * self.length, (self.draws + 1) * self.length)
        self.draws += 1
        return Batch(self.inputs[:, here], self.targets[:, here], first=0)

    def position(self) -> dict[str, int]:
        return {"draws": self.draws}

    def seek(self, position: dict[str, int]) -> None:
        self.draws = position["draws"]

    draw_validation = draw
    chance = Chance(loss=1.0)  # type: ignore[assignment]

    def score(self, outputs: torch.Tensor, batch: Batch) -> Score: ...  # type: ignore[empty-body]
    def is_solved(self, wrong: int, total: int) -> bool: ...  # type: ignore[empty-body]
    def render(self, batch: Batch, outputs: torch.Tensor, index: int) -> SequenceSample: ...  # type: ignore[empty-body]


def network(name: str = "elman", layers: int = 1) -> torch.nn.Module:
    spec = MODELS[name]
    sizes = {"hidden_size": H, "layers": layers}
    config = spec.config(**{key: value for key, value in sizes.items() if key in spec.config.model_fields})
    return spec.build(config, D, O, seed=3).double()


def module(task: Task, net: torch.nn.Module, **settings: object) -> RecurrentTraining:
    """A module ready for ``_window``, as Lightning would have prepared it, with weights that stay put."""
    config = TrainingConfig(batch_size=B, optimizer="sgd", learning_rate=1e-30, clip=None, **settings)  # type: ignore[arg-type]
    made = RecurrentTraining(net, task, config, torch.Generator())  # type: ignore[arg-type]
    made.cursor = Cursor(
        net,
        task,
        batch_size=B,
        k1=config.k1,
        k2=config.k2,
        generator=torch.Generator(),
        device=torch.device("cpu"),
    )  # type: ignore[arg-type]
    return made


def gradients(net: torch.nn.Module) -> list[torch.Tensor]:
    taken = [p.grad.clone() for p in net.parameters()]  # type: ignore[union-attr]
    net.zero_grad()
    return taken


def by_hand(
    net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, start: int, begin: int, end: int, count: int
) -> list[torch.Tensor]:
    """The window's gradient, step by step: graph from ``start``, losses of [begin, end) over ``count``."""
    state = net.initial_state(x.shape[0])  # type: ignore[operator]
    with torch.no_grad():
        for t in range(start):
            _, state = net.step(x[:, t], state)  # type: ignore[operator]
    state = type(state)(*(tuple(h.detach() for h in layers) for layers in state))
    loss = torch.zeros((), dtype=torch.float64)
    for t in range(start, end):
        output, state = net.step(x[:, t], state)  # type: ignore[operator]
        if t >= begin:
            loss = loss + ((output - y[:, t]) ** 2).mean(dim=-1).sum() / count
    return list(torch.autograd.grad(loss, list(net.parameters()), allow_unused=True, materialize_grads=True))


@given(
    length=st.integers(1, 200),
    k1=st.one_of(st.none(), st.integers(1, 220)),
    extra=st.integers(0, 100),
    full=st.booleans(),
    history=st.integers(0, 50),
)
def test_every_loss_counts_once_and_no_window_reaches_beyond_k2(
    length: int, k1: int | None, extra: int, full: bool, history: int
) -> None:
    k2 = None if k1 is None or full else k1 + extra
    cut = windows(length, k1, k2, history)
    counted = [t for w in cut for t in range(w.begin, w.end)]
    assert counted == list(range(length))
    for w in cut:
        assert -history <= w.start <= w.begin < w.end
        assert k2 is None or w.end - w.start <= k2
        assert k1 is None or w.end - w.begin <= k1
    assert all(a.start <= b.start for a, b in pairwise(cut))


def test_length_103_by_k1_10_k2_25_has_the_windows_of_the_definition() -> None:
    cut = windows(103, 10, 25)
    assert cut[:4] == [Window(0, 0, 10), Window(0, 10, 20), Window(5, 20, 30), Window(15, 30, 40)]
    assert cut[-1] == Window(78, 100, 103)
    assert len(cut) == 11


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("length", "layers", "k1", "k2"),
    [(103, 1, 10, 25), (31, 2, 10, 25), (31, 1, 10, 10), (31, 1, 1, 4), (31, 1, 10, None), (31, 1, 31, 31)],
)
def test_each_windows_gradient_equals_one_written_out_with_detach(
    name: str, length: int, layers: int, k1: int, k2: int | None
) -> None:
    net, task = network(name, layers), Regression(length)
    made = module(task, net, k1=k1, k2=k2)
    x, y = task.inputs[:, :length], task.targets[:, :length]
    total = 0.0
    for begin in range(0, length, k1):
        end = min(begin + k1, length)
        start = 0 if k2 is None else max(0, end - k2)
        summed, count = made._window()
        assert count == B * (end - begin)
        total += float(summed)  # type: ignore[arg-type]
        expected = by_hand(net, x, y, start, begin, end, B * length)
        for got, want in zip(gradients(net), expected, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        outputs, _ = net(x)
    assert total / (B * length) == pytest.approx(float(((outputs - y) ** 2).mean()), rel=1e-12)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("k1", "k2"), [(None, None), (103, 103), (10, 103), (10, None), (37, 200)])
def test_k2_of_the_whole_length_gives_the_full_gradient(name: str, k1: int | None, k2: int | None) -> None:
    net, task = network(name), Regression(103)
    made = module(task, net, k1=k1, k2=k2)
    for _ in windows(103, k1, k2):
        made._window()
    got = gradients(net)
    outputs, _ = net(task.inputs[:, :103])
    full = torch.autograd.grad(((outputs - task.targets[:, :103]) ** 2).mean(), list(net.parameters()))
    for one, other in zip(got, full, strict=True):
        assert float((one - other).abs().max()) < 1e-10


def test_a_shorter_k2_does_not_give_the_full_gradient() -> None:
    """Guards the tests above: truncation must change something here."""
    net, task = network(), Regression(103)
    made = module(task, net, k1=10, k2=10)
    for _ in windows(103, 10, 10):
        made._window()
    got = gradients(net)
    outputs, _ = net(task.inputs[:, :103])
    full = torch.autograd.grad(((outputs - task.targets[:, :103]) ** 2).mean(), list(net.parameters()))
    assert max(float((one - other).abs().max()) for one, other in zip(got, full, strict=True)) > 1e-4


@pytest.mark.parametrize("name", ["elman", "lstm"])
@pytest.mark.parametrize(("k1", "k2"), [(None, None), (7, 7), (7, 18), (20, 33), (50, 60), (4, 100)])
def test_a_stream_hands_state_and_history_from_batch_to_batch(
    name: str, k1: int | None, k2: int | None
) -> None:
    """Five batches of 20 timesteps give the gradients that windows over the uncut 100 would."""
    net, task = network(name), Regression(20, streaming=True)
    made = module(task, net, k1=k1, k2=k2)
    x, y = task.inputs[:, :100], task.targets[:, :100]
    for batch in range(5):
        stride = 20 if k1 is None else min(k1, 20)
        for begin in range(0, 20, stride):
            end = min(begin + stride, 20)
            here = 20 * batch
            start = here if k2 is None else max(0, here + end - k2)
            made._window()
            expected = by_hand(net, x, y, start, here + begin, here + end, B * 20)
            for got, want in zip(gradients(net), expected, strict=True):
                torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("stop_after", range(1, 12))
def test_a_cursor_restored_anywhere_continues_with_the_same_windows(stop_after: int) -> None:
    """In the middle of a batch too, and with a stream's history."""
    net = network("lstm")

    def cursor() -> Cursor:  # type: ignore[type-arg]
        task = Regression(20, streaming=True)
        return Cursor(
            net, task, batch_size=B, k1=6, k2=15, generator=torch.Generator(), device=torch.device("cpu")
        )  # type: ignore[arg-type]

    def go(walker: Cursor) -> tuple[torch.Tensor, ...]:  # type: ignore[type-arg]
        work = walker.next()
        with torch.no_grad():
            outputs, kept = forward_window(net, work.inputs, work.state, work.lead, work.history)  # type: ignore[arg-type]
        walker.advance(kept)
        return (work.inputs, outputs, *(tensor for _, tensor in named_tensors(work.state)))

    unbroken = cursor()
    for _ in range(stop_after):
        go(unbroken)
    restored = cursor()
    restored.load_state_dict(unbroken.state_dict())
    assert restored.sequences == unbroken.sequences
    for _ in range(9):
        for one, other in zip(go(unbroken), go(restored), strict=True):
            assert torch.equal(one, other)
        assert restored.sequences == unbroken.sequences


def test_how_a_batch_began_is_known_to_whoever_goes_on_within_it_and_never_made_up() -> None:
    net = network("elman")

    def cursor() -> Cursor:  # type: ignore[type-arg]
        task = Regression(20, streaming=True)
        return Cursor(
            net, task, batch_size=B, k1=6, k2=15, generator=torch.Generator(), device=torch.device("cpu")
        )  # type: ignore[arg-type]

    def go(walker: Cursor) -> None:  # type: ignore[type-arg]
        work = walker.next()
        with torch.no_grad():
            _, kept = forward_window(net, work.inputs, work.state, work.lead, work.history)  # type: ignore[arg-type]
        walker.advance(kept)

    first = cursor()
    for _ in range(4):
        go(first)
    between = first.state_dict()["state"]
    go(first)
    stored = first.state_dict()
    assert torch.equal(stored["begun"]["h/0"], between["h/0"])
    assert not torch.equal(stored["state"]["h/0"], between["h/0"])
    second = cursor()
    second.load_state_dict(stored)
    assert torch.equal(second.state_dict()["begun"]["h/0"], between["h/0"])
    go(second)
    assert torch.equal(second.state_dict()["begun"]["h/0"], between["h/0"])

    old = cursor()
    old.load_state_dict({key: value for key, value in stored.items() if key != "begun"})
    for _ in range(2):  # to the end of the batch that was under way
        assert "begun" not in old.state_dict()
        go(old)
    go(old)
    go(old)
    assert "begun" in old.state_dict()
