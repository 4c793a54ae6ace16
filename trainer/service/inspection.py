"""Looking inside runs: what is kept of one, its views, and what it produces."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from trainer import config
from trainer.corpora import builtin_corpora
from trainer.errors import errors_of, nearest, shortened
from trainer.idle import idle_in_view
from trainer.inspection import VIEWS
from trainer.inspection.base import Recorded
from trainer.inspection.child import Question
from trainer.inspection.inspector import ABANDONED, LineFullError
from trainer.schema import CheckpointInfo, FieldError, Generate, Inspect, Inspection, Run, RunViews
from trainer.service.answers import answer, shaped
from trainer.service.bodies import body, described
from trainer.service.errors import Refused, sentence, unprocessable
from trainer.service.parts import Given, Parts
from trainer.store import CorruptCheckpoint
from trainer.tables import Table, TableError
from trainer.tables.stored import alone
from trainer.tasks import TASKS

router = APIRouter(prefix="/runs/{run_id}", tags=["inspection"])

LOOK_SECONDS = 0.25
"""Between two looks at whether the client is still there."""
MAX_RECORDINGS = 100
"""Recordings of the gradient that a view is given, evenly spread: as many as the dashboard plays, so that it
has a fit for each of them."""
MAX_POINTS = 2000
"""Points of the validation curve that a view is given."""
RECENT = 200
"""Updates that the clip rate is taken over."""
RECENT_METRICS = ["clipped", "loss", "gradient_norm/before_clip"]
"""Of which a view is given the last ``RECENT`` updates."""


@router.get("/checkpoints", **shaped(list[CheckpointInfo]))
def checkpoints(run_id: UUID, parts: Given) -> Response:
    """The checkpoints that are kept, oldest first: the last two, and the best."""
    return answer(parts.store.checkpoints(run_id), list[CheckpointInfo])


@router.get("/views", **shaped(RunViews))
async def views(run_id: UUID, request: Request, parts: Given) -> Response:
    """Which views have no meaning for this run, and why: that hangs on its configuration alone."""
    run = await run_in_threadpool(parts.store.run, run_id)
    return await _answered(
        request,
        parts,
        lambda: Question(view=None, settings={}, config=run.config, texts=_texts(parts, run)),
    )


@router.post("/inspect", **shaped(Inspection), openapi_extra=described(Inspect))
async def inspect(
    run_id: UUID, sent: Annotated[Inspect, Depends(body(Inspect))], request: Request, parts: Given
) -> Response:
    """Compute a view that the catalogue lists; 504 where it takes more time or memory than it may."""
    return await _inspected(request, parts, run_id, sent.view, sent.settings, sent.checkpoint)


@router.post("/generate", **shaped(Inspection), openapi_extra=described(Generate))
async def generate(
    run_id: UUID, sent: Annotated[Generate, Depends(body(Generate))], request: Request, parts: Given
) -> Response:
    """What the network produces: text, forecasts, or predictions beside their targets."""
    settings = sent.model_dump(exclude={"checkpoint"})
    return await _inspected(request, parts, run_id, "generate", settings, sent.checkpoint)


async def _inspected(
    request: Request,
    parts: Parts,
    run_id: UUID,
    view: str,
    settings: Mapping[str, Any],
    step: int | None,
) -> Response:
    checked = _checked(view, settings)
    run = await run_in_threadpool(parts.store.run, run_id)  # one that is not there need not stand in line
    schema = VIEWS[view].settings.model_json_schema()
    if idle := idle_in_view(config.catalog(), schema, checked, run.config):
        raise unprocessable(idle)
    return await _answered(request, parts, lambda: _question(parts, run_id, view, settings, step))


async def _answered(request: Request, parts: Parts, prepare: Callable[[], Question]) -> Response:
    """Stand in line, and give up where the client does."""
    try:
        job = parts.inspector.submit(prepare)
    except LineFullError:
        raise Refused(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Too many inspections wait already.",
            "Try again in some seconds.",
        ) from None
    reply = asyncio.wrap_future(job.reply)
    try:
        while not (await asyncio.wait({reply}, timeout=LOOK_SECONDS))[0]:
            if await request.is_disconnected():
                return Response(status_code=ABANDONED.status)
    finally:
        job.cancel()  # also where this request is cancelled
    found = await reply
    return Response(found.body, found.status, media_type="application/json")


def _checked(view: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A view's settings, all of them; refuses an unknown view and what it does not have."""
    if view not in VIEWS:
        wrong = FieldError(
            field="view",
            value=shortened(view),
            problem="there is no view of this name",
            remedy=nearest(view, VIEWS),
        )
        raise unprocessable([wrong])
    try:
        checked: BaseModel = VIEWS[view].settings.model_validate(settings)
    except ValidationError as error:
        raise unprocessable(errors_of(error, "settings", model=VIEWS[view].settings)) from None
    return checked.model_dump(mode="json")


