"""A diagnosis: what the recorded gradients and losses say about a run, in sentences made of the numbers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from models.base import named_tensors
from models.bptt.decay import Decay, fit_decay
from models.bptt.gates import saturation
from models.bptt.jacobians import recurrent_spectra
from trainer.inspection.base import Subject, ViewSettings, ViewSpec, number
from trainer.schema import DecaySeries, DiagnosisView, Series, VectorSeries

AT_CHANCE = 0.97
"""A loss above this share of chance has learnt nothing worth the name."""
VANISHED, EXPLODED = 1e-4, 1e4
"""The gradient at the marker ÷ the largest one."""
OFTEN = 0.5
"""A share of the time worth a sentence."""
SATURATION_SEQUENCES = 16


class DiagnosisSettings(ViewSettings):
    """This view has no settings."""


def compute(subject: Subject, settings: DiagnosisSettings) -> DiagnosisView:
    """Fits every recording, and tells the newest one."""
    del settings
    vectors = subject.recorded.vectors
    numbers: dict[str, float] = {}
    sentences = [
        *_loss(subject, numbers),
        *_gradients(subject, numbers),
        *(_weights(subject, numbers) if subject.step is not None else ()),
        *_clipping(subject, numbers),
    ]
    return DiagnosisView(
        sentences=sentences,
        fits={name: _fits(series) for name, series in vectors.items()},
        numbers={name: number(value) for name, value in numbers.items()},
    )


def _fits(series: VectorSeries) -> DecaySeries:
    found = [fit_decay(_tensor(norms)) for norms in series.norms]
    return DecaySeries(
        steps=list(series.steps),
        factor=[None if fit is None else number(fit.factor) for fit in found],
        half_life=[None if fit is None or fit.half_life is None else number(fit.half_life) for fit in found],
        r_squared=[None if fit is None else number(fit.r_squared) for fit in found],
        ratio=[None if fit is None else number(fit.ratio) for fit in found],
    )


def _loss(subject: Subject, numbers: dict[str, float]) -> Iterator[str]:
    values = _values(subject.recorded.metrics.get("validation/loss"))
    if not values:
        return
    loss, chance = values[-1], subject.task.chance.loss
    unit = subject.task.loss_unit
    numbers |= {"validation/loss": loss, "chance": chance}
    if loss >= AT_CHANCE * chance:
        yield (
            f"The validation loss, {loss:.3g} ({unit}), is that of chance, {chance:.3g}: "
            "it has learnt nothing yet."
        )
    else:
        share = _percent(loss / chance)
        yield f"The validation loss is {loss:.3g} ({unit}), {share} of chance, {chance:.3g}."


def _gradients(subject: Subject, numbers: dict[str, float]) -> Iterator[str]:
    newest = {
        name: (series.steps[-1], _tensor(series.norms[-1]))
        for name, series in subject.recorded.vectors.items()
        if series.steps
    }
    heard = {name: norms for name, (_, norms) in newest.items() if bool((norms > 0).any())}
    if not heard:
        return
    informative = subject.drawn(1).informative
    early = 0 if informative is None else int(informative.min())
    # The memory that hears best decides: of an LSTM that is c.
    name = max(heard, key=lambda key: float(heard[key][early] / heard[key].max()))
    norms = heard[name]
    loudest, share = int(norms.argmax()), float(norms[early] / norms.max())
    numbers |= {"timestep": float(early), "gradient share": share}
    what = "the first informative timestep" if informative is not None else "the first timestep"
    # Timesteps are told as the charts number them, from 1.
    told = (
        f"At update {newest[name][0]:,} the gradient of {name} at {what}, {early + 1}, is {share:.2g} of "
        f"that at timestep {loudest + 1}"
    )
    if loudest <= early:
        yield (
            f"At update {newest[name][0]:,} the gradient of {name} is largest at timestep {loudest + 1}, as "
            f"early as {what}, {early + 1}: it does not fade on its way back."
        )
    elif share < VANISHED:
        yield f"{told}: it has vanished, and what happens there is hardly ever heard."
    else:
        yield f"{told}: it gets there."
    fit = fit_decay(norms)
    if fit is not None:
        numbers |= {"factor per timestep": fit.factor, "R²": fit.r_squared}
        yield _pace(name, fit)
        if fit.ratio > EXPLODED:
            yield f"It grows {fit.ratio:.2g} times over the sequence: it explodes."


def _pace(name: str, fit: Decay) -> str:
    quality = f"(R² of the fit: {fit.r_squared:.2f})"
    if fit.half_life is not None:
        return f"The gradient of {name} halves every {fit.half_life:.3g} timesteps back {quality}."
    if fit.doubling is not None:
        return f"The gradient of {name} doubles every {fit.doubling:.3g} timesteps back {quality}."
    return f"The gradient of {name} keeps its size on its way back."


def _weights(subject: Subject, numbers: dict[str, float]) -> Iterator[str]:
    network = subject.network
    for role, spectrum in recurrent_spectra(network).items():
        if len(spectrum.radius) == 1:
            numbers[f"spectral radius {role}"] = radius = float(spectrum.radius[0])
            yield f"The spectral radius of {role} is {radius:.3g}."
    x = subject.drawn(SATURATION_SEQUENCES).inputs
    with torch.no_grad():
        gates = network.gates(x)
        if not gates:
            _, states = network.unroll(x)
            history: dict[str, list[Tensor]] = {}
            for state in states:
                for name, tensor in named_tensors(state):
                    history.setdefault(name, []).append(tensor)
            gates = {name: torch.stack(parts, 1) for name, parts in history.items()}
    for name, values in gates.items():
        if values.abs().max() > 1:  # not squashed: it has no ends to stand at
            continue
        found = saturation(values, -1.0 if bool((values < 0).any()) else 0.0)
        numbers[f"saturated {name}"] = share = float((found.low + found.high).mean())
        if share > OFTEN:
            yield f"{name} is saturated {_percent(share)} of the time: what drives it hardly learns."


def _clipping(subject: Subject, numbers: dict[str, float]) -> Iterator[str]:
    values = _values(subject.recorded.metrics.get("clipped"))
    if subject.config.training.clip is None or not values:
        return
    numbers["clip rate"] = rate = sum(values) / len(values)
    yield f"The gradient was clipped at {_percent(rate)} of the last {len(values):,} updates."


def _values(series: Series | None) -> list[float]:
    return [] if series is None else [value for value in series.value if value is not None]


def _tensor(norms: list[float | None]) -> Tensor:
    """float64; what was not finite counts as 0, which no fit looks at."""
    return torch.tensor([0.0 if norm is None else norm for norm in norms], dtype=torch.float64)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


SPEC = ViewSpec(
    title="Diagnosis",
    summary=(
        "What the run's own recordings say: whether it is at chance, how fast its gradient fades on its way "
        "back, whether it reaches what matters, what is saturated, how often it was clipped."
    ),
    look_for=(
        "A loss at chance together with a vanished gradient: the network cannot learn what it never hears. "
        "A fit with an R² near 1 fades evenly."
    ),
    settings=DiagnosisSettings,
    compute=compute,
    uses_checkpoint="may",
    needs_recordings=True,
)
