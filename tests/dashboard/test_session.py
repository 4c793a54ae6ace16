"""Pages without a service: a calm state, and a way out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from conftest import APP, slow_start
from fake_service import TOKEN, FakeService, served
from streamlit.testing.v1 import AppTest

from dashboard import locate, session


@pytest.fixture(autouse=True)
def _no_connection() -> Iterator[None]:
    st.cache_resource.clear()
    yield
    if connected := session._connection().client:
        connected.close()
    st.cache_resource.clear()


def open_app() -> AppTest:
    return AppTest.from_file(str(APP), default_timeout=60).run()


def titles(app: AppTest) -> str:
    return "\n".join(element.value for element in [*app.title, *app.subheader])


def test_a_service_that_is_away_is_said_and_found_again_when_it_comes_back(
    fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNFOLD_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("UNFOLD_TOKEN", TOKEN)
    app = open_app()
    assert "The training service is away" in titles(app)
    assert not app.exception
    with served(fake.app) as url:
        monkeypatch.setenv("UNFOLD_URL", url)
        app.button(key="service-away-retry").click().run()
        assert titles(app).startswith("See how a recurrent network learns")
    app.run()
    assert "The training service is away" in titles(app), "it went away under an open page"


def test_a_wrong_token_is_said(fake: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(fake.app) as url:
        monkeypatch.setenv("UNFOLD_URL", url)
        monkeypatch.setenv("UNFOLD_TOKEN", "wrong")
        app = open_app()
    assert "does not accept" in "\n".join(element.value for element in app.markdown)
    assert not app.exception


def starts_slowly(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for the service finds none, and has to start one that takes half a second."""
    monkeypatch.delenv("UNFOLD_URL", raising=False)
    monkeypatch.setenv("UNFOLD_DATA", str(folder))
    monkeypatch.setattr(locate, "COMMAND", slow_start(folder, url))


def test_the_page_waits_for_a_service_that_is_starting(
    fake: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(fake.app) as url:
        starts_slowly(url, tmp_path, monkeypatch)
        app = open_app()
        assert titles(app).startswith("See how a recurrent network learns")
        assert not app.exception


def test_a_click_that_has_to_wait_for_the_service_is_not_lost(
    fake: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session forgot the service, whose address is gone: this one's click finds it out."""
    with served(fake.app) as url:
        monkeypatch.setenv("UNFOLD_URL", url)
        monkeypatch.setenv("UNFOLD_TOKEN", TOKEN)
        app = open_app()
        session.forget()
        starts_slowly(url, tmp_path, monkeypatch)
        app.button(key="welcome.demo").click().run()
        assert len(fake.runs) == 3
        assert titles(app).startswith("Compare runs")


def test_a_service_forgotten_by_another_session_right_after_it_was_found_is_used_all_the_same(
    fake: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lock:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            session.forget()

    with served(fake.app) as url:
        monkeypatch.setenv("UNFOLD_URL", url)
        monkeypatch.setenv("UNFOLD_TOKEN", TOKEN)
        session._connection().lock = Lock()  # type: ignore[assignment]
        app = open_app()
        assert titles(app).startswith("See how a recurrent network learns")
        assert not app.exception
