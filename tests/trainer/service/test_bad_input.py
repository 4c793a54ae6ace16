"""Bad input: each a 4xx in ErrorBody's shape that says what to do, and the service lives on."""

from __future__ import annotations

import json
import re
import select
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.trainer.service.conftest import TOKEN, PaperScheduler, authorized, serving
from trainer.corpora import MAX_BYTES
from trainer.schema import ErrorBody
from trainer.service.app import create_app
from trainer.store import Store, StoreAway


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """One service for all of these: after each of them it must still be of use to the next."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('bad') / 'unfold.db'}")
    store.migrate()
    with serving(create_app(store, PaperScheduler(), TOKEN)) as url, authorized(url) as made:
        yield made
    store.close()


NOBODY = "00000000-0000-4000-8000-000000000000"
GOOD = {"model": {"name": "lstm"}, "task": {"name": "adding"}}


def refused(response: httpx.Response, *statuses: int) -> ErrorBody:
    assert response.status_code in statuses, response.text
    assert response.headers["content-type"] == "application/json"
    body = ErrorBody.model_validate_json(response.content)
    assert body.message
    return body


def changed(**sections: dict[str, Any]) -> dict[str, Any]:
    return {key: {**GOOD.get(key, {}), **sections.get(key, {})} for key in {**GOOD, **sections}}


@pytest.mark.parametrize(
    ("launch", "field", "remedy"),
    [
        ({"config": changed(model={"hidden_sise": 3})}, "config.model.hidden_sise", "hidden_size"),
        ({"config": changed(training={"learning_rat": 1})}, "config.training.learning_rat", "learning_rate"),
        ({"config": {**GOOD, "sed": 1}}, "config.sed", "seed"),
        ({"config": GOOD, "nam": "x"}, "nam", "name"),
        ({"config": changed(model={"name": "lstn"})}, "config.model.name", "lstm"),
        ({"config": changed(model={"hidden_size": 10**9})}, "config.model.hidden_size", "at most"),
        ({"config": changed(model={"hidden_size": 10**400})}, "config.model.hidden_size", ""),
        ({"config": changed(task={"length": 10**9})}, "config.task.length", "at most"),
        ({"config": changed(training={"k1": 10, "k2": 5})}, "config.training.k2", "10 or more"),
        ({"config": changed(training={"batch_size": "many"})}, "config.training.batch_size", "whole number"),
        ({"config": changed(model={"dropout": 0.5})}, "config.model.dropout", "layers above 1"),
        ({"config": changed(training={"carry_state": False})}, "config.training.carry_state", "stream"),
        ({"config": {"task": {"name": "adding"}}}, "config.model", "add it"),
        ({}, "config", "add it"),
        ({"config": GOOD, "name": "<script>alert(1)</script>"}, "name", "leave out <"),
        ({"config": GOOD, "name": "a\x00b"}, "name", "control characters"),
        ({"config": GOOD, "name": "   "}, "name", "at least 1"),
        ({"config": GOOD, "name": "x" * 121}, "name", "at most 120"),
        ({"config": GOOD, "tags": ["<img src=x>"]}, "tags.0", "leave out <"),
        ({"config": GOOD, "tags": ["t"] * 21}, "tags", "at most 20"),
    ],
)
def test_a_wrong_launch_is_answered_with_the_field_and_the_remedy(
    client: httpx.Client, launch: dict[str, Any], field: str, remedy: str
) -> None:
    for path in ("/runs", "/estimate"):
        body = refused(client.post(path, json=launch), 422)
        by_field = {error.field: error for error in body.errors}
        assert field in by_field, body
        assert remedy in by_field[field].remedy
    assert client.get("/runs").json()["total"] == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'{"config": NaN}',
        json.dumps({"config": changed(training={"clip_at": float("inf")})}).encode(),
        b'{"config": {"model": {"name": "\\ud800"}, "task": {"name": "\\ud800"}}}',
        b'{"config": ' + b"9" * 10_000 + b"}",
    ],
    ids=range(10),
)
def test_a_body_that_is_no_launch_at_all_is_refused(client: httpx.Client, content: bytes) -> None:
    refused(client.post("/runs", content=content), 422)
    assert client.get("/runs").status_code == 200


def test_a_body_over_one_mebibyte_is_refused_announced_or_not(client: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            yield b" " * 500_000

    refused(client.post("/runs", content=b" " * (2**20 + 1)), 413)
    refused(client.post("/runs", content=chunks()), 413)
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "state=asleep",
        "order=colour",
        "direction=up",
        "limit=0",
        "limit=501",
        "limit=x",
        "cursor=x",
        "search=" + "x" * 201,
    ],
)
def test_a_wrong_query_is_answered_with_its_field(client: httpx.Client, query: str) -> None:
    body = refused(client.get(f"/runs?{query}"), 422)
    assert body.remedy or body.errors


def test_a_search_for_odd_characters_finds_nothing_and_breaks_nothing(client: httpx.Client) -> None:
    for text in ("%F0%9F%92%A5", "%EF%BF%BF", "'; DROP TABLE runs; --", "%25"):
        assert client.get(f"/runs?search={text}&tag={text}&model={text}").json()["runs"] == []


NUL_OR_HALF = ["%00", "a%00b", "%ED%A0%80", "%ff", "%C3"]


@pytest.mark.parametrize("text", NUL_OR_HALF)
@pytest.mark.parametrize("name", ["search", "tag", "model", "task", "cursor", "state", "unknown"])
def test_a_query_with_nul_or_half_a_character_is_refused_with_its_field(
    client: httpx.Client, name: str, text: str
) -> None:
    """PostgreSQL cannot even compare with them; SQLite could: both answer alike."""
    for path in ("/runs", "/metrics", "/corpora", f"/runs/{NOBODY}/log", f"/runs/{NOBODY}/metrics"):
        body = refused(client.get(f"{path}?{name}={text}"), 422)
        assert [error.field for error in body.errors] == [name]
        assert body.remedy
    refused(client.get(f"/runs?a{text}=1"), 422)
    refused(client.post(f"/corpora?name={text}", content=TEXT.encode()), 422)


@pytest.mark.parametrize("text", NUL_OR_HALF)
def test_a_path_with_nul_or_half_a_character_leads_nowhere(client: httpx.Client, text: str) -> None:
    for path in (f"/runs/{text}", f"/corpora/{text}/text", f"/{text}", f"/runs/{text}/metrics"):
        refused(client.get(path), 404)


@pytest.mark.parametrize("text", ["\\u0000", "a\\u0000b", "\\ud800", "a\\udfffb"])
def test_a_body_with_nul_or_half_a_character_anywhere_is_refused(client: httpx.Client, text: str) -> None:
    config = json.dumps(changed(task={"name": "characters", "corpus": "sunspots"}))
    bodies = [
        '{"config": CONFIG, "name": "TEXT"}',
        '{"config": CONFIG, "tags": ["good", "TEXT"]}',
        '{"config": ' + config.replace("sunspots", "TEXT") + "}",
        '{"config": ' + config.replace("corpus", "TEXT") + "}",
    ]
    for body in bodies:
        content = body.replace("CONFIG", config).replace("TEXT", text).encode()
        for path in ("/runs", "/estimate"):
            told = refused(client.post(path, content=content), 422)
            assert told.errors
            assert told.errors[0].remedy
    name = '{"name": "TEXT"}'.replace("TEXT", text).encode()
    refused(client.patch(f"/runs/{NOBODY}", content=name), 422)


TEXT = "The quick brown fox jumps over the lazy dog.\n" * 60


@pytest.mark.parametrize("as_form", [False, True])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n " * 2000, "white space"),
        (b"a" * 5000, "distinct"),
        (bytes(range(256)) * 20, "control character"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 100, ""),
        (TEXT.encode("utf-16"), ""),
        ("é".encode("latin-1") * 5000, "UTF-8"),
        (b"abcd efgh", "characters"),
    ],
)
def test_a_text_that_cannot_be_trained_on_is_refused(
    client: httpx.Client, content: bytes, says: str, as_form: bool
) -> None:
    if as_form:
        response = client.post("/corpora", files={"file": ("a.txt", content)})
    else:
        response = client.post("/corpora", content=content)
    body = refused(response, 422)
    assert says in body.errors[0].problem
    assert body.errors[0].remedy
    assert all(corpus["builtin"] for corpus in client.get("/corpora").json())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\x00" * 1000, "control character"),
        (b"name,town\n" + b"Ann,Bonn\n" * 300, "'name': line 2 has 'Ann'"),
        (b"day,rain\n1,5\n2,7\n", "only 2 numbers"),
        (b"1,2\n" * 60 + b"1,2,3\n", "line 61 has 3 cells"),
        (TEXT.encode(), "no column holds numbers alone"),
    ],
)
def test_a_table_that_cannot_be_forecast_is_refused(client: httpx.Client, content: bytes, says: str) -> None:
    body = refused(client.post("/corpora?table=true", files={"file": ("a.csv", content)}), 422)
    assert says in body.errors[0].problem
    assert body.errors[0].remedy
    assert all(corpus["builtin"] for corpus in client.get("/corpora").json())


def test_a_series_without_its_table_or_column_is_refused_with_the_setting(client: httpx.Client) -> None:
    for settings, field in (
        ({"corpus": "unknown"}, "corpus"),
        ({"corpus": "python-topics"}, "corpus"),
        ({"column": "rain"}, "column"),
        ({"length": 2000}, "length"),
    ):
        config = {"model": {"name": "lstm"}, "task": {"name": "series", **settings}}
        body = refused(client.post("/runs", json={"config": config}), 422)
        assert [error.field for error in body.errors] == [f"config.task.{field}"]
        assert body.errors[0].remedy


def answered_after(url: str, headers: bytes, chunk: bytes, most: int) -> tuple[bytes, int]:
    """What the service answers, and how many bytes it had been sent by then.

    By hand: HTTP libraries read no answer before they have sent everything.
    """
    host, port = httpx.URL(url).host, httpx.URL(url).port
    sent = 0
    with socket.create_connection((host, port), timeout=60) as line:
        line.sendall(
            b"POST /corpora HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
            + TOKEN.encode()
            + b"\r\n"
            + headers
            + b"\r\n"
        )
        while not select.select([line], [], [], 0)[0] and sent < most:
            line.sendall(chunk)
            sent += len(chunk)
        answer = b""
        while (size := re.search(rb"content-length: (\d+)", answer)) is None or len(
            answer.partition(b"\r\n\r\n")[2]
        ) < int(size[1]):
            answer += line.recv(65536)
        return answer, sent


def test_an_upload_is_refused_while_it_streams(client: httpx.Client) -> None:
    """A gigabyte is offered in chunks of unannounced number: the answer comes near the limit."""
    data = b"abcdefghi\n" * 10**4
    chunk = b"%x\r\n%s\r\n" % (len(data), data)
    answer, sent = answered_after(str(client.base_url), b"Transfer-Encoding: chunked\r\n", chunk, most=10**9)
    assert b" 422 " in answer.splitlines()[0]
    assert b"larger than" in answer
    assert sent < 2 * MAX_BYTES
    assert client.get("/health").status_code == 200


def test_binary_data_is_refused_at_its_first_bytes(client: httpx.Client) -> None:
    data = b"\x00" * 10**5
    chunk = b"%x\r\n%s\r\n" % (len(data), data)
    answer, sent = answered_after(str(client.base_url), b"Transfer-Encoding: chunked\r\n", chunk, most=10**9)
    assert b" 422 " in answer.splitlines()[0]
    assert sent < MAX_BYTES


def test_an_upload_that_announces_too_much_is_refused_before_it_is_read(client: httpx.Client) -> None:
    answer, sent = answered_after(
        str(client.base_url), b"Content-Length: 100000000\r\n", b"abcdefghi\n", most=10**8
    )
    assert b" 413 " in answer.splitlines()[0]
    assert sent < MAX_BYTES
    # A library that sends all of it first gets the answer too.
    refused(client.post("/corpora", content=b"abcdefghi\n" * 10**7), 413)


def test_a_files_name_with_markup_is_refused(client: httpx.Client) -> None:
    body = refused(client.post("/corpora", files={"file": ("<b>.txt", TEXT.encode())}), 422)
    assert body.errors[0].field == "name"
    refused(client.post("/corpora?name=%3Cb%3E", content=TEXT.encode()), 422)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no boundary here"),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: " + b"y" * 20_000),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n--b--\r\n',
        ),
    ],
)
def test_a_broken_form_is_refused(client: httpx.Client, kind: str, content: bytes) -> None:
    refused(client.post("/corpora", content=content, headers={"Content-Type": kind}), 422)


def test_wrong_methods_and_addresses_are_answered_in_the_same_shape(client: httpx.Client) -> None:
    refused(client.put("/runs"), 405)
    refused(client.get("/nothing"), 404)
    refused(client.get("/corpora/unknown/text"), 404)
    config = {"model": {"name": "lstm"}, "task": {"name": "characters", "corpus": "unknown"}}
    assert refused(client.post("/runs", json={"config": config}), 422).errors[0].field == "config.task.corpus"


def test_a_database_that_is_away_is_a_503_and_a_bug_a_500_and_both_keep_the_shape(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreAway("the database is locked", "wait")

    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(Store, "runs", away)
    assert refused(client.get("/runs"), 503).message == "The database is locked."
    monkeypatch.setattr(Store, "runs", bug)
    assert "secret" not in refused(client.get("/runs"), 500).message
    monkeypatch.undo()
    assert client.get("/runs").status_code == 200


def test_health_says_that_the_database_is_away_while_requests_wait_for_it(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hung database holds every thread that asks it, and more requests than there are threads."""
    come_back = threading.Event()
    monkeypatch.setattr(Store, "runs", lambda *_, **__: come_back.wait())
    monkeypatch.setattr(Store, "check", lambda *_: come_back.wait())
    monkeypatch.setattr("trainer.service.app.HEALTH_SECONDS", 0.1)
    with authorized(str(client.base_url)) as other, ThreadPoolExecutor(60) as waiting:
        for _ in range(60):
            waiting.submit(other.get, "/runs")
        try:
            for _ in range(2):
                assert "database is away" in refused(client.get("/health"), 503).message
        finally:
            come_back.set()
    monkeypatch.undo()
    assert client.get("/health").json()["status"] == "ok"
