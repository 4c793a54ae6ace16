"""The bin over HTTP: out of the list, there for its link, back for a day; deleting is final as ever."""

from __future__ import annotations

from typing import Any

import httpx

from tests.trainer.service.conftest import Launcher
from trainer.store import Store


def binned(client: httpx.Client, run: dict[str, Any], value: bool = True) -> httpx.Response:
    return client.patch(f"/runs/{run['id']}", json={"binned": value})


def ids(client: httpx.Client, **query: Any) -> list[str]:
    page = client.get("/runs", params=query).json()
    assert page["total"] == len(page["runs"])
    return [run["id"] for run in page["runs"]]


def test_a_run_goes_into_the_bin_and_back(client: httpx.Client, launch: Launcher) -> None:
    kept, run = launch("kept"), launch("binned")
    assert run["binned_at"] is None
    answer = binned(client, run)
    assert answer.status_code == 200
    assert answer.json()["binned_at"].startswith("20")
    assert answer.json()["state"] == "stopped", "it must not start from there"
    assert ids(client) == [kept["id"]]
    assert ids(client, binned=True) == [run["id"]]
    assert ids(client, binned=True, search="kept") == []
    assert client.get(f"/runs/{run['id']}").json()["name"] == "binned"
    assert client.get(f"/runs/{run['id']}/metrics").status_code == 200
    refused = client.post(f"/runs/{run['id']}/resume")
    assert refused.status_code == 409
    assert "in the bin" in refused.json()["message"]
    assert binned(client, run, False).json()["binned_at"] is None
    assert ids(client, binned=True) == []
    assert client.post(f"/runs/{run['id']}/resume").status_code == 200


def test_a_running_run_stays_where_it_is(client: httpx.Client, launch: Launcher, store: Store) -> None:
    run = launch()
    store.start_attempt(store.next_queued().id)  # type: ignore[union-attr]
    answer = binned(client, run)
    assert answer.status_code == 409
    assert "stop it" in answer.json()["remedy"].lower()
    assert ids(client) == [run["id"]]


def test_deleting_is_final_in_the_bin_and_out_of_it(client: httpx.Client, launch: Launcher) -> None:
    for run in (launch(), binned(client, launch()).json()):
        assert client.delete(f"/runs/{run['id']}").status_code == 204
        for answer in (client.get(f"/runs/{run['id']}"), binned(client, run, False)):
            assert answer.status_code == 404
    assert ids(client) == ids(client, binned=True) == []


def test_what_is_neither_true_nor_false_is_refused(client: httpx.Client, launch: Launcher) -> None:
    run = launch()
    assert client.patch(f"/runs/{run['id']}", json={"binned": "perhaps"}).status_code == 422
    assert client.get("/runs?binned=perhaps").status_code == 422
    assert binned(client, run).json()["id"] == run["id"]


def test_the_idempotency_key_of_a_run_in_the_bin_gives_that_run(client: httpx.Client) -> None:
    sent = {"config": {"model": {"name": "lstm"}, "task": {"name": "adding"}}}
    key = {"Idempotency-Key": "k"}
    first = client.post("/runs", json=sent, headers=key).json()
    binned(client, first)
    again = client.post("/runs", json=sent, headers=key)
    assert again.status_code == 200
    assert again.json()["id"] == first["id"]
    assert again.json()["binned_at"] is not None
