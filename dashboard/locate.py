"""Finds the training service, or starts one for this machine. Nothing here knows Streamlit.

The order: the address in the environment; the address that a local service wrote into its data folder; a
service started now. One that is started here is detached: it outlives the browser tab and the dashboard.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from dashboard.client import Client, ServiceAway
from trainer.schema import ServiceAddress

ROOT = Path(__file__).resolve().parent.parent
COMMAND: tuple[str, ...] = (sys.executable, "-m", "trainer", "serve", "--port", "0")

_started: list[subprocess.Popen[bytes]] = []
"""Services started by this process, kept so that one that ends is reaped and does not look alive."""


def connect(
    environment: Mapping[str, str],
    *,
    patience: float = 60.0,
    waiting: Callable[[float], None] = lambda _: None,
) -> Client:
    """A client of a service that answers.

    ``waiting`` is called with the seconds waited so far while a service starts. Raises ServiceAway when the
    configured service does not answer, or when none came up within ``patience`` seconds.
    """
    configured = _configured(environment)
    if configured:
        client = Client(configured)
        if client.healthy():
            return client
        client.close()
        raise ServiceAway(
            f"The training service at {configured.url} does not answer.",
            "UNFOLD_URL names that address. Start the service there, or correct the address; then try again.",
        )
    folder = data_folder(environment)
    return _running(folder) or _start(folder, environment, patience, waiting)


def data_folder(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("UNFOLD_DATA") or ROOT / ".unfold").expanduser().resolve()


def _configured(environment: Mapping[str, str]) -> ServiceAddress | None:
    url = environment.get("UNFOLD_URL", "").strip().rstrip("/")
    if not url:
        return None
    token = environment.get("UNFOLD_TOKEN", "").strip()
    if not token and (file := environment.get("UNFOLD_TOKEN_FILE", "").strip()):
        token = Path(file).expanduser().read_text(encoding="utf-8").strip()
    return ServiceAddress(url=url, token=token, pid=0)


def _running(folder: Path) -> Client | None:
    """The service that has announced itself in the data folder, if it answers.

    With the token of that announcement: one that comes up anew listens, at the same address, a moment before
    it replaces the announcement of the one before it.
    """
    for process in _started:
        process.poll()
    try:
        address = ServiceAddress.model_validate_json((folder / "service.json").read_bytes())
    except (OSError, ValidationError):
        return None
    client = Client(address)
    if client.welcome():
        return client
    client.close()
    return None


def _start(
    folder: Path, environment: Mapping[str, str], patience: float, waiting: Callable[[float], None]
) -> Client:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = folder / "service.log"
    lifeline = environment.get("UNFOLD_LIFELINE", "")  # of `make app`, which takes the service along
    with log.open("ab") as output:
        process = subprocess.Popen(
            COMMAND,
            cwd=ROOT,
            env={**environment, "UNFOLD_DATA": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(int(lifeline),) if lifeline.isdecimal() else (),
        )
    _started.append(process)
    begin = time.monotonic()
    ended_at: float | None = None
    while (waited := time.monotonic() - begin) < patience:
        client = _running(folder)
        if client:
            return client
        if ended_at is None and process.poll() is not None:
            ended_at = waited
        # Another dashboard may have been first: ours then ends at once and theirs is still on its way up.
        if ended_at is not None and waited - ended_at > patience / 4:
            break
        waiting(waited)
        time.sleep(0.1)
    raise ServiceAway(
        "The training service did not start."
        + (f" It ended with exit code {process.returncode}." if ended_at is not None else ""),
        f"Its last words are in {log.name}, in the data folder:\n\n{_tail(log)}",
    )


def _tail(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
