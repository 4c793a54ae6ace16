"""Which drawing belongs to which result of an inspection. A new view is one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dashboard.charts.gates import unit_title
from dashboard.charts.time_gradients import quantity_title
from dashboard.views.inside_dynamics import draw_cliff, draw_clipping, draw_jacobians
from dashboard.views.inside_gradients import draw_credit, draw_diagnosis, draw_triangle, draw_truncation
from dashboard.views.inside_parts import Look
from dashboard.views.inside_samples import draw_generated, draw_rewind
from dashboard.views.inside_units import draw_gates, draw_places, draw_surgery
from dashboard.views.parts import letters_of
from trainer.schema import (
    CliffView,
    CreditView,
    DiagnosisView,
    GatesView,
    GeneratedView,
    JacobiansView,
    PlacesView,
    RewindView,
    SurgeryView,
    TriangleView,
    TruncationView,
)

RESULTS: dict[type, Callable[[Look, Any], None]] = {
    DiagnosisView: draw_diagnosis,
    TriangleView: draw_triangle,
    TruncationView: draw_truncation,
    CreditView: draw_credit,
    JacobiansView: draw_jacobians,
    CliffView: draw_cliff,
    GatesView: draw_gates,
    PlacesView: draw_places,
    SurgeryView: draw_surgery,
    GeneratedView: draw_generated,
    RewindView: draw_rewind,
}

RECORDED: dict[str, Callable[[Look], None]] = {"cliff": draw_clipping}
"""By view: what the run recorded itself, shown above the view's own settings."""


def _holdable(look: Look, found: SurgeryView) -> dict[str, str]:
    letters = letters_of(look.service, look.run)
    return {name: unit_title(name, letters) for name in found.choices}


def _states(look: Look, found: PlacesView) -> dict[str, str]:
    del look  # a state is called the same in every network
    return {name: quantity_title(name) for name in found.states}


CHOICES: dict[str, tuple[str, Callable[[Look, Any], dict[str, str]]]] = {
    "surgery": ("target", _holdable),
    "places": ("state", _states),
}
"""By view: the setting whose choices the network decides, and how a result tells them, with their words."""


def draw_result(look: Look, result: object) -> None:
    RESULTS[type(result)](look, result)


def draw_recorded(look: Look) -> None:
    if look.entry.name in RECORDED:
        RECORDED[look.entry.name](look)
