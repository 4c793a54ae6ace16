"""Runs: launched, listed, read, renamed, stopped, resumed, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from trainer import config
from trainer.errors import ConfigError
from trainer.schema import Launch, Run, RunPage, RunPatch, RunState, composed
from trainer.service.answers import answer, shaped
from trainer.service.bodies import body, described
from trainer.service.errors import from_config
from trainer.service.parts import Given, Parts

router = APIRouter(prefix="/runs", tags=["runs"])

StateName = Literal["queued", "running", "finished", "stopped", "failed", "interrupted"]
Text = Annotated[str | None, Query(max_length=200)]


@router.post("", **shaped(Run, HTTPStatus.CREATED, HTTPStatus.OK), openapi_extra=described(Launch))
async def launch(
    request: Request,
    launch: Annotated[Launch, Depends(body(Launch))],
    parts: Given,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> Response:
    """Queue a run: 201. The same Idempotency-Key and body again give the run that the first made: 200."""
    return await parts.launches.run(request, partial(_launch, launch, parts, idempotency_key))


def _launch(launch: Launch, parts: Parts, idempotency_key: str | None) -> Response:
    try:
        config.resolve(launch.config, parts.corpus, parts.table, is_new=True)
    except ConfigError as error:
        raise from_config(error) from None
    full = config.with_defaults(launch.config)
    name = launch.name or config.default_name(full)
    run, is_new = parts.store.create_run(full, name, launch.tags, idempotency_key)
    parts.scheduler.wake()
    return answer(run, status=HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@router.get("", **shaped(RunPage))
def listed(
    parts: Given,
    state: Annotated[Sequence[StateName], Query()] = (),
    model: Text = None,
    task: Text = None,
    tag: Text = None,
    search: Text = None,
    binned: bool = False,
    order: Literal["created", "name", "state", "validation", "step"] = "created",
    direction: Literal["ascending", "descending"] | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> Response:
    """Runs that match every filter given. ``search`` looks into names and tags, ``binned`` into the bin.

    Without ``direction``: newest first, most steps first, otherwise ascending (the best validation first).
    """
    down = direction == "descending" if direction else order in ("created", "step")
    page = parts.store.runs(
        cursor=cursor,
        limit=limit,
        states=[RunState(name) for name in state],
        model=model,
        task=task,
        tag=None if tag is None else composed(tag),
        search=None if search is None else composed(search),
        binned=binned,
        order=order,
        direction="descending" if down else "ascending",
    )
    return answer(page)


@router.get("/{run_id}", **shaped(Run))
def one(run_id: UUID, parts: Given) -> Response:
    """One run; 404 where it is not there."""
    return answer(parts.store.run(run_id))


@router.patch("/{run_id}", **shaped(Run), openapi_extra=described(RunPatch))
def patch(run_id: UUID, change: Annotated[RunPatch, Depends(body(RunPatch))], parts: Given) -> Response:
    """Rename or tag, put into the bin or back; what is not given stays. 409 for a running run and the bin."""
    return answer(parts.store.patch_run(run_id, change.name, change.tags, change.binned))


@router.delete("/{run_id}", status_code=HTTPStatus.NO_CONTENT)
def delete(run_id: UUID, parts: Given) -> Response:
    """Delete a run and all that it recorded, for good and past the bin; 409 while it is running."""
    parts.store.delete_run(run_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post("/{run_id}/stop", **shaped(Run))
def stop(run_id: UUID, parts: Given) -> Response:
    """Stop a queued run at once; ask a running one to write a checkpoint and end; leave one that is over."""
    run = parts.store.request_stop(run_id)
    parts.scheduler.wake()
    return answer(run)


@router.post("/{run_id}/resume", **shaped(Run))
def resume(run_id: UUID, parts: Given) -> Response:
    """Queue a stopped, failed or interrupted run again, to go on from its last checkpoint.

    A running one too, if its worker does not answer (``silent_for``).
    """
    run = parts.store.requeue(run_id)
    parts.scheduler.wake()
    return answer(run)
