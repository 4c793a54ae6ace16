"""The client against a server on a real socket, and against one that fails on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import httpx
import pytest
from fake_service import NOW, TOKEN, FakeService, make_run, served

from dashboard.client import ATTEMPTS, Client, NotFound, Refused, ServiceAway, WrongToken
from trainer.schema import Launch, RunPatch, RunState, ServiceAddress


def launch(hidden_size: int = 8) -> Launch:
    model = {"name": "lstm", "hidden_size": hidden_size, "layers": 1}
    return Launch.model_validate({"config": {"model": model, "task": {"name": "adding", "length": 20}}})


@pytest.fixture
def client(fake: FakeService) -> Iterator[Client]:
    with served(fake.app) as url:
        client = Client(ServiceAddress(url=url, token=TOKEN, pid=0))
        yield client
        client.close()


def mocked(handler: Callable[[httpx.Request], httpx.Response], token: str = TOKEN) -> Client:
    address = ServiceAddress(url="http://service.invalid", token=token, pid=0)
    return Client(address, transport=httpx.MockTransport(handler), retry_wait=0)


def test_a_run_is_launched_read_renamed_stopped_resumed_and_deleted(
    client: Client, fake: FakeService
) -> None:
    run = client.launch(launch())
    assert client.run(run.id) == run
    assert client.patch(run.id, RunPatch(name="new name")).name == "new name"
    assert client.run(run.id).tags == [], "what was not given is left alone"
    assert client.stop(run.id).state is RunState.STOPPED
    assert client.resume(run.id).state is RunState.QUEUED
    client.delete(run.id)
    assert fake.runs == {}
    with pytest.raises(NotFound, match="There is no such run"):
        client.run(run.id)


def test_the_same_key_twice_is_one_run(client: Client, fake: FakeService) -> None:
    assert client.launch(launch(), "a key").id == client.launch(launch(), "a key").id
    assert client.launch(launch()).id != client.launch(launch()).id
    assert len(fake.runs) == 3


def test_runs_are_filtered_ordered_and_paged(client: Client, fake: FakeService) -> None:
    fake.add(
        make_run(1, name="b", model="gru"),
        make_run(2, name="a", state=RunState.FAILED, tags=["x"]),
        make_run(3, name="c", state=RunState.STOPPED),
    )
    assert [run.number for run in client.runs().runs] == [3, 2, 1]
    assert [run.name for run in client.runs(order="name", direction="ascending").runs] == ["a", "b", "c"]
    either = client.runs(states=[RunState.FAILED, RunState.STOPPED])
    assert [run.number for run in either.runs] == [3, 2]
    assert [run.number for run in client.runs(model="gru").runs] == [1]
    assert [run.number for run in client.runs(tag="x").runs] == [2]
    first = client.runs(limit=2)
    assert (first.total, len(first.runs)) == (3, 2)
    assert [run.number for run in client.runs(limit=2, cursor=first.next).runs] == [1]


def test_a_refusal_carries_the_field_and_the_remedy(client: Client) -> None:
    with pytest.raises(Refused) as caught:
        client.estimate(launch(hidden_size=3000))
    [error] = caught.value.errors
    assert (error.field, error.remedy) == ("config.model.hidden_size", "set it to 2000 or less")


def test_a_text_is_uploaded_under_its_name(client: Client) -> None:
    corpus = client.add_corpus("hamlet.txt", b"to be or not to be, that is the question")
    assert (corpus.name, corpus.characters) == ("hamlet.txt", 40)
    assert corpus in client.corpora()


def test_a_table_is_asked_for_where_one_is_needed(client: Client) -> None:
    assert client.add_corpus("rain.csv", b"rain,wind\n" + b"1,2\n" * 40, table=True).columns
    with pytest.raises(Refused):
        client.add_corpus("hamlet.txt", b"to be or not to be, that is the question", table=True)


def test_an_upload_outwaits_the_others_that_came_before_it() -> None:
    """Thirty may wait: as many large tables take minutes, in which none of its bytes is taken."""
    patience: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        patience.extend(request.extensions["timeout"][kind] for kind in ("read", "write"))
        return httpx.Response(503, json={"message": "Later.", "remedy": ""})

    with pytest.raises(Refused):
        mocked(answer).add_corpus("a", b"text")
    assert min(patience) >= 600


def test_a_wrong_token_is_told_apart_from_a_service_that_is_away(fake: FakeService) -> None:
    with served(fake.app) as url:
        client = Client(ServiceAddress(url=url, token="wrong", pid=0))
        assert client.healthy(), "health needs no token"
        with pytest.raises(WrongToken, match="UNFOLD_TOKEN"):
            client.catalog()
        client.close()


@pytest.mark.parametrize(
    ("call", "tries"),
    [
        (lambda client: client.runs(), ATTEMPTS),
        (lambda client: client.launch(launch()), ATTEMPTS),
        (lambda client: client.delete(uuid4()), 1),
        (lambda client: client.resume(uuid4()), 1),
    ],
    ids=["reading", "launching with its key", "deleting", "resuming"],
)
def test_only_what_may_be_sent_twice_is_sent_again(call: Callable[[Client], object], tries: int) -> None:
    sent = []

    def broken(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("idempotency-key"))
        raise httpx.ConnectError("nobody there")

    with pytest.raises(ServiceAway, match="does not answer"):
        call(mocked(broken))
    assert len(sent) == tries
    assert len(set(sent)) == 1, "every try carries the same key"


def test_a_short_failure_is_not_noticed() -> None:
    answers = iter([httpx.ReadError("cut"), httpx.Response(200, json={"runs": [], "next": None, "total": 0})])

    def flaky(_: httpx.Request) -> httpx.Response:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert mocked(flaky).runs().total == 0


def test_many_values_go_out_as_the_service_reads_them() -> None:
    seen: list[httpx.URL] = []

    def record(request: httpx.Request) -> httpx.Response:
        seen.append(request.url)
        return httpx.Response(200, json={})

    client, ids = mocked(record), [uuid4(), uuid4()]
    client.metrics_of(ids, ["loss", "validation/loss"], max_points=500)
    client.metrics(ids[0], after_step=0)
    assert seen[0].params["ids"] == f"{ids[0]},{ids[1]}"
    assert seen[0].params["keys"] == "loss,validation/loss"
    assert seen[1].params["after_step"] == "0"
    assert "keys" not in seen[1].params


def test_an_answer_in_an_unknown_form_says_what_to_do() -> None:
    client = mocked(lambda _: httpx.Response(200, json={"something": "else"}))
    with pytest.raises(Refused, match="same version of Unfold"):
        client.runs()


def test_an_error_without_a_body_still_becomes_words() -> None:
    client = mocked(lambda _: httpx.Response(502, text="<html>bad gateway</html>"))
    with pytest.raises(Refused, match="answered 502"):
        client.runs()


def test_the_environments_proxy_is_not_asked_for_loopback(
    client: Client, fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    fake.add(make_run(1, created_at=NOW))
    direct = Client(client.address)
    assert direct.runs().total == 1
    direct.close()
