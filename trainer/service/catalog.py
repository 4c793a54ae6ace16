"""What can be launched, and what it would cost."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from trainer import config
from trainer.errors import ConfigError
from trainer.inspection import view_entries
from trainer.schema import Catalog, Estimate, Launch
from trainer.service.answers import answer, shaped
from trainer.service.bodies import body, described
from trainer.service.errors import from_config
from trainer.service.parts import Given

router = APIRouter(tags=["catalogue"])


@router.get("/catalog", **shaped(Catalog))
def catalog() -> Response:
    """Every network, task and view, with the JSON Schema of its settings."""
    return Response(_catalog(), media_type="application/json")


@lru_cache(maxsize=1)
def _catalog() -> bytes:
    found = config.catalog().model_copy(update={"views": view_entries()})
    return found.model_dump_json().encode()


@router.post("/estimate", **shaped(Estimate), openapi_extra=described(Launch))
async def estimate(
    request: Request, launch: Annotated[Launch, Depends(body(Launch))], parts: Given
) -> Response:
    """What a configuration would cost, or what is wrong with it. Starts nothing."""
    try:
        work = partial(config.estimate, launch.config, parts.corpus, parts.table)
        return answer(await parts.estimates.run(request, work))
    except ConfigError as error:
        raise from_config(error) from None
