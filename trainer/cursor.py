"""Where in its data a run stands: the batch, the window within it, the state and history carried along.

Axes: B (batch), T (time), D (input features).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple

import torch
from torch import Generator, Tensor

from models.base import Network, State, from_named_tensors, map_state, named_tensors
from trainer.lengths import RandomLengths
from trainer.tasks.base import Batch, Task
from trainer.tbptt import Window, next_start, read, windows


class Work(NamedTuple):
    """One window, ready for ``tbptt.forward_window``."""

    inputs: Tensor
    """(B, end - start, D)"""
    state: Any
    """Detached, before ``start``."""
    lead: int
    history: int
    batch: Batch
    window: Window
    scored_in_batch: int
    """Scored outputs of the whole batch: what a window's summed loss is divided by."""
    teacher: Tensor | None
    """(B, end - start, O) for a network that is taught: the outputs wished for, NaN where there are none."""


class Cursor(Generic[State]):
    """Walks over batches and their windows, and can say and restore where it stands, exactly.

    Args:
        network: gives initial states, on the device where batches are wanted.
        task: draws the batches.
        batch_size: B.
        k1: see ``tbptt.windows``.
        k2: see ``tbptt.windows``.
        generator: the run's own source of training data.
        device: where batches go.
        dtype: of their numbers; None leaves them as drawn.
        carry_state: whether a stream's state and history go on from batch to batch.
        rescore: what to learn from instead of what the task scores.
        lengths: draws the batches instead of the task, which is then no stream.
    """

    def __init__(
        self,
        network: Network[State],
        task: Task,
        *,
        batch_size: int,
        k1: int | None,
        k2: int | None,
        generator: Generator,
        device: torch.device,
        dtype: torch.dtype | None = None,
        carry_state: bool = True,
        rescore: Callable[[Batch], Batch] | None = None,
        lengths: RandomLengths | None = None,
    ) -> None:
        self.network, self.task, self.generator, self.device = network, task, generator, device
        self.batch_size, self.k1, self.k2, self.dtype = batch_size, k1, k2, dtype
        self.carries = task.streaming and carry_state
        self.rescore = rescore
        self._draw = task.draw if lengths is None else lengths.draw
        self.batches = 0
        """Batches begun."""
        self._batch: Batch | None = None
        self._cut: list[Window] = []
        self._index = 0
        self._state: State | None = None
        self._begun: State | None = None
        """With which the batch began, before the tail; None is the initial one."""
        self._is_begin_known = True
        self._tail: Tensor | None = (
            None  # (B, h, D): a stream's inputs before the batch, still in reach of k2
        )
        self._teacher: Tensor | None = None  # (B, T, O)
        self._taught_tail: Tensor | None = None  # (B, h, O): what ``_tail`` was taught
        self._drawn_from: dict[str, Any] = {}  # generator and position as they were before this batch's draw

    @property
    def sequences(self) -> float:
        """Training sequences read so far; a batch in progress counts by the share of its timesteps."""
        if self._batch is None or self._index == len(self._cut):
            return float(self.batches * self.batch_size)
        done = self._cut[self._index - 1].end / self._batch.length if self._index else 0.0
        return (self.batches - 1 + done) * self.batch_size

    def next(self) -> Work:
        """The next window; a new batch is drawn when the last one is used up."""
        if self._batch is None or self._index == len(self._cut):
            self._open_batch()
        assert self._batch is not None
        if self._state is None:
            self._state = self.network.initial_state(self.batch_size)
        window = self._cut[self._index]
        following = next_start(self._cut, self._index, self.k1, self.k2, self.carries)
        return Work(
            inputs=_reach(self._tail, self._batch.inputs, window.start, window.end),
            state=self._state,
            lead=following - window.start,
            history=window.begin - window.start,
            batch=self._batch,
            window=window,
            scored_in_batch=self._scored,
            teacher=None
            if self._teacher is None
            else _reach(self._taught_tail, self._teacher, window.start, window.end),
        )

    def advance(self, kept: State) -> None:
        """Go on to the next window, whose start has the state ``kept``."""
        assert self._batch is not None
        following = next_start(self._cut, self._index, self.k1, self.k2, self.carries)
        self._index += 1
        self._state = kept
        if self._index == len(self._cut):
            if not self.carries:
                self._state = None
                return
            length = self._batch.length
            if self._teacher is not None:
                self._taught_tail = _reach(self._taught_tail, self._teacher, following, length).clone()
            self._tail = _reach(self._tail, self._batch.inputs, following, length).clone()

    def _open_batch(self) -> None:
        self._drawn_from = {"generator": self.generator.get_state(), "position": self.task.position()}
        self._batch = self._draw(self.batch_size, self.generator).to(self.device, self.dtype)
        if self.rescore is not None:
            self._batch = self.rescore(self._batch)
        if self.network.taught:
            self._teacher = self._taught(self._batch)
        self._scored = self._batch.scored_count()
        held = 0 if self._tail is None else self._tail.shape[1]
        self._cut = windows(self._batch.length, self.k1, self.k2, history=held)
        if self._state is not None and self._tail is not None:
            self._read_ahead(self._state, self._tail, held + self._cut[0].start)
        self._index, self._begun, self._is_begin_known = 0, self._state, True
        self.batches += 1

    def _read_ahead(self, state: State, tail: Tensor, lead: int) -> None:
        """Bring the state to where the first window starts, ``lead`` timesteps into the tail.

        That is where the tail begins, unless windows of other sizes have left it.
        """
        if lead == 0:
            return
        taught = None if self._taught_tail is None else self._taught_tail[:, :lead]
        was_training = self.network.training
        self.network.eval()  # dropout would draw numbers here that the run itself does not
        with torch.no_grad():
            before = map_state(lambda held: held.to(tail.dtype), state)  # autocast may leave 16 bits
            _, self._state = read(self.network, tail[:, :lead], before, lead, taught)
        self.network.train(was_training)
        self._tail = tail[:, lead:]
        self._taught_tail = None if self._taught_tail is None else self._taught_tail[:, lead:]

    def _taught(self, batch: Batch) -> Tensor:
        """(B, T, O) the outputs wished for, as they are read; NaN before the first scored one, too.

        A target of squared error is what an output should be, so it is squashed as that would be. One-hot
        symbols are what comes of the squashing.
        """
        wished = self.task.teacher(batch).to(self.device, batch.inputs.dtype)
        if self.task.loss_kind == "mse":
            wished = self.network.fed_back(wished)
        unasked = wished.new_full((len(wished), batch.first, self.task.output_size), torch.nan)
        return torch.cat((unasked, wished), dim=1)

    def state_dict(self) -> dict[str, Any]:
        """Everything that ``load_state_dict`` needs, as tensors and plain values."""
        within = self._batch is not None and self._index < len(self._cut)
        begun = {"begun": _stored(self._begun)} if within and self.carries and self._is_begin_known else {}
        return {
            "drawn_from": self._drawn_from
            if within
            else {"generator": self.generator.get_state(), "position": self.task.position()},
            "index": self._index if within else 0,
            "batches": self.batches - 1 if within else self.batches,
            "state": _stored(self._state),
            **begun,
            "tail": None if self._tail is None else self._tail.clone(),
            "taught_tail": None if self._taught_tail is None else self._taught_tail.clone(),
        }

    def load_state_dict(self, stored: dict[str, Any]) -> None:
        """Stand where ``state_dict`` was taken; the batch in progress is drawn again."""
        self.generator.set_state(stored["drawn_from"]["generator"].cpu())
        self.task.seek(stored["drawn_from"]["position"])
        self.batches = stored["batches"]
        self._tail, self._taught_tail = (
            None if held is None else held.to(self.device)
            for held in (stored["tail"], stored.get("taught_tail"))
        )
        self._batch, self._state = None, None
        if stored["index"]:
            self._open_batch()
            self._index = stored["index"]
            self._is_begin_known = not self.carries or _begin_of(stored) is not UNKNOWN
        like = self.network.initial_state(self.batch_size)
        if stored["state"] is not None:
            self._state = from_named_tensors(like, stored["state"])
        if stored.get("begun") is not None:
            self._begun = from_named_tensors(like, stored["begun"])


