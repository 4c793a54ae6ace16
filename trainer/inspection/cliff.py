"""The loss cliff of Pascanu, Mikolov & Bengio 2013, figure 6: why gradients are clipped."""

from __future__ import annotations

import torch
from pydantic import Field

from models.bptt.cliff import Path, descend, surface
from trainer.inspection.base import Subject, ViewSettings, ViewSpec, curve, grid
from trainer.schema import CliffPath, CliffView

W, B = (2.0, 7.0), (-4.0, -1.0)
"""The piece of the plane that is shown; the cliff crosses it."""
POINTS = 81


class CliffSettings(ViewSettings):
    """Settings of the cliff."""

    # Together these defaults show what the view is about; a test holds them to it.
    w: float = Field(default=4.8, title="Start at w", ge=-20, le=20)
    """The unit's weight at the start of the descent."""
    b: float = Field(default=-1.2, title="Start at b", ge=-20, le=20)
    """The unit's bias at the start of the descent."""
    learning_rate: float = Field(default=0.8, gt=0, le=100)
    """Size of each step down."""
    updates: int = Field(default=40, title="Steps down", ge=1, le=1000)
    """How many steps the descent takes."""
    clip_at: float = Field(default=0.05, title="Clipping threshold", gt=0, le=1000)
    """The largest norm that a gradient may have in the clipped descent."""


def compute(subject: Subject, settings: CliffSettings) -> CliffView:
    """The surface, and the same descent with and without clipping."""
    del subject  # one unit of its own, the same for every run
    w, b = (torch.linspace(*span, POINTS, dtype=torch.float64) for span in (W, B))
    start = (settings.w, settings.b, settings.learning_rate, settings.updates)
    return CliffView(
        w=w.tolist(),
        b=b.tolist(),
        loss=grid(surface(w.expand(POINTS, POINTS), b[:, None].expand(POINTS, POINTS)).loss),
        free=_path(descend(*start)),
        clipped=_path(descend(*start, clip_at=settings.clip_at)),
    )


def _path(path: Path) -> CliffPath:
    return CliffPath(w=curve(path.w), b=curve(path.b), loss=curve(path.loss), norm=curve(path.norm))


SPEC = ViewSpec(
    title="Cliff",
    summary=(
        "The loss of one recurrent unit after 50 timesteps, over its weight w and bias b, and two descents "
        "on it: one with clipped steps, one without (Pascanu et al. 2013, figure 6)."
    ),
    look_for=(
        "Where the loss rises like a wall the gradient is huge: the free descent is thrown far away, the "
        "clipped one stays near and goes on down."
    ),
    settings=CliffSettings,
    compute=compute,
    uses_checkpoint="no",
)
