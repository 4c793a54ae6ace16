"""What GET /openapi.json says of the service is valid, and leads whoever follows it to every body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from trainer.schema import Generate, Inspect, Launch, RunPatch
from trainer.service.bodies import inlined

BODIES: dict[tuple[str, str], type[BaseModel]] = {
    ("/runs", "post"): Launch,
    ("/estimate", "post"): Launch,
    ("/runs/{run_id}", "patch"): RunPatch,
    ("/runs/{run_id}/inspect", "post"): Inspect,
    ("/runs/{run_id}/generate", "post"): Generate,
}


@pytest.fixture
def document(client: httpx.Client) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def parts(of: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document, at any depth."""
    if isinstance(of, dict):
        yield of
    for part in of.values() if isinstance(of, dict) else of if isinstance(of, list) else ():
        yield from parts(part)


def schemas(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every schema, each with the components that it may refer to."""
    for part in parts(document):
        if isinstance(part.get("schema"), dict):
            yield {**part["schema"], "components": document["components"]}
    yield from document["components"]["schemas"].values()


def test_every_reference_leads_to_something_from_the_documents_root(document: dict[str, Any]) -> None:
    references = [part["$ref"] for part in parts(document) if "$ref" in part]
    assert references
    for reference in references:
        root, *path = reference.split("/")
        assert root == "#", reference
        found: Any = document
        for step in path:
            assert step in found, reference
            found = found[step]
    assert not any("$id" in part or "$defs" in part for part in parts(document))


def test_every_schema_is_one_by_the_standard(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    for schema in schemas(document):
        Draft202012Validator.check_schema(schema)


def test_every_route_that_reads_a_body_describes_it(document: dict[str, Any]) -> None:
    """The service reads its bodies by hand, so FastAPI does not know of them."""
    described = {
        (path, method)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("requestBody", {}).get("content")
    }
    others = {("/corpora", "post"), ("/runs/{run_id}/attempts/{number}/reports", "post")}
    assert described == BODIES.keys() | others
    without = {("/runs/{run_id}/stop", "post"), ("/runs/{run_id}/resume", "post")}
    changing = {
        (path, method)
        for path, operations in document["paths"].items()
        for method in operations
        if method not in ("get", "delete")
    }
    assert changing - without == described


@pytest.mark.parametrize("at", BODIES, ids=lambda at: " ".join(at))
def test_a_described_body_takes_and_refuses_what_the_service_does(
    document: dict[str, Any], at: tuple[str, str]
) -> None:
    path, method = at
    content = document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    judge = Draft202012Validator({**content, "components": document["components"]})
    config = {"model": {"name": "lstm"}, "task": {"name": "adding"}, "training": {"k1": 3}}
    good: dict[type[BaseModel], dict[str, Any]] = {
        Launch: {"config": config, "name": "a", "tags": ["b"]},
        RunPatch: {"name": "a"},
        Inspect: {"view": "gates", "settings": {"begin": 3}},
        Generate: {"prompt": "a", "temperature": 0.5},
    }
    sent = good[BODIES[at]]
    BODIES[at].model_validate(sent)
    assert judge.is_valid(sent)
    wrong = [{**sent, "unknown": 1}, []]
    if BODIES[at] is Launch:
        wrong.append({"config": {**config, "training": {"k1": 0}}})
        wrong.append({"config": {**config, "training": {"momentun": 0}}})
    for each in wrong:
        assert not judge.is_valid(each), each


def test_a_definition_used_twice_and_one_inside_another_are_put_in_with_what_stands_beside() -> None:
    class Inner(BaseModel):
        x: int

    class Outer(BaseModel):
        a: Inner
        b: Inner | None = None
        c: list[Inner] = []

    schema = inlined(Outer.model_json_schema())
    assert "$ref" not in str(schema)
    judge = Draft202012Validator(schema)
    assert judge.is_valid({"a": {"x": 1}, "b": {"x": 1}, "c": [{"x": 1}]})
    assert not judge.is_valid({"a": {"x": 1}, "c": [{"x": "no"}]})
