"""Ways to look inside a run. A new one is one file here, one line in ``VIEWS``, one type in the schema."""

from typing import Any

from trainer.inspection import (
    cliff,
    credit,
    diagnosis,
    gates,
    generate,
    jacobians,
    places,
    rewind,
    surgery,
    triangle,
    truncation,
)
from trainer.inspection.base import ViewSpec
from trainer.schema import ViewEntry

VIEWS: dict[str, ViewSpec[Any]] = {
    "diagnosis": diagnosis.SPEC,
    "triangle": triangle.SPEC,
    "truncation": truncation.SPEC,
    "credit": credit.SPEC,
    "jacobians": jacobians.SPEC,
    "cliff": cliff.SPEC,
    "gates": gates.SPEC,
    "places": places.SPEC,
    "surgery": surgery.SPEC,
    "generate": generate.SPEC,
    "rewind": rewind.SPEC,
}
"""By the name that a request uses, in the order in which the catalogue shows them."""


def view_entries() -> list[ViewEntry]:
    """The views as the catalogue lists them."""
    return [
        ViewEntry(
            name=name,
            title=spec.title,
            summary=spec.summary,
            look_for=spec.look_for,
            json_schema=spec.settings.model_json_schema(),
            needs_checkpoint=spec.uses_checkpoint == "must",
        )
        for name, spec in VIEWS.items()
    ]
