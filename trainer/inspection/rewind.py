"""Rewind: from one checkpoint into two futures, on the same batches, with one thing changed."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from trainer.callbacks import BlockCallback
from trainer.checkpoint import set_random_state
from trainer.cursor import begun_anew
from trainer.errors import errors_of
from trainer.inspection.base import Subject, ViewError, ViewSettings, ViewSpec, number
from trainer.module import RecurrentTraining, Update
from trainer.schema import Future, RewindView, TrainingConfig
from trainer.worker import fit, training_module

UPDATE_SECONDS, MULTIPLICATIONS_PER_SECOND = 0.003, 1e10
"""What an update takes whatever its size; and the multiplications of forward passes that are made, with all
that belongs to them, in a second. Of an ordinary processor's core, measured on LSTMs of 64 to 512 units."""


class RewindSettings(ViewSettings):
    """Settings of this view: what is left empty stays as it was in the run."""

    updates: int | None = Field(default=None, ge=1, le=1000)
    """How many updates to go on from the checkpoint; empty is automatic: what takes about a second, 2
    to 50."""
    clip: Literal["switched", "as it was", "off", "norm", "value"] = Field(
        default="switched",
        title="Gradient clipping",
        json_schema_extra={"labels": {"switched": "Switched off, or on"}},
    )
    """The clipping rule of the other future; switched on, it clips by norm."""
    clip_at: float | None = Field(
        default=None,
        title="Clipping threshold",
        gt=0,
        json_schema_extra={
            "only_if": [
                {"clip": ["norm", "value"]},
                {"clip": ["as it was"], "training.clip": True},
                {"clip": ["switched"], "training.clip": False},
            ]
        },
    )
    """Its clipping threshold; empty is as it was."""
    learning_rate: float | None = Field(default=None, gt=0, le=10)
    """Its learning rate, from which a schedule goes on; empty is as it was."""
    k1: int | None = Field(
        default=None,
        title="Backward every, k1",
        ge=1,
        json_schema_extra={"only_if": {"model.keeps_state": True}},
    )
    """Its truncation: backward after so many timesteps; empty is as it was."""
    k2: int | None = Field(
        default=None,
        title="Reaching back, k2",
        ge=1,
        json_schema_extra={
            "only_if": [{"k1": True}, {"model.keeps_state": True, "training.k1": True}],
        },
    )
    """Its truncation: how far back each pass runs, at least k1; empty is as it was."""


def compute(subject: Subject, settings: RewindSettings) -> RewindView:
    """Trains twice, with the very code that runs train with."""
    was = subject.config.training
    given = settings.model_dump(exclude={"updates", "clip"}, exclude_none=True)
    if settings.clip != "as it was":
        given["clip"] = {"off": None, "switched": None if was.clip else "norm"}.get(
            settings.clip, settings.clip
        )
    try:
        wanted = TrainingConfig.model_validate(was.model_dump() | given)
    except ValidationError as error:
        wrong = errors_of(error)[0]
        raise ViewError(wrong.field, wrong.value, wrong.problem, wrong.remedy) from None
    changes = {name: getattr(wanted, name) for name in given if getattr(wanted, name) != getattr(was, name)}
    if not changes:
        raise ViewError(
            "clip", settings.clip, "both futures would be the same", "change at least one setting"
        )
    snapshot: dict[str, Any] = subject.stored["module"]
    other = copy.deepcopy(snapshot)
    if "learning_rate" in changes:
        for group in other["optimizer"]["param_groups"]:
            group["lr"] = wanted.learning_rate
    note = ""
    if cut := {"k1", "k2"} & set(changes):
        other["cursor"], note = _cut_anew(subject, wanted, other["cursor"], min(cut))
    begin, updates = snapshot["step"], settings.updates or _quick_updates(subject)
    return RewindView(
        steps=list(range(begin + 1, begin + updates + 1)),
        changes={
            name: f"{_word(name, getattr(was, name))} → {_word(name, value)}"
            for name, value in changes.items()
        },
        untouched=_future(subject, was, copy.deepcopy(snapshot), updates),
        changed=_future(subject, wanted, other, updates),
        note=note,
    )


