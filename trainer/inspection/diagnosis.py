"""A diagnosis: what the recorded gradients and losses say about a run, in sentences made of the numbers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from models.base import named_history
from models.bptt.gates import saturation
from models.bptt.jacobians import spectrum
from models.initialisation import LARGEST_FOR_EIGENVALUES
from trainer.inspection.base import Subject, ViewSettings, ViewSpec, number
from trainer.inspection.fading import (
    fitted,
    last_loss_gradient,
    memory,
    namer,
    overflow,
    recorded_gradient,
    told,
    unfitted,
)
from trainer.schema import DiagnosisView, Series, blow_up, blow_up_words, percent, standing
from trainer.schema.ends import Quantity

OFTEN = 0.5
"""A share of the time worth a sentence."""
SATURATION_SEQUENCES = 16


class DiagnosisSettings(ViewSettings):
    """This view has no settings."""


def compute(subject: Subject, settings: DiagnosisSettings) -> DiagnosisView:
    """Fits every recording, and tells the newest one."""
    del settings
    recorded, words = recorded_gradient(subject), namer(subject.network)
    why = unfitted(recorded) if recorded is not None else ""
    spoken_of = None if why else recorded
    numbers: dict[str, float] = {}
    sentences = [*_blow_up(subject, numbers), *_loss(subject, numbers)]
    if recorded is not None:
        exploded = [*overflow(recorded, words, numbers)]
        sentences += exploded or (() if why else told(recorded, words, numbers))
        sentences += [why] if why else []
    if recorded is None or why:
        alone = last_loss_gradient(subject)
        if alone is not None:
            exploded = [*overflow(alone, words, numbers)]
            sentences += exploded or told(alone, words, numbers)
            spoken_of = alone
    if subject.step is not None:
        sentences += [*_radii(subject, numbers), *_saturation(subject, numbers)]
    sentences += _clipping(subject, numbers)
    return DiagnosisView(
        sentences=sentences,
        fits={}
        if recorded is None or why
        else {name: fitted(series, recorded.last) for name, series in subject.recorded.vectors.items()},
        unfitted=why,
        state="" if spoken_of is None else memory(spoken_of),
        numbers={name: number(value) for name, value in numbers.items()},
    )


def _blow_up(subject: Subject, numbers: dict[str, float]) -> Iterator[str]:
    """Before all else: the rest tells of a training that came to nothing."""
    quantities: tuple[Quantity, ...] = ("the loss", "the gradient's norm")
    for quantity, key in zip(quantities, ("loss", "gradient_norm/before_clip"), strict=True):
        series = subject.recorded.metrics.get(key)
        if series is not None and series.step and series.step[-1] in series.flag:
            step, flag = series.step[-1], series.flag[series.step[-1]]
            numbers["blew up at"] = step
            what, _ = blow_up_words(blow_up(quantity, float(flag), step), subject.config.training)
            yield f"{what} What else is told here is of the network before that."
            return


def _loss(subject: Subject, numbers: dict[str, float]) -> Iterator[str]:
    """By the last value, whether it is a number or not."""
    series = subject.recorded.metrics.get("validation/loss")
    if series is None or not series.value:
        return
    loss, chance, unit = series.value[-1], subject.task.chance.loss, subject.task.loss_unit
    if loss is None:
        at, is_nan = series.step[-1], series.flag.get(series.step[-1], "nan") == "nan"
        what = "is not a number any more (NaN)" if is_nan else "is infinite"
        yield f"The validation loss {what} at update {at:,}: training has broken down."
        return
    numbers |= {"validation/loss": loss, "chance": chance}
    said = f"The validation loss, {loss:.3g} ({unit}),"
    if chance <= 0:
        yield f"{said} is to be compared with 0, which guessing gives."
    elif standing(loss, chance) == "at chance":
        yield f"{said} is that of chance, {chance:.3g}: it does no better than guessing."
    elif loss > chance:
        ratio = loss / chance
        times = f"{ratio:,.0f}" if 100 <= ratio < 1e6 else f"{ratio:.3g}"
        yield f"{said} is {times} times what guessing gives, {chance:.3g}: it is worse than chance."
    else:
        yield f"{said} is {percent(loss / chance)} of what guessing gives, {chance:.3g}."


def _radii(subject: Subject, numbers: dict[str, float]) -> Iterator[str]:
    network, words = subject.network, namer(subject.network)
    for name, matrix in network.recurrent_matrices().items():
        if name.count("/") == 1 and len(matrix) <= LARGEST_FOR_EIGENVALUES:  # of one gate it says little
            numbers[f"spectral radius {name}"] = radius = spectrum(matrix).radius
            # Above 1 it says less: squashing may still let the state fade.
            does = ", below 1: by itself it lets a state fade" if radius < 1 else ""
            yield f"The spectral radius of {words(name)} (from state to state) is {radius:.3g}{does}."


def _saturation(subject: Subject, numbers: dict[str, float]) -> Iterator[str]:
    """Of what is squashed: a gate that stands open to keep a memory does what it is for."""
    network, words = subject.network, namer(subject.network)
    ranges = network.ranges()
    if not ranges:
        return
    for name, values in _squashed(subject).items():
        floor, ceiling = ranges[name]
        found = saturation(values, floor, ceiling)
        low, high = float(found.low.mean()), float(found.high.mean())
        numbers[f"saturated {name}"] = low + high
        keeps_at = network.keeps_at.get(name.split("/")[0])
        if keeps_at is not None:
            lost, end = (low, floor) if keeps_at == ceiling else (high, ceiling)
            if lost > OFTEN:
                yield (
                    f"The {words(name)} stands near {end:g} {percent(lost)} of the time: little of what was "
                    "remembered is kept."
                )
        elif low + high > OFTEN:
            some = 0.1 * (low + high)
            ends = " or ".join(f"{end:g}" for end, share in ((floor, low), (ceiling, high)) if share > some)
            yield (
                f"The {words(name)} is saturated, near {ends}, {percent(low + high)} of the time: what "
                "drives it hardly learns."
            )


def _squashed(subject: Subject) -> dict[str, Tensor]:
    """(1, N, H) by name, gates and states, of those that have a range: N timesteps that are no padding."""
    network, probe = subject.network, subject.drawn(SATURATION_SEQUENCES)
    x, ranges = probe.inputs, network.ranges()
    is_read = torch.arange(probe.length) < probe.lengths()[:, None]  # (B, T)
    with torch.no_grad():
        found = {name: gate for name, gate in network.gates(x).items() if name in ranges}
        if ranges.keys() - found.keys():
            history = named_history(network.unroll(x)[1])
            found |= {name: torch.stack(parts, 1) for name, parts in history.items() if name in ranges}
    return {name: values[is_read][None] for name, values in found.items()}


def _clipping(subject: Subject, numbers: dict[str, float]) -> Iterator[str]:
    values = _values(subject.recorded.metrics.get("clipped"))
    if subject.config.training.clip is None or not values:
        return
    numbers["clip rate"] = rate = sum(values) / len(values)
    share, plural = "none" if rate == 0 else percent(rate), "s" * (len(values) > 1)
    yield f"The gradient was clipped at {share} of the last {len(values):,} update{plural}."


def _values(series: Series | None) -> list[float]:
    return [] if series is None else [value for value in series.value if value is not None]


SPEC = ViewSpec(
    title="Diagnosis",
    summary=(
        "What the run's own recordings say: whether it is at chance, how fast its gradient fades on its way "
        "back, whether it reaches what matters, what is saturated, how often it was clipped."
    ),
    look_for=(
        "A loss at chance together with a vanished gradient: the network cannot learn what it never hears. "
        "R² says how evenly a gradient fades: 1 is by the same factor at every timestep."
    ),
    settings=DiagnosisSettings,
    compute=compute,
    uses_checkpoint="may",
    needs_recordings=True,
)
