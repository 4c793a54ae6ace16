"""Does credit reach the marker? The gradient at informative timesteps beside that at distractors."""

from __future__ import annotations

import torch
from pydantic import Field

from models.bptt.credit import INPUT, Credit, credit
from trainer.inspection.base import Meaningless, Subject, ViewSettings, ViewSpec, curve, number
from trainer.schema import CreditShare, CreditView


class CreditSettings(ViewSettings):
    """Settings of this view."""

    sequences: int = Field(default=8, ge=1, le=64)
    """Sequences of the run's probe to measure on."""


def compute(subject: Subject, settings: CreditSettings) -> CreditView:
    """Measures the checkpoint, and beside it the network that training began with."""
    probe = subject.probe(settings.sequences)
    informative = probe.batch.informative
    if informative is None:
        raise Meaningless(
            f"In this task ({subject.resolved.task_spec.title.lower()}) no timestep is a mere distractor: "
            "every input matters to some target, so there is nothing to compare."
        )
    x = probe.batch.inputs
    now = credit(subject.network, x, None, probe.loss, informative)
    at_start = credit(subject.fresh(), x, None, probe.loss, informative)
    inputs = x.detach().requires_grad_()
    outputs, _ = subject.network(inputs)
    (of_inputs,) = torch.autograd.grad(probe.loss(outputs), [inputs])
    gradients = {INPUT: of_inputs.transpose(0, 1), **subject.network.state_gradients(x, None, probe.loss)}
    return CreditView(
        now={name: _share(found) for name, found in now.items()},
        at_start={name: _share(found) for name, found in at_start.items()},
        norms={
            name: curve(torch.linalg.vector_norm(gradient[:, 0], dim=1, dtype=torch.float64))
            for name, gradient in gradients.items()
        },
        informative=sorted(set(informative[0].tolist())),
    )


def _share(found: Credit) -> CreditShare:
    has_both = ~found.distractors.isnan()
    return CreditShare(
        informative=number(float(found.informative[has_both].mean())),
        distractors=number(float(found.distractors[has_both].mean())),
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
)
