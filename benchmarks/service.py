"""A real training service on a data folder of its own, for benchmarks and proofs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from trainer.schema import Run, Series, ServiceAddress

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.005


class NotStarted(RuntimeError):  # noqa: N818 - what became of the service
    """The service ended, or kept silent, instead of coming up; its last words are in the text."""


class Service:
    """``python -m trainer serve`` as a process on loopback; a context manager.

    Its port stays the same when it is started again, so that workers left behind find it.

    Args:
        data: its data folder.
        slots: runs that train at the same time.
        environment: more of its settings, ``{"UNFOLD_STORE": …}``.
        patience: seconds that it may take to come up.
    """

    def __init__(
        self,
        data: Path,
        slots: int = 1,
        environment: Mapping[str, str] | None = None,
        patience: float = 90.0,
    ) -> None:
        self.data, self.slots, self.patience = data, slots, patience
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("UNFOLD_")
        }
        self.environment |= {"UNFOLD_DATA": str(data), "UNFOLD_SLOTS": str(slots), **(environment or {})}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def __enter__(self) -> Self:
        # A benchmark that is told to end takes its service with it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it on what the data folder holds, and wait until it answers."""
        address = self.data / "service.json"
        address.unlink(missing_ok=True)
        with (self.data / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trainer", "serve", "--port", str(self.port)],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + self.patience
        while not address.exists():
            if self.process.poll() is not None:
                raise NotStarted(f"The service did not start:\n{self.log()[-3000:]}")
            if time.monotonic() > end:
                self.process.kill()
                self.process.wait()
                raise NotStarted(f"The service did not come up in {self.patience:g} s:\n{self.log()[-3000:]}")
            time.sleep(0.05)
        self.address = ServiceAddress.model_validate_json(address.read_bytes())
        self.http = httpx.Client(
            base_url=self.address.url,
            headers={"Authorization": f"Bearer {self.address.token}"},
            timeout=30,
            trust_env=False,
        )
        self.call("GET", "/health")

    def log(self) -> str:
        """What it has printed."""
        return (self.data / "service.log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """SIGTERM: workers write their checkpoints first."""
        self.http.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the service alone: no chance to say anything. Its workers are left behind."""
        self.http.close()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer; an error answer raises with what it said."""
        response = self.http.request(method, path, **options)
        if response.is_error:
            raise RuntimeError(f"{method} {path}: {response.status_code} {response.text[:500]}")
        return response.json() if response.content else None

    def launch(self, config: Mapping[str, Any], **more: Any) -> Run:
        """POST /runs; ``more`` are a name and tags."""
        return Run.model_validate(self.call("POST", "/runs", json={"config": config, **more}))

    def run(self, run: Run) -> Run:
        """The run as it is now."""
        return Run.model_validate(self.call("GET", f"/runs/{run.id}"))

    def series(self, run: Run, key: str) -> Series | None:
        """One curve, every point of it; None before its first."""
        answer = self.call("GET", f"/runs/{run.id}/metrics", params={"keys": key})
        return Series.model_validate(answer[key]) if answer.get(key) else None

    def finish(self, run: Run, patience: float = 600) -> Run:
        """Wait until the run is over, and stay out of its way meanwhile."""
        end = time.monotonic() + patience
        while not (now := self.run(run)).state.is_over:
            if time.monotonic() > end:
                raise RuntimeError(f"run {run.id} is still {now.state} at update {now.step}")
            time.sleep(0.2)
        return now
