"""What runs recorded, over HTTP; and the worker's side of it."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from uuid import UUID

import httpx
import pytest

from tests.trainer.service.conftest import Launcher
from tests.trainer.store.making import checkpoint, column, post, report, started, vector
from trainer.schema import ErrorBody, LogLine, Report, RunState, Sample, TextSample
from trainer.store import Attempt, Store
from trainer.store.records import to_datetime


def framed(sent: Report, data: bytes = b"") -> bytes:
    """Built by the book: length, JSON in Python's dialect, checkpoint."""
    content = sent.model_dump_json().encode()
    return struct.pack(">I", len(content)) + content + data


def as_worker(client: httpx.Client, attempt: Attempt, body: bytes) -> httpx.Response:
    return client.post(
        f"/runs/{attempt.run_id}/attempts/{attempt.number}/reports",
        content=body,
        headers={"Authorization": f"Bearer {attempt.token}", "Content-Type": "application/octet-stream"},
    )


def test_a_report_and_its_checkpoint_arrive_and_are_read_back(client: httpx.Client, store: Store) -> None:
    attempt = started(store)
    data = bytes(range(256)) * 10
    sent = report(
        step=3,
        metrics={"loss": column([1, 2, 3], [1.5, math.nan, -math.inf])},
        vectors=[vector("h/0", 2, [0.5, math.nan]), vector("eigenvalues/Ws/0", 2, [0.5, -0.5])],
        samples=[Sample(step=3, index=0, content=TextSample(prompt="p", text="<b>", temperature=0.5))],
        log=[LogLine(at=to_datetime(0), level="info", text="hello")],
        checkpoint=checkpoint(3, data),
    )
    response = as_worker(client, attempt, framed(sent, data))
    assert (response.status_code, response.json()) == (200, {"stop": False})
    path = f"/runs/{attempt.run_id}"
    assert client.get(f"{path}/metrics").json() == {
        "loss": {
            "step": [1, 2, 3],
            "value": [1.5, None, None],
            "seconds": [0.5, 1.0, 1.5],
            "sequences": [32.0, 64.0, 96.0],
            "flag": {"2": "nan", "3": "-inf"},
        }
    }
    assert client.get(f"{path}/gradients").json() == {"h/0": {"steps": [2], "norms": [[0.5, None]]}}
    assert client.get(f"{path}/eigenvalues", params={"max_steps": 2}).json() == {
        "Ws/0": {"steps": [2], "real": [[0.5]], "imaginary": [[-0.5]]}
    }
    assert client.get(f"{path}/samples").json()[0]["content"]["text"] == "<b>"
    assert [line["text"] for line in client.get(f"{path}/log").json()] == ["hello"]
    fetched = client.get(
        f"{path}/attempts/1/checkpoint", headers={"Authorization": f"Bearer {attempt.token}"}
    )
    assert fetched.content == data
    assert fetched.headers["X-Unfold-Step"] == "3"
    assert fetched.headers["X-Unfold-Sha256"] == hashlib.sha256(data).hexdigest()


def test_a_worker_hears_of_a_stop_of_its_successor_and_of_a_deletion(
    client: httpx.Client, launch: Launcher, store: Store
) -> None:
    run_id = UUID(launch()["id"])
    attempt = store.start_attempt(run_id)
    assert as_worker(client, attempt, framed(report(0))).json() == {"stop": False}
    client.post(f"/runs/{run_id}/stop")
    assert as_worker(client, attempt, framed(report(1))).json() == {"stop": True}
    last = framed(Report.model_validate({**report(2).model_dump(), "end": {"state": "stopped"}}))
    assert as_worker(client, attempt, last).status_code == 200
    assert client.get(f"/runs/{run_id}").json()["state"] == "stopped"
    assert as_worker(client, attempt, framed(report(3))).status_code == 409
    client.post(f"/runs/{run_id}/resume")
    store.start_attempt(run_id)
    assert as_worker(client, attempt, framed(report(4))).status_code == 409
    store.end_attempt(run_id, 2, RunState.FAILED)
    client.delete(f"/runs/{run_id}")
    assert as_worker(client, attempt, framed(report(5))).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\x00",
        struct.pack(">I", 0),
        struct.pack(">I", 100) + b"{}",
        struct.pack(">I", 2) + b"{}",
        struct.pack(">I", 4) + b"\xff\xfe\xfd\xfc",
        framed(report(checkpoint=checkpoint(1, b"right")), b"wrong"),
        framed(report(), b"bytes that nobody announced"),
        framed(report(metrics={"loss": column([1]).model_copy(update={"step": [1, 2]})})),
    ],
)
def test_a_malformed_report_is_refused_and_leaves_nothing(
    client: httpx.Client, store: Store, body: bytes
) -> None:
    attempt = started(store)
    response = as_worker(client, attempt, body)
    assert response.status_code == 422
    assert ErrorBody.model_validate_json(response.content).message
    assert as_worker(client, attempt, framed(report(0))).status_code == 200  # its sequence is still free


def test_many_runs_come_back_in_one_request(client: httpx.Client, store: Store) -> None:
    attempts = [started(store) for _ in range(3)]
    for attempt in attempts:
        post(store, attempt, report(metrics={"loss": column(range(1000)), "clipped": column([1])}))
    ids = [str(attempt.run_id) for attempt in attempts]
    query = {"ids": ",".join(ids), "keys": "loss", "max_points": "50"}
    found = client.get("/metrics", params=query).json()
    assert list(found) == ids
    for curves in found.values():
        assert list(curves) == ["loss"]
        assert len(curves["loss"]["step"]) <= 50
        assert curves["loss"]["step"][-1] == 999
    later = client.get(
        f"/runs/{ids[0]}/metrics", params={"after_step": 997, "keys": ["loss", "clipped"]}
    ).json()
    assert {key: curve["step"] for key, curve in later.items()} == {"loss": [998, 999]}


@pytest.mark.parametrize(
    "query", ["", "?ids=", "?ids=x", "?ids=" + ",".join(["00000000-0000-0000-0000-000000000000"] * 1)]
)
def test_a_request_for_no_run_or_an_unknown_one_is_refused(client: httpx.Client, query: str) -> None:
    response = client.get("/metrics" + query)
    assert response.status_code in (404, 422)
    assert ErrorBody.model_validate_json(response.content).remedy


def test_answers_are_json_by_the_standard(client: httpx.Client, store: Store) -> None:
    """No NaN or Infinity reaches a browser."""
    attempt = started(store)
    post(
        store,
        attempt,
        report(metrics={"loss": column([1], [math.nan])}, vectors=[vector("h/0", 1, [math.inf])]),
    )

    def refuse(name: str) -> None:
        raise AssertionError(name)

    for rest in ("", "/metrics", "/gradients", "/eigenvalues"):
        json.loads(client.get(f"/runs/{attempt.run_id}{rest}").content, parse_constant=refuse)
