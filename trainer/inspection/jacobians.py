"""Jacobians of the state: what one timestep, and many in a row, do to a gradient."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import Tensor

from models.base import Network
from models.bptt.jacobians import (
    SLOPE_BOUNDS,
    lyapunov_exponents,
    pascanu_bound,
    product_log_singular_values,
    recurrent_spectra,
    singular_values,
    step_jacobians,
)
from models.initialisation import LARGEST_FOR_EIGENVALUES
from trainer.inspection.base import ProbeSettings, Subject, ViewError, ViewSpec, curve, quick_length
from trainer.schema import JacobiansView, NormBound, SpectrumBlock, Spread

EXPONENTS = 8
"""Lyapunov exponents that are told."""
MOST_NUMBERS = 40_000_000
"""Of all Jacobians together: 320 MB."""


class JacobiansSettings(ProbeSettings):
    """Settings of the Jacobians."""

    sequences: int = Field(default=1, ge=1, le=16)
    """Sequences of the run's probe to measure on; what is shown is their mean."""
    length: int | None = Field(default=None, title="Length (timesteps)", ge=2, le=500)
    """How many timesteps to measure, the last ones; empty takes as many as need about a second."""


def compute(subject: Subject, settings: JacobiansSettings) -> JacobiansView:
    """Singular values of each step and of the products back from the last one; exponents; spectra of Ws."""
    subject.require_state("there is no Jacobian from one state to the next.")
    network = subject.network
    size = sum(tensor.shape[1] for layers in network.initial_state(1) for tensor in layers)
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
        step=_spread(singular_values(jacobians).log(), exponentiate=True),
        product=_spread(product_log_singular_values(jacobians)),
        lyapunov=curve(lyapunov_exponents(jacobians, min(EXPONENTS, size)).mean(0)),
        spectra=_spectra(network, LARGEST_FOR_EIGENVALUES),
        spectra_at_start=_spectra(subject.fresh(), LARGEST_FOR_EIGENVALUES // 2),
        bounds=_bounds(subject),
    )


def _spread(logs: Tensor, exponentiate: bool = False) -> Spread:
    """(T, B, S) logarithms, the largest first; their means over B."""
    parts = (part.mean(1) for part in (logs[..., 0], logs[..., logs.shape[2] // 2], logs[..., -1]))
    largest, median, smallest = (curve(part.exp() if exponentiate else part) for part in parts)
    return Spread(largest=largest, median=median, smallest=smallest)


def _spectra(network: Network[Any], most: int) -> dict[str, list[SpectrumBlock]]:
    """Of matrices with at most so many columns: the time that eigenvalues take grows with the third power."""
    if any(
        weight.shape[1] > most for role, weight in network.weight_roles().items() if role.startswith("Ws/")
    ):
        return {}
    return {
        role: [
            SpectrumBlock(
                real=values.real.tolist(),
                imaginary=values.imag.tolist(),
                radius=float(radius),
                norm=float(norm),
            )
            for values, radius, norm in zip(*found, strict=True)
        ]
        for role, found in recurrent_spectra(network).items()
    }


def _bounds(subject: Subject) -> dict[str, NormBound]:
    slope = SLOPE_BOUNDS.get(getattr(subject.resolved.model_config, "nonlinearity", ""))
    found = {}
    for role, weight in subject.network.weight_roles().items():
        if slope is not None and role.startswith("Ws/") and weight.shape[0] == weight.shape[1]:
            found[role] = NormBound(**pascanu_bound(weight, slope)._asdict())
    return found


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
)
