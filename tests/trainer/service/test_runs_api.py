"""Runs over HTTP: launched, listed, changed, stopped, resumed, deleted."""

from __future__ import annotations

import struct
import tomllib
from pathlib import Path
from uuid import UUID, uuid4

import httpx

from models import MODELS
from tests.trainer.service.conftest import Launcher, PaperScheduler
from tests.trainer.store.making import end
from trainer.schema import Catalog, Estimate, Run, RunPage
from trainer.service import VERSION
from trainer.store import Store

CONFIG = {"model": {"name": "gru", "hidden_size": 8}, "task": {"name": "adding", "length": 10}}


def test_a_launch_is_stored_with_every_default_written_out_and_wakes_the_scheduler(
    client: httpx.Client, scheduler: PaperScheduler, store: Store
) -> None:
    response = client.post("/runs", json={"config": CONFIG, "tags": ["a"]})
    assert response.status_code == 201
    run = Run.model_validate_json(response.content)
    assert run == store.run(run.id)
    defaults = MODELS["gru"].config().model_dump()
    assert run.config.model == {**defaults, "name": "gru", "hidden_size": 8}
    assert {"layers", "dropout"} < defaults.keys()
    assert run.name
    assert run.state == "queued"
    assert scheduler.woken == 1


def test_an_idempotency_key_makes_one_run(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "abc"}
    first = client.post("/runs", json={"config": CONFIG}, headers=headers)
    again = client.post("/runs", json={"config": CONFIG}, headers=headers)
    other = client.post("/runs", json={"config": CONFIG, "name": "x"}, headers=headers)
    assert [first.status_code, again.status_code, other.status_code] == [201, 200, 409]
    assert first.json() == again.json()
    assert client.get("/runs").json()["total"] == 1


def test_a_run_is_patched_and_deleted(client: httpx.Client, launch: Launcher) -> None:
    path = f"/runs/{launch(tags=['a'])['id']}"
    assert client.patch(path, json={"name": "new"}).json()["name"] == "new"
    assert client.patch(path, json={"tags": ["b"]}).json()["tags"] == ["b"]
    run = client.get(path).json()
    assert (run["name"], run["tags"]) == ("new", ["b"])
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404


def test_a_running_run_stops_resumes_and_is_only_deleted_when_it_is_over(
    client: httpx.Client, launch: Launcher, store: Store, scheduler: PaperScheduler
) -> None:
    run_id = UUID(launch()["id"])
    path = f"/runs/{run_id}"
    attempt = store.start_attempt(run_id)
    assert client.delete(path).status_code == 409
    assert client.post(f"{path}/resume").status_code == 409
    woken = scheduler.woken
    assert client.post(f"{path}/stop").json()["state"] == "running"
    assert store.running()[0].stop_requested_at is not None
    end(store, attempt)
    assert client.post(f"{path}/resume").json()["state"] == "queued"
    assert client.post(f"{path}/stop").json()["state"] == "stopped"
    assert scheduler.woken == woken + 3
    assert client.delete(path).status_code == 204


def test_the_list_filters_orders_and_pages(client: httpx.Client, launch: Launcher, store: Store) -> None:
    names = ["b", "a", "c"]
    for name in names:
        launch(name, model="lstm" if name == "c" else "gru", tags=[f"tag {name}"])
    store.start_attempt(UUID(client.get("/runs", params={"search": "c"}).json()["runs"][0]["id"]))

    def listed(**query: object) -> list[str]:
        page = RunPage.model_validate_json(client.get("/runs", params=query).raise_for_status().content)  # type: ignore[arg-type]
        return [run.name for run in page.runs]

    assert listed() == ["c", "a", "b"]  # newest first
    assert listed(order="name") == ["a", "b", "c"]
    assert listed(order="name", direction="descending") == ["c", "b", "a"]
    assert listed(state=["running", "failed"]) == ["c"]
    assert listed(state="queued", model="gru") == ["a", "b"]
    assert listed(tag="tag a") == ["a"]
    assert listed(task="characters") == []
    page = client.get("/runs", params={"limit": 2}).json()
    assert page["total"] == 3
    assert listed(limit=2, cursor=page["next"]) == ["b"]


def test_catalogue_and_estimate_answer_in_their_types(client: httpx.Client) -> None:
    catalog = Catalog.model_validate_json(client.get("/catalog").content)
    assert {"elman", "lstm", "gru"} <= {entry.name for entry in catalog.models}
    estimate = Estimate.model_validate_json(client.post("/estimate", json={"config": CONFIG}).content)
    # A GRU has three gates, each with input and recurrent weights and two biases; then the output.
    assert estimate.parameters == 3 * (8 * 2 + 8 * 8 + 8 + 8) + 8 + 1
    assert client.get("/runs").json()["total"] == 0


def test_an_unknown_run_is_a_404_everywhere(client: httpx.Client) -> None:
    for path in (f"/runs/{uuid4()}", "/runs/not-an-id"):
        for method, rest in (
            ("GET", ""), ("DELETE", ""), ("POST", "/stop"), ("POST", "/resume"),
            ("GET", "/metrics"), ("GET", "/gradients"), ("GET", "/samples"), ("GET", "/log"),
        ):  # fmt: skip
            response = client.request(method, path + rest)
            assert response.status_code == 404, (method, path + rest)
            assert response.json()["message"]
    assert client.patch(f"/runs/{uuid4()}", json={"name": "x"}).status_code == 404


def test_the_version_is_the_projects(client: httpx.Client) -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert client.get("/health").json()["version"] == project["version"] == VERSION