UNKNOWN = object()


def _begin_of(stored: dict[str, Any]) -> Any:
    """The state with which a stream's batch under way began, as it is stored; UNKNOWN where it is not."""
    if "begun" in stored:
        return stored["begun"]
    return UNKNOWN if stored["batches"] else None  # the first batch of all begins with the initial state


def begun_anew(stored: dict[str, Any], carries: bool) -> dict[str, Any]:
    """Where a cursor stood before it began the batch that was under way: for windows with other ends.

    Args:
        stored: what ``Cursor.state_dict`` gave.
        carries: whether the cursor's state goes on from batch to batch.

    Raises:
        LookupError: a checkpoint of an earlier version, which does not hold the state that is needed.
    """
    if not stored["index"]:
        return stored
    begun = _begin_of(stored) if carries else None
    if begun is UNKNOWN:
        raise LookupError("the state with which the batch began")
    return {**stored, "index": 0, "state": begun}


def _stored(state: Any) -> dict[str, Tensor] | None:
    """Clones: these are views, and saving a view saves all of what it is a view of."""
    return None if state is None else {name: held.clone() for name, held in named_tensors(state)}


def _reach(tail: Tensor | None, now: Tensor, start: int, end: int) -> Tensor:
    """Timesteps [start, end) of a (B, T, ...) batch, of which negative ones lie in the tail before it."""
    if start >= 0 or tail is None:
        return now[:, start:end]
    held = tail.shape[1]
    if end <= 0:
        return tail[:, held + start : held + end]
    return torch.cat((tail[:, held + start :], now[:, :end]), dim=1)
