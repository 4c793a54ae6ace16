"""Which drawing belongs to which result of an inspection. A new view is one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dashboard.views.inside_gradients import (
    draw_cliff,
    draw_clipping,
    draw_credit,
    draw_diagnosis,
    draw_jacobians,
    draw_triangle,
    draw_truncation,
)
from dashboard.views.inside_parts import Look
from dashboard.views.inside_samples import draw_generated, draw_rewind
from dashboard.views.inside_units import draw_gates, draw_places, draw_surgery
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


def draw_result(look: Look, result: object) -> None:
    RESULTS[type(result)](look, result)


def draw_recorded(look: Look) -> None:
    if look.entry.name in RECORDED:
        RECORDED[look.entry.name](look)
