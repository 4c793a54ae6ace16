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
from trainer.schema import ServiceAddress

APP = Path(__file__).parents[2] / "dashboard" / "app.py"

Open = Callable[..., AppTest]


def slow_start(folder: Path, url: str) -> tuple[str, ...]:
    """In place of the service: half a second later it announces ``url`` as the service would."""
    text = ServiceAddress(url=url, token=TOKEN, pid=1).model_dump_json()
    script = folder / "starter.py"
    script.write_text(
        "import os, pathlib, time\n"
        "time.sleep(0.5)\n"
        f"pathlib.Path(os.environ['UNFOLD_DATA'], 'service.json').write_text({text!r})\n",
        encoding="utf-8",
    )
    return sys.executable, str(script)


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
