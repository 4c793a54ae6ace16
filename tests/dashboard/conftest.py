"""A fake service for the pages, on a real socket; and pages run by Streamlit's own test runner."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(Path(__file__).parent))

from fake_service import TOKEN, FakeService, served

from dashboard import session

APP = Path(__file__).parents[2] / "dashboard" / "app.py"

Open = Callable[..., AppTest]


@pytest.fixture
def fake() -> FakeService:
    return FakeService()


@pytest.fixture
def service_url(fake: FakeService, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The fake service, up, and named in the environment as the one to use."""
    with served(fake.app) as url:
        monkeypatch.setenv("UNFOLD_URL", url)
        monkeypatch.setenv("UNFOLD_TOKEN", TOKEN)
        st.cache_resource.clear()
        st.cache_data.clear()
        yield url
        if connected := session._connection().client:
            connected.close()
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def open_page(service_url: str) -> Open:  # noqa: ARG001 - the service must be up
    """Opens a page of the app, as ``views/launch.py``, with a query."""

    def opened(view: str, /, **query: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        app.switch_page(view)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return opened
