"""Does credit reach the marker? The gradient at informative timesteps beside that at distractors."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from models.bptt.credit import Credit, credit, credit_gradients
from models.bptt.precise import norms
from trainer.inspection.base import Meaningless, Subject, ViewSettings, ViewSpec, curve, number
from trainer.schema import CreditShare, CreditView
from trainer.tasks.base import Batch


class CreditSettings(ViewSettings):
    """Settings of this view."""

    sequences: int = Field(default=8, ge=1, le=64)
    """How many sequences to measure on: always the same ones, drawn for that alone."""


def compute(subject: Subject, settings: CreditSettings) -> CreditView:
    """Measures the checkpoint, and beside it the network that training began with."""
    probe = subject.probe(settings.sequences)
    batch, informative = probe.batch, probe.batch.informative
    assert informative is not None  # as `require` has seen to
    _require_reach(subject, _nearest(batch, informative))
    now, at_start = (
        credit_gradients(network, batch.inputs, None, probe.loss)
        for network in (subject.network, subject.fresh())
    )
    lengths = batch.lengths()
    return CreditView(
        now={name: _share(found) for name, found in credit(now, informative, lengths).items()},
        at_start={name: _share(found) for name, found in credit(at_start, informative, lengths).items()},
        norms={name: curve(norms(gradient[: lengths[0], 0])) for name, gradient in now.items()},
        informative=sorted(set(informative[0].tolist())),
    )


def require(subject: Subject) -> None:
    """Raises Meaningless where all timesteps decide, or where none that does can be heard."""
    batch = subject.learnt(CreditSettings().sequences)
    if batch.informative is None:
        raise Meaningless(
            f"In this task ({subject.resolved.task_spec.title.lower()}) no timestep is a mere distractor: "
            "every input matters to some target, so there is nothing to compare."
        )
    _require_reach(subject, _nearest(batch, batch.informative))


def _nearest(batch: Batch, informative: Tensor) -> int:
    """The fewest timesteps from an informative timestep, (B, n), to an output that is scored."""
    places = torch.arange(batch.first, batch.length)
    after = places - informative[:, :, None]  # (B, n, T - first)
    counts = after >= 0 if batch.mask is None else (after >= 0) & batch.mask[:, None]
    return int(after[counts].min())


def _require_reach(subject: Subject, nearest: int) -> None:
    """Raises Meaningless where no gradient can ever come so far."""
    field = getattr(subject.resolved.model_config, "receptive_field", None)
    if not subject.state_names() and nearest > 0:
        raise Meaningless(
            f"This network, {subject.title}, has no memory: an input can only change the output at its own "
            f"timestep, and the inputs that decide a target come {nearest} or more timesteps before it."
        )
    if field is not None and nearest >= field:
        raise Meaningless(
            f"The receptive field of this network, {subject.title}, is too short, {field} timesteps: the "
            f"inputs that decide a target come {nearest} or more timesteps before it, and no gradient "
            "arrives there."
        )


def _share(found: Credit) -> CreditShare:
    informative, distractors = found.means
    return CreditShare(
        informative=number(float(informative)),
        distractors=number(float(distractors)),
        ratio=number(found.ratio),
    )


SPEC = ViewSpec(
    title="Credit",
    summary=(
        "How strongly the loss's gradient arrives at the timesteps that decide the target, beside all "
        "others; for the inputs (x) and for each state."
    ),
    look_for=(
        "A ratio well above 1 for x: the network has found its markers. A ratio near 1: it cannot yet tell "
        "them from noise. Compare with the weights that training began with."
    ),
    settings=CreditSettings,
    compute=compute,
    require=require,
)