def _question(
    parts: Parts, run_id: UUID, view: str, settings: Mapping[str, Any], step: int | None
) -> Question:
    """All that the view needs to know, from the store."""
    spec, run = VIEWS[view], parts.store.run(run_id)
    question = Question(
        view=view,
        settings=settings,
        config=run.config,
        texts=_texts(parts, run),
        tables=_tables(parts, run),
        recorded=_recorded(parts, run) if spec.needs_recordings else Recorded(),
    )
    if spec.uses_checkpoint == "no":
        return question
    try:
        found = parts.store.checkpoint(run.id, "latest" if step is None else step)
    except CorruptCheckpoint as error:
        message = sentence(error.message)
        if spec.uses_checkpoint == "may":
            return question.without_checkpoint(message)
        raise Refused(HTTPStatus.CONFLICT, message, _instead(parts, run)) from None
    if found is None and spec.uses_checkpoint == "must":
        raise _none_there(run, step)
    if found is None:
        return question
    return dataclasses.replace(question, step=found.step, checkpoint=found.data)


def _recorded(parts: Parts, run: Run) -> Recorded:
    recent = max(0, run.step - RECENT)
    return Recorded(
        vectors=parts.store.vectors(run.id, max_steps=MAX_RECORDINGS),
        metrics={
            **parts.store.metrics([run.id], ["validation/loss"], MAX_POINTS)[run.id],
            **parts.store.metrics([run.id], RECENT_METRICS, after_step=recent)[run.id],
        },
    )


def _instead(parts: Parts, run: Run) -> str:
    """What can be done about a checkpoint that is damaged."""
    ways = ["choose another checkpoint"] if len(parts.store.checkpoints(run.id)) > 1 else []
    if run.state.can_resume and not run.blew_up:
        ways.append("resume the run, which goes on from one that is intact, or anew where there is none")
    elif run.state.is_over:
        ways.append("launch the run again")
    else:
        ways.append("wait some seconds for the next one, and look again")
    return sentence("; or ".join(ways))


def _none_there(run: Run, step: int | None) -> Refused:
    if step is not None:
        return Refused(
            HTTPStatus.NOT_FOUND,
            f"Run {run.number} keeps no checkpoint of step {step:,}.",
            "Leave the step out for the newest, or choose one that is kept: the last two and the best.",
        )
    if run.state.is_over:
        again = "Launch it again"
        if run.blew_up:
            again += " with other settings: resumed, it would end in the same way"
        elif run.state.can_resume:
            again += ", or resume it"
        return Refused(HTTPStatus.CONFLICT, f"Run {run.number} ended without a checkpoint.", f"{again}.")
    return Refused(
        HTTPStatus.CONFLICT,
        f"Run {run.number} has no checkpoint yet.",
        "It writes the first one after some seconds of training; look again then.",
    )


def _texts(parts: Parts, run: Run) -> dict[str, str]:
    """The uploaded text that the run's task reads, by its id."""
    task = run.config.task
    spec = TASKS[task["name"]]
    corpus = task.get("corpus") if spec.needs_corpus and not spec.needs_table else None
    return {} if corpus is None or corpus in builtin_corpora() else {corpus: parts.corpus(corpus)}


def _tables(parts: Parts, run: Run) -> dict[str, Table]:
    """The table that the run's task reads, by its id; nothing where it cannot be read any more."""
    task = run.config.task
    spec = TASKS[task["name"]]
    if not spec.needs_table:
        return {}
    corpus = task.get("corpus", spec.config.model_fields["corpus"].default)
    try:
        return {corpus: alone(parts.table(corpus), task.get("column"))}
    except TableError as error:
        message = f"The run's table cannot be read: {error.problem}."
        raise Refused(HTTPStatus.CONFLICT, message, sentence(error.remedy)) from None