TEXT = "The quick brown fox jumps over the lazy dog.\n" * 60


def test_a_good_text_is_stored_under_the_files_name(client: httpx.Client) -> None:
    response = client.post("/corpora", files={"file": ("../../etc/Möwen.txt", TEXT.encode(), "text/plain")})
    assert response.status_code == 201
    info = response.json()
    assert (info["name"], info["characters"]) == ("Möwen.txt", len(TEXT))
    again = client.post("/corpora?name=other", content=TEXT.encode())
    assert again.json() == info
    assert client.get(f"/corpora/{info['id']}/text").text == TEXT
    uploaded = [corpus for corpus in client.get("/corpora").json() if not corpus["builtin"]]
    assert [(corpus["name"], corpus["columns"]) for corpus in uploaded] == [("Möwen.txt", [])]
    launched = client.post(
        "/runs",
        json={"config": {"model": {"name": "lstm"}, "task": {"name": "characters", "corpus": info["id"]}}},
    )
    assert launched.status_code == 201, launched.text


def test_a_good_table_is_stored_with_its_columns_and_can_be_forecast(client: httpx.Client) -> None:
    """Forty rows, too short for a text; with and without asking for a table."""
    rows = "".join(f"{2000 + n};2,{n * 7 % 10};x\n" for n in range(40))
    content = f"year;rain;note\n{rows}".encode()
    for query in ("", "?table=true"):
        response = client.post(f"/corpora{query}", files={"file": ("rain.csv", content)})
        assert response.status_code == 201
        assert response.json()["columns"] == ["rain", "year"]
    assert [c["columns"] for c in client.get("/corpora").json() if not c["builtin"]] == [["rain", "year"]]
    task = {"name": "series", "corpus": response.json()["id"], "column": "rain", "length": 5}
    launched = client.post("/runs", json={"config": {"model": {"name": "lstm"}, "task": task}})
    assert launched.status_code == 201, launched.text


def test_what_an_upload_was_declared_to_be_wins_over_what_it_looks_like(client: httpx.Client) -> None:
    content = ("year,rain\n" + "".join(f"{1900 + n},{n * 7 % 31}\n" for n in range(400))).encode()
    declared = client.post("/corpora?table=false", files={"file": ("poem.txt", content)}).json()
    assert (declared["kind"], declared["columns"]) == ("text", [])
    table = client.post("/corpora?table=true", files={"file": ("rain.csv", content)}).json()
    assert (table["kind"], table["columns"]) == ("table", ["rain", "year"])
    assert declared["id"] != table["id"]
    kinds = {c["id"]: c["kind"] for c in client.get("/corpora").json()}
    assert (kinds[declared["id"]], kinds[table["id"]]) == ("text", "table")
    assert client.get(f"/corpora/{declared['id']}/table").status_code == 409
    task = {"name": "series", "corpus": declared["id"], "length": 5}
    refused = client.post("/runs", json={"config": {"model": {"name": "gru"}, "task": task}})
    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert error["field"].endswith("task.corpus")
    assert "uploaded as a text" in error["problem"]
    assert "upload it again as a table" in error["remedy"]


def test_a_table_is_told_as_it_was_read_with_a_plot_and_the_numbers(client: httpx.Client) -> None:
    rows = "".join(f"{n};{n * 7 % 31},25;Bonn\n" for n in range(1000))
    info = client.post("/corpora?table=true", content=f"n;x\u00b2;town\n{rows};;\n;;\n".encode()).json()
    path = f"/corpora/{info['id']}/table"
    told = client.get(path).json()
    assert (told["separator"], told["decimal"], told["rows"]) == ("semicolon", "comma", 1000)
    assert told["left_out"] == {"town": "line 2 has 'Bonn'"}
    plot = client.get(f"{path}/plot", params={"name": "x\u00b2", "max_points": 100}).json()
    assert 90 <= len(plot["rows"]) <= 100
    assert plot["rows"][0] == 1
    assert all(v == (r - 1) * 7 % 31 + 0.25 for r, v in zip(plot["rows"], plot["values"], strict=True))
    raw = client.get(f"{path}/column", params={"name": "x\u00b2"}).content
    assert list(struct.unpack("<1000d", raw)) == [n * 7 % 31 + 0.25 for n in range(1000)]
    assert client.get(f"{path}/column", params={"name": "town"}).status_code == 422
    assert client.get("/corpora/no/table").status_code == 404


def test_a_sign_that_may_be_either_is_asked_for_and_then_believed(client: httpx.Client) -> None:
    content = ("a;b\n" + "".join(f"x;{n % 9 + 1}.{n * 37 % 900 + 100}\n" for n in range(50))).encode()
    refused = client.post("/corpora?table=true", content=content)
    assert refused.status_code == 422
    assert "thousands=point" in refused.json()["errors"][0]["remedy"]
    for sign, first in (("decimal=point", 1.1), ("thousands=point", 1100)):
        info = client.post(f"/corpora?{sign}", content=content).json()
        raw = client.get(f"/corpora/{info['id']}/table/column").content
        assert struct.unpack("<d", raw[:8]) == (first,)
    assert client.post("/corpora?decimal=dot", content=content).status_code == 422


def test_a_text_and_a_table_are_built_in(client: httpx.Client) -> None:
    found = {corpus["id"]: corpus["columns"] for corpus in client.get("/corpora").json()}
    assert found == {"python-topics": [], "sunspots": ["sunspots", "year"]}
