"""The itemised triangle: what the loss at each timestep says to each step before it."""

from __future__ import annotations

from pydantic import Field

from models.bptt.gates import carried
from models.bptt.precise import norms
from models.bptt.triangle import triangle
from trainer.inspection.base import ProbeSettings, Subject, ViewSpec, grid, needs_state, number, quick_length
from trainer.schema import TriangleView


class TriangleSettings(ProbeSettings):
    """Settings of the triangle."""

    length: int | None = Field(default=None, title="Length (timesteps)", ge=2, le=300)
    """How many timesteps to measure, the last ones of each sequence; empty is automatic: as many as take
    about a second. Twice as many take four times as long."""
    paths: bool = Field(
        default=False, title="Paths apart", json_schema_extra={"only_if": {"model.state_parts": {"above": 1}}}
    )
    """Also measure each part of the state alone, such as an LSTM's c: what travels back through it only."""


def compute(subject: Subject, settings: TriangleSettings) -> TriangleView:
    """Runs the triangle once, and once more for each field of the state where paths are wanted apart."""
    probe = subject.probe(settings.sequences, settings.length or quick_length(100, 1e5, subject.parameters))
    network, x, state = subject.network, probe.batch.inputs, probe.state
    whole = triangle(network, x, state, probe.losses)
    fields = list(dict.fromkeys(name.split("/")[0] for name in whole.states))
    apart = fields if settings.paths and len(fields) > 1 else []
    gates = network.gates(x, state)
    kept = {
        name: gates[f"{network.kept_by[field]}/{layer}"]
        for name in whole.states
        for field, layer in [name.split("/")]
        if field in network.kept_by and f"{network.kept_by[field]}/{layer}" in gates
    }
    return TriangleView(
        begin=probe.begin,
        stretch=probe.stretch,
        states={name: grid(found) for name, found in whole.states.items()},
        weights={role: grid(found) for role, found in whole.weights.items()},
        totals={role: number(float(norms(gradient[None]))) for role, gradient in whole.gradient.items()},
        paths={
            field: {
                name: grid(found)
                for name, found in triangle(network, x, state, probe.losses, {field}).states.items()
            }
            for field in apart
        },
        carried={name: grid(carried(gate, probe.lengths)) for name, gate in kept.items()},
    )


SPEC = ViewSpec(
    title="Triangle",
    summary=(
        "Training adds up, for every timestep's loss, what it says to every step before it. Here each pair "
        "is shown by itself: down, the timestep of the loss; across, the step that it speaks to. Of one loss "
        "or two, a curve by distance takes the triangle's place."
    ),
    look_for=(
        "Colour that fades within a few steps of the diagonal, or a curve that falls within a few steps of "
        "lag 0, is a vanishing gradient: those losses never reach what happened earlier. Colour that grows "
        "to the left, or a curve that rises to the right, is an exploding one."
    ),
    settings=TriangleSettings,
    compute=compute,
    require=needs_state("each loss speaks to the step of its own timestep alone."),
)