def _quick_updates(subject: Subject) -> int:
    """How many updates both futures make in about a second together."""
    training, length = subject.config.training, subject.drawn(1).length
    timesteps = min(length, training.k2 or length) * training.update_every
    # Under a small batch the time goes into fetching the weights, which any batch needs once a timestep.
    work = timesteps * max(training.batch_size, 16) * subject.network.multiplications_per_timestep()
    seconds = UPDATE_SECONDS + work / MULTIPLICATIONS_PER_SECOND
    return max(2, min(50, int(0.5 / seconds)))


def _cut_anew(
    subject: Subject, wanted: TrainingConfig, stored: dict[str, Any], field: str
) -> tuple[dict[str, Any], str]:
    """Let a cursor begin its batch again, from the state with which it began: windows of another size do not
    meet the old ones' ends. And a note for the reader."""
    carries = subject.task.streaming and wanted.carry_state
    try:
        anew = begun_anew(stored, carries)
    except LookupError:
        raise ViewError(
            field,
            getattr(wanted, field),
            "this checkpoint, of an earlier version, was taken within a batch and does not hold the state "
            "with which the batch began",
            "choose another checkpoint, or leave k1 and k2 as they were",
        ) from None
    notes = []
    if stored["index"]:
        whence = "from the state with which it began" if carries else "from the initial state"
        notes.append(
            f"The other future begins the batch that was under way anew, {whence}: its windows have other "
            "ends."
        )
    held = 0 if anew["tail"] is None else anew["tail"].shape[1]
    if carries and wanted.k1 is not None and wanted.k2 is not None and wanted.k2 - wanted.k1 > held:
        notes.append(
            f"Its first window has {held} timesteps of history, all that the checkpoint holds, and not "
            f"{wanted.k2 - wanted.k1}."
        )
    if wanted.update_every > 1:
        notes.append(f"An update has {wanted.update_every} windows in both futures.")
    return anew, " ".join(notes)


def _future(subject: Subject, training: TrainingConfig, snapshot: dict[str, Any], updates: int) -> Future:
    end = snapshot["step"] + updates
    config = subject.config.model_copy(update={"training": training})
    # Past the run's last update, its schedule goes on as if it had gone by its own number of updates.
    module = training_module(subject.resolved.network(), subject.resolved, config, pauses=[end], until=end)
    module.resume_from(snapshot)
    collected = _Collect(end, subject.stored["random"])
    for quiet in ("pytorch_lightning", "lightning", "lightning_fabric"):
        logging.getLogger(quiet).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice is meant for other uses
        fit(module, "cpu", [collected])
    return Future(
        loss=[number(update.loss) for update in collected.updates],
        norm_before=[number(update.norm_before) for update in collected.updates],
        norm_after=[number(update.norm_after) for update in collected.updates],
        clipped=[update.clipped for update in collected.updates],
        ended=module.failure,
    )


class _Collect(BlockCallback):
    """Keeps what every update reports, until enough are made."""

    after_failure = True

    def __init__(self, end: int, random: Mapping[str, Any]) -> None:
        self.end, self.random = end, random
        self.updates: list[Update] = []

    def at_start(self, module: RecurrentTraining) -> None:
        del module
        # Of this machine's devices only the CPU takes part, whatever the run was trained on.
        set_random_state({**self.random, "cuda": [], "mps": None})

    def at_block(self, module: RecurrentTraining) -> None:
        self.updates += module.block
        if module.step >= self.end or module.failure:
            module.trainer.should_stop = True


def _word(name: str, value: Any) -> str:
    if value is None:
        return {"k1": "full", "k2": "unlimited"}.get(name, "off")
    return f"{value:g}" if isinstance(value, float) else str(value)


SPEC = ViewSpec(
    title="Rewind",
    summary=(
        "Training goes on from the checkpoint twice, on the same batches: once as it was, once with a "
        "setting changed. Below: the loss and the gradient's norm of both futures."
    ),
    look_for=(
        "Where the two part. Without clipping, a loss that leaps after one update with a huge norm: that is "
        "what clipping was for. Where they stay together, the setting made no difference."
    ),
    settings=RewindSettings,
    compute=compute,
)
