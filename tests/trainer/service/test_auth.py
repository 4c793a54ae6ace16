"""Nobody gets an answer without a token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from tests.trainer.service.conftest import PaperScheduler
from tests.trainer.store.making import end, started
from trainer.schema import ErrorBody
from trainer.service.app import create_app
from trainer.store import Store


def every_route(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of every route, as OpenAPI lists them, and of the list itself."""
    for path, operations in app.openapi()["paths"].items():
        filled = path.replace("{run_id}", str(uuid4())).replace("{number}", "1")
        for method in operations:
            yield method.upper(), re.sub(r"\{[^}]*\}", "x", filled)
    yield "GET", app.openapi_url or ""


def test_every_route_but_health_is_closed_to_strangers(app: FastAPI, stranger: httpx.Client) -> None:
    routes = list(every_route(app))
    assert len(routes) > 20
    refused = 0
    for method, path in routes:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer"},
            {"Authorization": "Basic dGhlOnNlcnZpY2Uncy10b2tlbg=="},
            {"Authorization": "the-service's-token"},
        ):
            response = stranger.request(method, path, headers=headers)
            if (method, path) == ("GET", "/health"):
                assert response.status_code == 200
                continue
            # A worker's route may say that the run is not there: to a token that it would have to own.
            expected = (
                (401, 404)
                if "/attempts/" in path and headers.get("Authorization") == "Bearer wrong"
                else (401,)
            )
            assert response.status_code in expected, (method, path, headers)
            ErrorBody.model_validate_json(response.content)
            refused += 1
    assert refused == 5 * (len(routes) - 1)


def test_what_openapi_lists_is_all_that_the_app_routes(app: FastAPI) -> None:
    """So that the test above misses none."""
    hidden = [route for route in app.routes if getattr(route, "include_in_schema", True) is False]
    assert [getattr(route, "path", "") for route in hidden] == ["/openapi.json"]
    assert (app.docs_url, app.redoc_url) == (None, None)


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/docs", "/redoc", "//runs", "/runs/", "/health/", "/HEALTH"]
)
def test_an_unknown_address_tells_a_stranger_nothing(stranger: httpx.Client, path: str) -> None:
    assert stranger.get(path).status_code == 401


def test_health_is_open_and_says_little(stranger: httpx.Client) -> None:
    response = stranger.get("/health")
    assert response.status_code == 200
    assert set(response.json()) == {"status", "version"}
    assert stranger.post("/health").status_code == 401


def test_an_attempts_token_opens_its_own_routes_and_the_texts_and_nothing_else(
    store: Store, stranger: httpx.Client
) -> None:
    mine, other = started(store), started(store)
    stranger.headers["Authorization"] = f"Bearer {mine.token}"
    own = f"/runs/{mine.run_id}/attempts/1"
    assert stranger.get(f"{own}/checkpoint").status_code == 204
    assert stranger.get("/corpora/python-topics/text").status_code == 200
    assert stranger.get(f"/runs/{other.run_id}/attempts/1/checkpoint").status_code == 401
    assert stranger.post(f"/runs/{other.run_id}/attempts/1/reports", content=b"x").status_code == 401
    for path in ("/runs", f"/runs/{mine.run_id}", f"/runs/{mine.run_id}/log", "/corpora", "/catalog"):
        assert stranger.get(path).status_code == 401
    assert stranger.post(f"/runs/{mine.run_id}/stop").status_code == 401
    assert stranger.delete(f"/runs/{mine.run_id}").status_code == 401
    end(store, mine)
    assert stranger.get("/corpora/python-topics/text").status_code == 401


def test_the_services_token_is_no_attempts_token(store: Store, client: httpx.Client) -> None:
    attempt = started(store)
    assert client.get(f"/runs/{attempt.run_id}/attempts/1/checkpoint").status_code == 401


def test_a_service_without_a_token_is_not_made(store: Store) -> None:
    app = create_app(store, PaperScheduler(), "")
    with pytest.raises(ValueError, match="token is empty"):
        app.build_middleware_stack()
