"""What runs recorded: curves, per-timestep gradients, samples, log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from trainer.errors import shortened
from trainer.schema import EigenvalueSeries, FieldError, LogLine, Sample, Series, VectorSeries
from trainer.service.answers import answer, shaped
from trainer.service.errors import unprocessable
from trainer.service.parts import Given

router = APIRouter(tags=["readings"])

MAX_IDS = 100
Names = Annotated[Sequence[str], Query(max_length=100)]
Points = Annotated[int | None, Query(ge=2, le=1_000_000)]
AfterStep = Annotated[int | None, Query(ge=0, lt=2**53)]


@router.get("/runs/{run_id}/metrics", **shaped(dict[str, Series]))
def metrics(
    run_id: UUID, parts: Given, keys: Names = (), max_points: Points = None, after_step: AfterStep = None
) -> Response:
    """Curves of one run by key; ``max_points`` thins each so that its spikes stay."""
    curves = parts.store.metrics([run_id], _split(keys), max_points, after_step)
    return answer(curves[run_id], dict[str, Series])


@router.get("/metrics", **shaped(dict[UUID, dict[str, Series]]))
def metrics_of(
    parts: Given, ids: Names, keys: Names = (), max_points: Points = None, after_step: AfterStep = None
) -> Response:
    """Curves of many runs, by id and key."""
    run_ids = list(dict.fromkeys(map(_uuid, _split(ids) or [])))
    if not 0 < len(run_ids) <= MAX_IDS:
        raise unprocessable(
            [
                FieldError(
                    field="ids",
                    value=len(run_ids),
                    problem=f"{len(run_ids)} runs were asked for",
                    remedy=f"name 1 to {MAX_IDS}, separated by commas",
                )
            ]
        )
    curves = parts.store.metrics(run_ids, _split(keys), max_points, after_step)
    return answer(curves, dict[UUID, dict[str, Series]])


@router.get("/runs/{run_id}/gradients", **shaped(dict[str, VectorSeries]))
def gradients(
    run_id: UUID, parts: Given, names: Names = (), max_steps: Points = None, after_step: AfterStep = None
) -> Response:
    """Norm of the loss's gradient at each timestep, by quantity and layer (``h/0``)."""
    found = parts.store.vectors(run_id, _split(names), max_steps, after_step)
    return answer(found, dict[str, VectorSeries])


@router.get("/runs/{run_id}/eigenvalues", **shaped(dict[str, EigenvalueSeries]))
def eigenvalues(run_id: UUID, parts: Given, max_steps: Points = None) -> Response:
    """Of each matrix by which the state is multiplied, ``Ws/0``, or each gate's part of it, ``Ws/0/f``."""
    return answer(parts.store.eigenvalues(run_id, max_steps), dict[str, EigenvalueSeries])


@router.get("/runs/{run_id}/samples", **shaped(list[Sample]))
def samples(
    run_id: UUID,
    parts: Given,
    limit: Annotated[int | None, Query(ge=1, le=100_000)] = None,
    after_step: AfterStep = None,
) -> Response:
    """What the network produced, by step; ``limit`` takes the newest."""
    return answer(parts.store.samples(run_id, after_step, limit), list[Sample])


@router.get("/runs/{run_id}/log", **shaped(list[LogLine]))
def log(
    run_id: UUID,
    parts: Given,
    after: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
) -> Response:
    """The newest lines; or with ``after``, those that follow the first ``after`` ones of the run."""
    return answer(parts.store.log(run_id, after, limit), list[LogLine])


def _split(values: Sequence[str]) -> list[str] | None:
    """Values that were repeated or separated by commas; None where none was given."""
    return [part for value in values for part in value.replace("\x00", "").split(",") if part] or None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        wrong = FieldError(
            field="ids", value=shortened(text), problem="is not a run's id", remedy="GET /runs lists the ids"
        )
        raise unprocessable([wrong]) from None
