"""Jacobians of the state: what one timestep, and many in a row, do to a gradient."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from models.base import Network
from models.bptt.jacobians import (
    SLOPE_BOUNDS,
    lyapunov_exponents,
    pascanu_bound,
    product_log_singular_values,
    recurrent_spectra,
    step_jacobians,
)
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
from trainer.schema import JacobiansView, NormBound, SpectrumView, Spread

EXPONENTS = 8
"""Lyapunov exponents that are told."""
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
    """How many timesteps to measure, the last ones; empty is automatic: as many as take about a second."""


def compute(subject: Subject, settings: JacobiansSettings) -> JacobiansView:
    """Singular values of each step and of the products back from the last one; exponents; spectra of Ws."""
    network = subject.network
    size = sum(tensor.shape[1] for layers in network.initial_state(1) for tensor in layers)
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
    jacobians = step_jacobians(network, x, probe.state)
    return JacobiansView(
        begin=probe.begin,
        step=_spread(torch.linalg.svdvals(jacobians).log(), exponentiate=True),
        product=_spread(product_log_singular_values(jacobians)),
        lyapunov=curve(lyapunov_exponents(jacobians, min(EXPONENTS, size), len(jacobians) // 4).mean(0)),
        spectra=_spectra(network, MOST_SPECTRA),
        spectra_at_start=_spectra(subject.fresh(), MOST_SPECTRA // 4),
        has_spectra=bool(network.recurrent_matrices()),
        bounds=_bounds(subject),
    )


def _spread(logs: Tensor, exponentiate: bool = False) -> Spread:
    """(T, B, S) logarithms, the largest first; their means over B."""
    parts = (part.mean(1) for part in (logs[..., 0], logs[..., logs.shape[2] // 2], logs[..., -1]))
    largest, median, smallest = (curve(part.exp() if exponentiate else part) for part in parts)
    return Spread(largest=largest, median=median, smallest=smallest)


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
