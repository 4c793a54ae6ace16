"""Looking inside runs over HTTP: real processes, budgets, a line, clients that go away."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import pytest
import sqlalchemy

from tests.trainer.inspection.making import ADDING, TEXT, Trained, lstm, trained
from tests.trainer.service.conftest import TOKEN, PaperScheduler, authorized, serving
from tests.trainer.store.making import checkpoint, column, post, report, vector
from trainer.inspection import VIEWS
from trainer.inspection.inspector import Inspector
from trainer.schema import Catalog, CheckpointInfo, End, ErrorBody, Inspection, RunState
from trainer.service.app import create_app
from trainer.store import Store


def stored(store: Store, run: Trained, *, with_checkpoint: bool = True) -> str:
    """The run in a store, as if its worker had reported it."""
    made, _ = store.create_run(run.config, "a run", [])
    attempt = store.start_attempt(made.id)
    metrics = {"validation/loss": column([3], [0.2]), "clipped": column([1, 2, 3], [1.0, 0.0, 0.0])}
    norms = [0.5**back for back in reversed(range(12))]
    sent = report(step=3, metrics=metrics, vectors=[vector("h/0", 3, norms)])
    if with_checkpoint:
        sent = sent.model_copy(update={"checkpoint": checkpoint(run.step, run.data, loss=0.2)})
    post(store, attempt, sent, run.data if with_checkpoint else None)
    return str(made.id)


@contextlib.contextmanager
def inspecting(store: Store, **limits: Any) -> Iterator[httpx.Client]:
    """A service with an inspector of these limits."""
    inspector = Inspector(**limits)
    with serving(create_app(store, PaperScheduler(), TOKEN, inspector)) as url, authorized(url) as client:
        yield client
    inspector.close()


@pytest.fixture
def inside(store: Store) -> Iterator[httpx.Client]:
    with inspecting(store) as client:
        yield client


def refused(response: httpx.Response, status: int) -> ErrorBody:
    assert response.status_code == status, response.text
    body = ErrorBody.model_validate_json(response.content)
    assert body.message
    return body


SLOW = {"view": "jacobians", "settings": {"sequences": 2, "length": 500}}
LARGE = trained(lstm(64), {"name": "adding", "length": 500}, {"steps": 1, "precision": "32"})


def test_a_view_is_computed_in_a_process_of_its_own_and_nothing_is_left_of_it(
    inside: httpx.Client, store: Store
) -> None:
    run = stored(store, trained(lstm(), ADDING))
    response = inside.post(f"/runs/{run}/inspect", json={"view": "triangle", "settings": {"sequences": 2}})
    found = Inspection.model_validate_json(response.content)
    assert (response.status_code, found.view, found.step) == (200, "triangle", 3)
    assert found.result is not None
    assert none_left()


def test_the_catalogue_lists_the_views_and_a_run_its_checkpoints(inside: httpx.Client, store: Store) -> None:
    views = Catalog.model_validate_json(inside.get("/catalog").content).views
    assert [view.name for view in views] == list(VIEWS)
    assert all(view.title and view.summary and view.look_for for view in views)
    made = trained(lstm(), ADDING)
    run = stored(store, made)
    (info,) = [CheckpointInfo.model_validate(item) for item in inside.get(f"/runs/{run}/checkpoints").json()]
    assert info == CheckpointInfo(step=3, validation_loss=0.2, is_best=True, size=len(made.data))


def test_the_diagnosis_is_given_what_the_run_recorded_and_needs_no_checkpoint(
    inside: httpx.Client, store: Store
) -> None:
    run = stored(store, trained(lstm(), ADDING), with_checkpoint=False)
    found = inside.post(f"/runs/{run}/inspect", json={"view": "diagnosis"}).json()
    assert found["step"] is None
    assert found["result"]["fits"]["h/0"]["half_life"] == [1.0]
    assert found["result"]["numbers"]["clip rate"] == pytest.approx(1 / 3, rel=1e-4)


def test_generate_takes_its_settings_beside_the_checkpoint(inside: httpx.Client, store: Store) -> None:
    run = stored(store, trained(lstm(), TEXT))
    sent = {"prompt": "the ", "length": 5, "temperature": 0, "checkpoint": 3}
    result = inside.post(f"/runs/{run}/generate", json=sent).json()["result"]
    assert (result["prompt"], len(result["written"])) == ("the ", 5)
    body = refused(inside.post(f"/runs/{run}/generate", json={"top_p": 2}), 422)
    assert body.errors[0].field == "top_p"


def test_an_uploaded_text_travels_with_the_question(inside: httpx.Client, store: Store) -> None:
    corpus = store.add_corpus("mine", "abcab" * 200).id
    made = trained(lstm(), TEXT)
    config = made.config.model_copy(update={"task": {**TEXT, "corpus": corpus}})
    run = stored(store, made._replace(config=config))
    response = inside.post(f"/runs/{run}/inspect", json={"view": "gates"})
    assert "do not fit" in refused(response, 409).message  # so the text was there: it has other symbols


@pytest.mark.parametrize(
    ("sent", "field", "remedy"),
    [
        ({"view": "triangel"}, "view", "Did you mean triangle?"),
        ({"view": "triangle", "settings": {"sequences": 0}}, "settings.sequences", "at least 1"),
        ({"view": "triangle", "settings": {"lenght": 9}}, "settings.lenght", "Did you mean length?"),
        ({"view": "surgery", "settings": {"target": "z/0"}}, "settings.target", "Choose one of: i/0"),
        ({"view": "surgery", "settings": {"value": 1e7}}, "settings.value", "at most"),
        ({"view": "gates", "settings": {"text": "ab"}}, "settings.text", "a run on text"),
        ({}, "view", "Add it"),
        ({"view": "triangle", "checkpoint": -1}, "checkpoint", "at least 0"),
    ],
)
def test_a_wrong_request_gets_a_422_that_names_the_field(
    inside: httpx.Client, store: Store, sent: dict[str, Any], field: str, remedy: str
) -> None:
    run = stored(store, trained(lstm(), ADDING))
    body = refused(inside.post(f"/runs/{run}/inspect", json=sent), 422)
    assert body.errors[0].field == field
    assert remedy in body.remedy


def test_runs_and_checkpoints_that_are_not_there_are_told(inside: httpx.Client, store: Store) -> None:
    run = stored(store, trained(lstm(), ADDING), with_checkpoint=False)
    sent = {"view": "triangle"}
    assert "has no checkpoint yet" in refused(inside.post(f"/runs/{run}/inspect", json=sent), 409).message
    kept = stored(store, trained(lstm(), ADDING))
    body = refused(inside.post(f"/runs/{kept}/inspect", json={**sent, "checkpoint": 2}), 404)
    assert "keeps no checkpoint of step 2" in body.message
    store.request_stop(UUID(kept))
    nobody = "00000000-0000-0000-0000-000000000000"
    for path in (f"/runs/{nobody}/inspect", f"/runs/{nobody}/generate"):
        assert refused(inside.post(path, json=sent if "inspect" in path else {}), 404).remedy
    refused(inside.get(f"/runs/{nobody}/checkpoints"), 404)


def test_a_corrupt_checkpoint_is_told_whether_its_bytes_or_its_content_are_damaged(
    inside: httpx.Client, store: Store, tmp_path: Path
) -> None:
    made = trained(lstm(), ADDING)
    garbage = stored(store, made._replace(data=b"no checkpoint at all"))
    body = refused(inside.post(f"/runs/{garbage}/inspect", json={"view": "triangle"}), 409)
    assert "cannot be read" in body.message
    run = stored(store, made)
    damage(tmp_path)
    body = refused(inside.post(f"/runs/{run}/inspect", json={"view": "triangle"}), 409)
    assert "is damaged" in body.message


def damage(folder: Path, step: int = 3) -> None:
    """Of all runs."""
    engine = sqlalchemy.create_engine(f"sqlite:///{folder / 'unfold.db'}")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"UPDATE checkpoints SET data = x'00' WHERE step = {step}"))
    engine.dispose()


@pytest.mark.parametrize(
    ("end", "remedy"),
    [
        (None, "Wait some seconds for the next one, and look again."),
        (RunState.FINISHED, "Launch the run again."),
        (
            RunState.STOPPED,
            "Resume the run, which goes on from one that is intact, or anew where there is none.",
        ),
    ],
)
def test_the_advice_about_a_damaged_checkpoint_can_be_followed(
    inside: httpx.Client, store: Store, tmp_path: Path, end: RunState | None, remedy: str
) -> None:
    made = trained(lstm(), ADDING)
    run, _ = store.create_run(made.config, "a run", [])
    attempt = store.start_attempt(run.id)
    for step in (2, 3):
        sent = report(step, step, end=None if end is None or step == 2 else End(state=end))
        post(store, attempt, sent.model_copy(update={"checkpoint": checkpoint(step, made.data)}), made.data)
    damage(tmp_path)
    sent_view = {"view": "triangle"}
    body = refused(inside.post(f"/runs/{run.id}/inspect", json=sent_view), 409)
    assert body.remedy == f"Choose another checkpoint; or {remedy[0].lower()}{remedy[1:]}"
    assert inside.post(f"/runs/{run.id}/inspect", json={**sent_view, "checkpoint": 2}).status_code == 200


@pytest.mark.parametrize("is_stored_whole", [True, False])
def test_the_diagnosis_does_without_a_damaged_checkpoint_and_says_so(
    inside: httpx.Client, store: Store, tmp_path: Path, is_stored_whole: bool
) -> None:
    made = trained(lstm(), ADDING)
    run = stored(store, made._replace(data=b"no checkpoint at all") if is_stored_whole else made)
    if not is_stored_whole:
        damage(tmp_path)
    found = inside.post(f"/runs/{run}/inspect", json={"view": "diagnosis"}).json()
    assert (found["step"], found["result"]["kind"]) == (None, "diagnosis")
    told = "cannot be used: the checkpoint cannot be read" if is_stored_whole else "of step 3 is damaged"
    assert told in found["note"]
    assert found["note"].endswith("What is shown does without one.")
    whole = stored(store, made)
    assert inside.post(f"/runs/{whole}/inspect", json={"view": "diagnosis"}).json()["note"] == ""


def test_an_inspection_over_its_time_is_ended_and_says_so(store: Store) -> None:
    run = stored(store, LARGE)
    with inspecting(store, seconds=0.3) as client:
        body = refused(client.post(f"/runs/{run}/inspect", json=SLOW), 504)
        assert "took longer than 0.3 seconds" in body.message
        assert "UNFOLD_INSPECT_SECONDS" in body.remedy
        assert none_left()


def test_an_inspection_over_its_memory_is_ended_and_says_so(store: Store) -> None:
    run = stored(store, LARGE)
    with inspecting(store, megabytes=60) as client:
        body = refused(client.post(f"/runs/{run}/inspect", json=SLOW), 504)
        assert "more memory than it may" in body.message
        assert "UNFOLD_INSPECT_MEGABYTES" in body.remedy


def test_an_inspection_that_nobody_waits_for_is_ended_and_the_next_has_its_turn(store: Store) -> None:
    slow, quick = stored(store, LARGE), stored(store, trained(lstm(), ADDING))
    with inspecting(store, at_once=1, seconds=300) as client:
        assert client.post(f"/runs/{quick}/inspect", json={"view": "cliff"}).status_code == 200  # now warm
        very_slow = {"view": "jacobians", "settings": {"sequences": 4, "length": 500}}
        with pytest.raises(httpx.ReadTimeout):
            client.post(f"/runs/{slow}/inspect", json=very_slow, timeout=0.5)
        # One at a time: this one is answered because the slow one, which had 300 seconds, is gone.
        assert client.post(f"/runs/{quick}/inspect", json={"view": "cliff"}).status_code == 200
        assert none_left()


def test_the_service_stays_answering_while_ten_inspections_run(store: Store) -> None:
    """Two inspections at once, and every other request is answered meanwhile (make bench says how fast)."""
    run = stored(store, LARGE)
    with inspecting(store, seconds=1.0) as client:
        answers: list[int] = []

        def ask() -> None:
            answers.append(client.post(f"/runs/{run}/inspect", json=SLOW).status_code)

        asking = [threading.Thread(target=ask) for _ in range(10)]
        for thread in asking:
            thread.start()
        answered, at_once = 0, set()
        while any(thread.is_alive() for thread in asking):
            assert client.get("/runs").status_code == 200
            answered += 1
            at_once.add(inspections())
        assert len(answers) == 10
        assert max(at_once) == 2  # the others stood in line
        assert answered > 10


def test_whoever_waits_is_told_at_once_that_the_service_stops(store: Store) -> None:
    run = stored(store, LARGE)
    inspector = Inspector(seconds=60)
    with serving(create_app(store, PaperScheduler(), TOKEN, inspector)) as url, authorized(url) as client:
        answers: list[httpx.Response] = []
        asking = threading.Thread(
            target=lambda: answers.append(client.post(f"/runs/{run}/inspect", json=SLOW))
        )
        asking.start()
        while not inspections():
            time.sleep(0.02)
        began = time.monotonic()
        inspector.stop()
        asking.join()
        assert time.monotonic() - began < 2
        later = client.post(f"/runs/{run}/inspect", json={"view": "cliff"})
    for answer in (*answers, later):
        body = refused(answer, 503)
        assert (body.message, body.remedy) == ("The service is stopping.", "Ask again once it runs again.")
    inspector.close()


def test_a_line_that_is_full_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.inspection.inspector.LINE", 0)
    run = stored(store, trained(lstm(), ADDING))
    with inspecting(store) as client:
        body = refused(client.post(f"/runs/{run}/inspect", json={"view": "triangle"}), 503)
    assert "Too many" in body.message


def inspections() -> int:
    """How many processes of this test's forkserver compute right now."""
    forked = 0
    for server in psutil.Process().children():
        if "forkserver" in " ".join(_command(server)):
            with contextlib.suppress(psutil.NoSuchProcess):
                forked += len(server.children())
    return forked


def none_left() -> bool:
    """Whether all of them are gone within a moment."""
    deadline = time.monotonic() + 3
    while inspections() and time.monotonic() < deadline:
        time.sleep(0.02)
    return not inspections()


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
