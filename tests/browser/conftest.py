"""The whole product as a user starts it, on an empty store, and a real Chromium to look at it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Request, expect, sync_playwright

from tests.browser.product import PATIENCE, Unfold, Visit, until
from trainer.schema import ServiceAddress

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def unfold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unfold]:
    data = tmp_path_factory.mktemp("unfold")
    left_out = ("UNFOLD_", "STREAMLIT_", "PYTHON")  # nor an import path that a test before this one has set
    environment = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    environment |= {"UNFOLD_DATA": str(data), "UNFOLD_SLOTS": "4"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    commands = {
        "service": [sys.executable, "-m", "trainer", "serve", "--port", "0"],
        "dashboard": [  # by its own command, as `python -m` would put this folder on the import path
            *(str(Path(sys.executable).with_name("streamlit")), "run", "dashboard/app.py"),
            *("--server.headless", "true"),
            *("--server.port", str(port), "--server.fileWatcherType", "none"),
        ],
    }
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> subprocess.Popen[bytes]:
        with (data / f"{name}.txt").open("wb") as output:
            process = subprocess.Popen(
                commands[name],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        processes.append(process)
        return process

    try:
        service = start("service")
        file = data / "service.json"
        until(lambda: file.exists() or service.poll() is not None, "the service's address")
        assert service.poll() is None, (data / "service.txt").read_text(encoding="utf-8")
        address = ServiceAddress.model_validate_json(file.read_bytes())
        start("dashboard")
        url = f"http://127.0.0.1:{port}"
        until(lambda: _answers(f"{url}/_stcore/health"), "the dashboard")
        headers = {"Authorization": f"Bearer {address.token}"}
        with httpx.Client(base_url=address.url, headers=headers, timeout=30, trust_env=False) as api:
            yield Unfold(url=url, api=api)
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """``UNFOLD_CHROMIUM``, or the machine's own Chromium or Chrome, or the one that Playwright installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("UNFOLD_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    expect.set_options(timeout=1000 * PATIENCE)  # milliseconds
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def visit(browser: Browser, unfold: Unfold) -> Iterator[Callable[[], Visit]]:
    """Makes fresh profiles; at the end none may have asked the outside world or printed an error."""
    visits: list[Visit] = []

    def fresh() -> Visit:
        context = browser.new_context(viewport={"width": 1280, "height": 1100})
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=unfold.url)
        made = Visit(page=context.new_page(), context=context)
        made.page.set_default_timeout(1000 * PATIENCE)
        visits.append(made)

        def asked(request: Request) -> None:
            if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "blob:", "data:")):
                made.outside.append(request.url)

        def said(message: ConsoleMessage) -> None:
            # Streamlit looks for its server below the page's own path first, and the browser notes the 404.
            if message.type == "error" and "/_stcore/" not in message.location.get("url", ""):
                made.errors.append(f"{message.text} ({message.location.get('url', '')})")

        made.page.on("request", asked)
        made.page.on("console", said)
        made.page.on("pageerror", lambda error: made.errors.append(str(error)))
        return made

    yield fresh
    for made in visits:
        made.context.close()
    assert [url for made in visits for url in made.outside] == []
    assert [error for made in visits for error in made.errors] == []
