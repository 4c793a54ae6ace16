"""How a gradient goes back through time, in words: what becomes of it, and whether it reaches what decides.

A decay can be seen only where all losses lie on the same side. At a timestep that has a loss of its own, the
gradient of the sum of all losses is as large as that loss makes it, however fast each one's fades. So
recordings are judged up to the first scored timestep; where that is too early, the loss of the last scored
timestep alone is followed instead, through a checkpoint.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.base import Network, named_tensors
from models.bptt.decay import fit_decay, remembered
from models.bptt.state_gradients import state_gradient_norms
from trainer.inspection.base import Probe, Subject, number
from trainer.schema import DecaySeries, VectorSeries
from trainer.scoring import at_last
from trainer.tasks.base import Batch

FEWEST = 5
"""Timesteps that a fit needs."""
EVEN = 0.5
"""The R² below which a fit tells no pace."""
STEADY = 2.0
"""Largest norm ÷ smallest: below it a gradient without a trend keeps its size."""
SLOWEST = 1000.0
"""Timesteps in which a norm halves or doubles: slower than that, it keeps its size."""
VANISHED, FAINT, EXPLODED = 1e-4, 1e-2, 1e4
"""The gradient where the target is decided ÷ the largest one."""
SLIGHT = 10.0
"""The earliest norm ÷ the latest one, up to which growth is told as harmless."""
MULTIPLICATIONS = 5e8
"""Of forward passes, for the gradient that a diagnosis computes itself: under a second."""
STATE_WORDS = {
    "h": "hidden state h",
    "c": "cell state c",
    "n": "normaliser n",
    "m": "stabiliser m",
    "re": "state's real part",
    "im": "state's imaginary part",
    "s": "state units s",
    "x": "past inputs x",
    "y": "output y that is fed back",
}


class Gradient(NamedTuple):
    """The norms of one gradient through time, and what a reader must know of it."""

    of: str
    """``"the gradient"``, or of what it is one."""
    step: int
    """After this update."""
    norms: Mapping[str, Tensor]
    """(T,) float64 by field and layer; what is not finite stays so."""
    bits: int
    """Of the numbers that the norms were kept in."""
    last: int
    """The first timestep with a loss: up to it a fading can be seen."""
    early: int | None
    """The earliest timestep that decides a target; None where all do."""


class Course(NamedTuple):
    """What becomes of a gradient on its way back: the same words in a sentence and in a legend."""

    words: str
    """Follows ``"the gradient"``; empty where there is nothing to tell."""
    factor: float | None = None
    """What one timestep back multiplies the norm by; None where no pace is told."""
    half_life: float | None = None
    r_squared: float | None = None
    ratio: float | None = None
    """The earliest norm ÷ the latest one."""


def course(norms: Tensor, last: int) -> Course:
    """From (T,) norms up to the timestep ``last`` of the loss."""
    last = min(last, len(norms) - 1)
    back = remembered(norms, last)
    if back is not None:
        return Course(f"is exactly 0 more than {_timesteps(back)} back")
    fit = fit_decay(norms, last=last)
    if fit is None or fit.points < FEWEST:
        return Course("")
    found = Course("", fit.factor, fit.half_life, fit.r_squared, fit.ratio)
    quality = f"(R² {fit.r_squared:.2f})"
    if fit.r_squared < EVEN and fit.spread >= STEADY:
        uneven = f"does not fade evenly on its way back {quality}"
        return found._replace(words=uneven, factor=None, half_life=None)
    for does, every in (("halves", fit.half_life), ("doubles", fit.doubling)):
        if every is not None and every < SLOWEST and fit.r_squared >= EVEN:
            return found._replace(words=f"{does} every {_timesteps(every).removeprefix('1 ')} back {quality}")
    return found._replace(words="keeps its size on its way back")


def fitted(series: VectorSeries, last: int) -> DecaySeries:
    """The course of every recording."""
    found = [course(tensor(norms), last) for norms in series.norms]
    return DecaySeries(
        steps=list(series.steps),
        last=last,
        words=[each.words for each in found],
        factor=[_number(each.factor) for each in found],
        half_life=[_number(each.half_life) for each in found],
        r_squared=[_number(each.r_squared) for each in found],
        ratio=[_number(each.ratio) for each in found],
    )


def recorded_gradient(subject: Subject) -> Gradient | None:
    """The newest recordings; None where there is none."""
    newest = {name: series for name, series in subject.recorded.vectors.items() if series.steps}
    if not newest:
        return None
    probe = subject.learnt(subject.config.analysis.probe_size)
    return Gradient(
        of="the gradient",
        step=max(series.steps[-1] for series in newest.values()),
        norms={name: tensor(series.norms[-1]) for name, series in newest.items()},
        bits=32,
        last=_first_scored(probe),
        early=_earliest(probe),
    )


def unfitted(gradient: Gradient) -> str:
    """Why no decay can be fitted to a recorded gradient, in sentences; empty where it can."""
    length = max(map(len, gradient.norms.values()))
    if min(gradient.last + 1, length) >= FEWEST:
        return ""
    if gradient.last + 1 >= length:
        return f"A sequence of {_timesteps(length)} is too short for a decay to be fitted."
    return (
        f"Training has losses from timestep {gradient.last + 1} on. What is recorded is the gradient of all "
        "of them together, which stays large however fast that of each one fades: no decay is fitted to it."
    )


def last_loss_gradient(subject: Subject) -> Gradient | None:
    """That of the last scored timestep's loss alone, through the checkpoint; None without either.

    On as many sequences of the run's probe as can be followed in a moment.
    """
    if subject.step is None or not subject.state_names():
        return None
    probe = subject.learnt(subject.config.analysis.probe_size)
    cost = probe.length * subject.network.multiplications_per_timestep()
    batch = at_last(probe.rows(0, max(1, int(MULTIPLICATIONS / cost))))
    double = copy.deepcopy(subject.network).double().eval()
    whole = Probe(subject.task, batch, double)
    is_last = bool((batch.lengths() == batch.length).all())
    return Gradient(
        of=f"the gradient of the last {'' if is_last else 'scored '}timestep's loss alone",
        step=subject.step,
        norms=state_gradient_norms(double, whole.batch.inputs.double(), None, whole.loss),
        bits=64,
        last=_first_scored(batch),
        early=_earliest(batch),
    )


def memory(gradient: Gradient) -> str:
    """The state that is spoken of: where most norms are beyond all numbers, or else the one that hears best.

    Of an LSTM that is c. Empty where nothing is heard.
    """
    bad = {name: int((~norms.isfinite()).sum()) for name, norms in gradient.norms.items()}
    if any(bad.values()):
        return max(bad, key=lambda name: bad[name])
    cut = {name: norms[: gradient.last + 1] for name, norms in gradient.norms.items()}
    heard = {name: norms for name, norms in cut.items() if bool((norms > 0).any())}
    early = gradient.early or 0
    return max(heard, key=lambda name: (_share(heard[name], early), int((heard[name] > 0).sum())), default="")


def told(gradient: Gradient, words: Callable[[str], str], numbers: dict[str, float]) -> Iterator[str]:
    """Sentences about whether it arrives and how it fades, of ``memory``.

    Args:
        gradient: which; all of its norms are finite.
        words: tells a state's name to a reader.
        numbers: gets what the sentences are made of.
    """
    name = memory(gradient)
    if not name:
        return
    norms = gradient.norms[name][: gradient.last + 1]
    early, last = gradient.early or 0, len(norms) - 1
    found, place = course(norms, last), f"in the {words(name)}, "
    if early <= last:
        numbers |= {"timestep": float(early), "gradient share": _share(norms, early)}
        yield f"At update {gradient.step:,}, {place}{_reach(gradient, norms)}."
        place = ""
    if found.words:
        yield _capital(f"{place}{gradient.of} {found.words}.")
    if found.factor is not None and found.r_squared is not None and found.ratio is not None:
        numbers |= {"factor per timestep": found.factor, "R²": found.r_squared}
        yield from _growth(found, found.ratio)


def _growth(found: Course, ratio: float) -> Iterator[str]:
    """What growth comes to over the whole way back: a pace alone does not tell the slight from explosions."""
    times = f"{ratio:,.0f}" if 100 <= ratio < 1e6 else f"{ratio:.3g}"
    if ratio > EXPLODED:
        yield f"Over the whole way back it grows to {times} times its size: it explodes."
    elif ratio >= 1.01 and found.words.startswith("doubles"):
        verdict = "growth as slight as this is harmless" if ratio <= SLIGHT else "much, but no explosion yet"
        yield f"Over the whole way back it grows to {times} times its size: {verdict}."


def _share(norms: Tensor, early: int) -> float:
    """Of the largest norm."""
    return float(norms[min(early, len(norms) - 1)] / norms.max())


def _reach(gradient: Gradient, norms: Tensor) -> str:
    """Whether it arrives at the earliest timestep that decides a target, or at the first one."""
    early, loudest = gradient.early or 0, int(norms.argmax())
    # Timesteps are told as the charts number them, from 1.
    which = "the first" if gradient.early is None else "the earliest that decides a target"
    where = f"timestep {early + 1} ({which})"
    if loudest <= early:
        when = where if loudest == early else f"timestep {loudest + 1}, before {where}"
        return f"{gradient.of} is largest at {when}: it does not fade on its way back"
    share = float(norms[early] / norms[loudest])
    if share == 0 and remembered(norms, len(norms) - 1) is not None:
        return f"{gradient.of} is exactly 0 at {where}: what is read there is never heard"
    size = f"{share:.2g} of" if share else f"too small for a {gradient.bits}-bit number, beside"
    verdict = (
        "it has vanished, and what is read there is hardly ever heard"
        if share < VANISHED
        else "it arrives, but only faintly"
        if share < FAINT
        else "it gets there"
    )
    return f"{gradient.of} at {where} is {size} its largest value, at timestep {loudest + 1}: {verdict}"


def overflow(gradient: Gradient, words: Callable[[str], str], numbers: dict[str, float]) -> Iterator[str]:
    """Says so where some norms are beyond all numbers; nothing where all are finite."""
    if all(bool(norms.isfinite().all()) for norms in gradient.norms.values()):
        return
    name = memory(gradient)
    norms = gradient.norms[name]
    bad = int((~norms.isfinite()).sum())
    numbers |= {"timesteps not finite": float(bad)}
    about = f"At update {gradient.step:,}, in the {words(name)}, {gradient.of}"
    if bad == len(norms):
        yield (
            f"{about} is not finite at any of the {_timesteps(len(norms))}: it has exploded beyond what a "
            f"{gradient.bits}-bit number holds, or the loss itself is no number any more."
        )
        return
    yield (
        f"{about} has exploded: at {bad} of the {_timesteps(len(norms))} it is beyond what a "
        f"{gradient.bits}-bit number holds."
    )
    found = course(norms, gradient.last)
    if found.factor is not None and found.factor > 1 and found.words.startswith("doubles"):
        numbers |= {"factor per timestep": found.factor}
        yield f"As far back as it can be told, it {found.words}."


def namer(network: Network[Any]) -> Callable[[str], str]:
    """Tells ``"f/1"`` as ``"forget gate f of layer 2"``, and leaves out the layer where there is only one."""
    states = (name for name, _ in named_tensors(network.initial_state(1)))
    known = {*states, *network.ranges(), *network.recurrent_matrices()}

    def words(name: str) -> str:
        letter, layer = name.split("/")[:2]
        said = network.letters[letter].name if letter in network.letters else STATE_WORDS.get(letter, letter)
        is_alone = sum(other.startswith(f"{letter}/") and other.count("/") == 1 for other in known) < 2
        return said if is_alone else f"{said} of layer {int(layer) + 1}"

    return words


def tensor(norms: list[float | None]) -> Tensor:
    """(T,) float64; what was not finite is NaN."""
    return torch.tensor([torch.nan if norm is None else norm for norm in norms], dtype=torch.float64)


def _first_scored(batch: Batch) -> int:
    """The first timestep at which any sequence has a loss."""
    return batch.first if batch.mask is None else batch.first + int(batch.mask.any(0).int().argmax())


def _earliest(batch: Batch) -> int | None:
    """The earliest timestep that decides a target in any of the sequences."""
    return None if batch.informative is None else int(batch.informative.min())


def _timesteps(count: float) -> str:
    """``1 timestep``, ``3.25 timesteps``."""
    return "1 timestep" if f"{count:.3g}" == "1" else f"{count:.3g} timesteps"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _number(value: float | None) -> float | None:
    return None if value is None else number(value)
