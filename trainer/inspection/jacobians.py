"""Jacobians of the state: what one timestep, and many in a row, do to a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from models.base import Network, named_tensors
from models.bptt.jacobians import (
    SLOPE_BOUNDS,
    log_singular_values,
    pascanu_bound,
    product_log_singular_values,
    recurrent_spectra,
    step_jacobians,
)
from models.bptt.lyapunov import is_meaningful, long_run_exponents
from trainer.inspection.base import (
    ProbeSettings,
    Subject,
    ViewError,
    ViewSpec,
    curve,
    needs_state,
    number,
    quick_length,
)
from trainer.schema import Exponents, JacobiansView, NormBound, SpectrumView, Spread
from trainer.seeds import generator

EXPONENTS = ((6, 8), (4, 8), (3, 4), (2, 4))
"""Starts, and how many exponents are told: the first that can be followed far enough."""
FAR_ENOUGH, FURTHEST = 400, 2000
"""Timesteps that exponents are followed unasked: at least, where there are fewer starts; at most."""
MOST_WORK = 3e9
"""Multiplications for that: about half a second."""
STEP_WORK = 600_000
"""What a timestep costs beside its multiplications, however small the network is."""
MOST_SPECTRA = 2 * 512**3
"""Of the cubed sizes of all matrices whose eigenvalues are shown: about half a second."""
LARGEST_STATE = 1024
"""Numbers of a state whose Jacobians are measured unasked."""
MOST_NUMBERS = 40_000_000
"""Of all Jacobians together: 320 MB."""


class JacobiansSettings(ProbeSettings):
    """Settings of the Jacobians."""

    sequences: int = Field(default=1, ge=1, le=16)
    """How many sequences to measure on, always the same ones; what is shown is their mean."""
    length: int | None = Field(default=None, title="Length (timesteps)", ge=2, le=500)
    """How many timesteps to measure, the last ones of each sequence; empty is automatic: as many as take
    about a second."""
    follow: int | None = Field(default=None, title="Follow exponents (timesteps)", ge=100, le=20_000)
    """How far to follow Lyapunov exponents; empty is automatic: until they have settled, or as far as takes
    about a second."""


def compute(subject: Subject, settings: JacobiansSettings) -> JacobiansView:
    """Singular values of each step and of the products back from the last one; exponents; spectra of Ws."""
    network = subject.network
    state = named_tensors(network.initial_state(1))
    size = sum(tensor.shape[1] for name, tensor in state if is_meaningful(network, name))
    if size > LARGEST_STATE and settings.length is None:
        raise ViewError(
            "length",
            None,
            f"the Jacobians of a state of {size:,} numbers take long",
            "choose a length, such as 2, to have them measured all the same",
        )
    probe = subject.probe(settings.sequences, settings.length or quick_length(40, 128, size, power=1.5))
    x = probe.batch.inputs
    if size**2 * x.shape[0] * x.shape[1] > MOST_NUMBERS:
        most = MOST_NUMBERS // (size**2 * x.shape[0])
        raise ViewError(
            "length",
            x.shape[1],
            f"the Jacobians of a state of {size:,} numbers would take too much memory",
            f"choose a length of {most} or less" if most > 1 else "choose a run with a smaller state",
        )
    each = probe.apart(step_jacobians(network, x, probe.state))
    return JacobiansView(
        begin=probe.begin,
        stretch=probe.stretch,
        step=_spread([log_singular_values(one) for one in each], exponentiate=True),
        product=_spread([product_log_singular_values(one) for one in each]),
        lyapunov=_exponents(subject, size, settings.follow),
        spectra=_spectra(network, MOST_SPECTRA),
        spectra_at_start=_spectra(subject.fresh(), MOST_SPECTRA // 4),
        has_spectra=bool(network.recurrent_matrices()),
        bounds=_bounds(subject),
    )


def _spread(logs: Sequence[Tensor], exponentiate: bool = False) -> Spread:
    """(T, 1, S) logarithms of each sequence, the largest first; their means over those that are so long."""
    padded = pad_sequence([one[:, 0] for one in logs])  # (T, B, S)
    counts = torch.tensor([sum(len(one) > t for one in logs) for t in range(len(padded))])
    means = padded.sum(1) / counts[:, None]
    parts = (means[:, 0], means[:, means.shape[1] // 2], means[:, -1])
    largest, median, smallest = (
        curve(torch.where(part.isfinite(), part.exp(), torch.nan) if exponentiate else part) for part in parts
    )
    return Spread(largest=largest, median=median, smallest=smallest)


def _exponents(subject: Subject, size: int, follow: int | None) -> Exponents | None:
    """In the long run, from several starts."""
    cost = 3 * subject.network.multiplications_per_timestep() + 30 * size  # forward and back, for each row
    field = getattr(subject.resolved.model_config, "receptive_field", 0)
    for starts, count in EXPONENTS:
        affordable = int(MOST_WORK / (STEP_WORK + cost * starts * (count + 1)))
        if affordable >= (FAR_ENOUGH if follow is None else follow / 8):
            break
    # What a memory of fixed length forgets is seen after that length.
    timesteps = follow or max(2 * field, min(affordable, FURTHEST))
    skip = timesteps // 10
    found = long_run_exponents(subject.network, _stream(subject, starts, timesteps + skip), count, skip)
    if found is None:
        return None
    each = found.exponents
    return Exponents(
        mean=curve(each.mean(0)),
        lowest=curve(each.amin(0)),
        highest=curve(each.amax(0)),
        wiped_out=each.isneginf().sum(0).tolist(),
        starts=starts,
        warm_up=found.warm_up,
        timesteps=found.timesteps,
        has_settled=found.has_settled,
    )


def _stream(subject: Subject, starts: int, timesteps: int) -> Tensor:
    """(B, T, D) inputs of fresh sequences one after another, without what only pads them."""
    source = generator(subject.config.seed, "exponents")
    kind = next(subject.network.parameters()).dtype
    streams: list[list[Tensor]] = [[] for _ in range(starts)]
    lengths = [0] * starts
    while min(lengths) < timesteps:
        batch = subject.task.draw_validation(4 * starts, source)
        for row, length in enumerate(batch.lengths().tolist()):
            shortest = lengths.index(min(lengths))
            streams[shortest].append(batch.inputs[row, :length])
            lengths[shortest] += length
    return torch.stack([torch.cat(stream)[:timesteps] for stream in streams]).to(kind)


def _spectra(network: Network[Any], most: int) -> dict[str, SpectrumView]:
    """Where the cubed sizes of the matrices, with which the time grows, are ``most`` together or less."""
    if sum(len(matrix) ** 3 for matrix in network.recurrent_matrices().values()) > most:
        return {}
    return {
        name: SpectrumView(
            real=curve(found.eigenvalues.real),
            imaginary=curve(found.eigenvalues.imag),
            radius=number(found.radius),
            norm=number(found.norm),
        )
        for name, found in recurrent_spectra(network).items()
    }


def _bounds(subject: Subject) -> dict[str, NormBound]:
    """Of layers without gates, whose activation function's slope is known."""
    slope = SLOPE_BOUNDS.get(getattr(subject.resolved.model_config, "nonlinearity", ""))
    if slope is None:
        return {}
    return {
        name: NormBound(**pascanu_bound(matrix, slope)._asdict())
        for name, matrix in subject.network.recurrent_matrices().items()
    }


SPEC = ViewSpec(
    title="Jacobians",
    summary=(
        "By how much one timestep stretches or shrinks a gradient on its way back (singular values of "
        "∂sₜ/∂sₜ₋₁), what many in a row do, and the eigenvalues of Ws in the complex plane."
    ),
    look_for=(
        "Largest singular values of the product that fall with the lag: everything vanishes. Eigenvalues "
        "near the unit circle let a state last; far outside it gradients may explode."
    ),
    settings=JacobiansSettings,
    compute=compute,
    require=needs_state("there is no Jacobian from one state to the next."),
)
