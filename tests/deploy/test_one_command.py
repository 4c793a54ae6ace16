"""``streamlit run dashboard/app.py`` where nothing runs yet: the first visit starts the service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]

VISIT = """
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("dashboard/app.py", default_timeout=120).run()
assert not page.exception, page.exception
"""


def test_the_first_visit_starts_a_service_that_outlives_the_dashboard(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UNFOLD_")}
    visited = subprocess.run(
        [sys.executable, "-c", VISIT],
        cwd=ROOT,
        env={**environment, "UNFOLD_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    started = tmp_path / "service.json"
    address = announced(started)  # also of a service that is still on its way when the page has failed
    try:
        assert visited.returncode == 0, visited.stdout + visited.stderr
        assert address, "no service was started"
        # The process that drew the page has ended; the service has not.
        with urllib.request.urlopen(f"{address['url']}/health", timeout=30) as answer:
            assert json.load(answer)["status"] == "ok"
        assert started.stat().st_mode & 0o077 == 0, "the token can be read by other users"
    finally:
        if address:
            os.kill(address["pid"], signal.SIGTERM)
    end = time.monotonic() + 60
    while psutil.pid_exists(address["pid"]) and time.monotonic() < end:
        time.sleep(0.05)
    assert not started.exists(), "a service that has ended still announces itself"


def announced(path: Path, patience: float = 30.0) -> dict[str, Any] | None:
    """What a service that comes up writes into its data folder."""
    end = time.monotonic() + patience
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
