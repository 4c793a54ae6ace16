"""One service in this process: data folder, store, engine, scheduler and web server put together."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import filelock
import httpx
import uvicorn
from pydantic import ValidationError

from trainer import descriptors
from trainer.engine import processes
from trainer.engine.local import LocalEngine
from trainer.housekeeping import Housekeeper
from trainer.lifeline import Departure, Starting
from trainer.log_throttle import quieten
from trainer.private import protect_folder
from trainer.scheduler import GRACE_SECONDS, Scheduler
from trainer.schema import ServiceAddress
from trainer.service import connections
from trainer.settings import Settings
from trainer.store import Claim, Store, StoreError, StoreLost, StoreOwned, shown

if TYPE_CHECKING:  # it imports torch
    from trainer.inspection.inspector import Inspector

logger = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections that wait to be accepted, before one is refused."""
LOCK_SECONDS = 10.0
"""How long to wait for another command that holds the data folder but serves nobody."""


class HostError(Exception):
    """The service cannot start here; the text says what to change."""


class Server(uvicorn.Server):
    """uvicorn, which at the first SIGINT or SIGTERM goes on answering until every worker has ended.

    Workers write their last checkpoint over HTTP, so the scheduler goes before the server does; whoever waits
    for an inspection is told at once. A second signal ends all of it.
    """

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        scheduler: Scheduler,
        inspector: Inspector,
        address: ServiceAddress,
        note: Path | None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=connections.guarded(connections.most()),
                ws="none",  # its connections would know none of those limits
                backlog=connections.BATCH,
                log_config=None,
                access_log=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=5,
            )
        )
        self.address = address
        self._listener, self._scheduler, self._inspector, self._note = listener, scheduler, inspector, note
        self._leaving: threading.Thread | None = None
        self._lost: StoreLost | None = None
        self._up = threading.Event()
        self._trouble: Exception | None = None

    def serve_here(self) -> None:
        """Answer until a signal or ``leave`` ends it.

        Raises:
            HostError: another service has taken the database over.
        """
        self.run(sockets=[self._listener])
        if self._leaving is not None:
            self._leaving.join()
        if self._lost is not None:
            raise HostError(_sentences(self._lost))

    @contextlib.contextmanager
    def serving_aside(self) -> Iterator[None]:
        """Answer in a thread while the block runs; then leave."""
        thread = threading.Thread(target=self._run_aside, name="server", daemon=True)
        thread.start()
        self._up.wait()
        if isinstance(self._trouble, HostError):
            raise self._trouble
        if self._trouble is not None or not self.started:
            raise HostError("the web server did not start; its log above says why") from self._trouble
        try:
            yield
        finally:
            self.leave()
            thread.join()

    def leave(self) -> None:
        """End every worker, then the server. Again: at once."""
        if self._leaving is not None:
            self.should_exit = self.force_exit = True
            return
        self._leave(GRACE_SECONDS)

    def _leave(self, grace: float) -> None:
        leaving = threading.Thread(target=self._wind_down, args=(grace,), name="leaving")
        try:
            leaving.start()
            self._leaving = leaving
        except RuntimeError as error:  # the system grants no thread; workers are told when all is let go of
            logger.error("the service leaves at once: %s", error)
            self.should_exit = True

    def lose(self, error: StoreLost) -> None:
        """End at once: another service has the database now, and nothing that is said here can be stored."""
        self._lost = error
        if self._leaving is None:
            self._leave(0.0)

    # --- uvicorn's hooks -------------------------------------------------------------------------------

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.leave()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listener.listen(BACKLOG)  # uvicorn has made it as short as what it accepts at once
        if self._note is not None:
            try:
                write_address(self._note, self.address)
            except OSError as error:
                raise HostError(
                    f"The service's address cannot be written to {self._note}: {error}. "
                    "See that the disk has room and the folder can be written."
                ) from None
        self._up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._note is not None:
            try:
                self._note.unlink(missing_ok=True)
            except OSError as error:  # nobody answers at the address that it holds
                logger.warning("%s could not be removed: %s", self._note, error)
        await super().shutdown(sockets)

    def _run_aside(self) -> None:
        try:
            self.run(sockets=[self._listener])
        except Exception as error:
            self._trouble = error
            logger.error("the web server ended: %s", error, exc_info=not isinstance(error, HostError))
        finally:
            self._up.set()

    def _wind_down(self, grace: float) -> None:
        try:
            try:
                self._inspector.stop()
            except Exception:  # inspections end with the service; workers have a checkpoint to write
                logger.exception("the inspections could not be ended")
            self._scheduler.shutdown(grace)
        except Exception:
            logger.exception("the runs could not be ended")
        finally:
            self.should_exit = True


@contextlib.contextmanager
def hosting(
    settings: Settings, *, training: bool = True, leaving: Departure | None = None
) -> Iterator[Server]:
    """A server that is ready to serve, and everything behind it; all let go of at the end of the block.

    Args:
        settings: where, and with what.
        training: False gives a service that answers but starts no run and looks after none, for a command
            that only wants to read. It tells nobody its address, and claims the database only to write.
        leaving: is told of the service while it is on its way up.

    Raises:
        HostError: the data folder, the database or the port is in use, or the database cannot be opened.
        SettingsError: other machines could reach it and no token is set.
    """
    settings.check_bind()
    descriptors.provide()
    quieten()
    note = settings.data / "service.json"
    with contextlib.ExitStack() as stack:
        _lock(settings.data, stack)
        listener = stack.enter_context(_listen(settings, note))
        # Accepted connections inherit this. asyncio sets it only where the socket names its protocol, and
        # without it an answer's second packet waits 40 ms for the acknowledgement of the first.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listener.getsockname()[1]
        address = ServiceAddress(
            url=f"http://{_reachable(settings.host)}:{port}",
            token=settings.token.get_secret_value() if settings.token else secrets.token_urlsafe(32),
            pid=os.getpid(),
        )
        store = _store(settings, training=training)
        stack.callback(store.close)
        keeper = Housekeeper(store, settings.data)
        if training:
            stack.callback(keeper.stop)
            keeper.start()
        else:
            stack.callback(_tidy_after, store, keeper)
        scheduler = Scheduler(store, LocalEngine(settings.data, settings.slots), address.url)
        if training:
            # Before the imports below, so that the process that forks workers imports torch meanwhile.
            stack.callback(scheduler.shutdown, grace=0.0)
            if leaving is not None:
                leaving.tell(Starting(partial(scheduler.shutdown, grace=0.0), processes.abandon))
            scheduler.start()
        import torch

        from trainer.inspection.inspector import Inspector
        from trainer.service.app import create_app

        torch.set_num_threads(1)  # an estimate measures what a worker, which has one thread, will need
        inspector = Inspector(settings.inspect_seconds, settings.inspect_megabytes)
        stack.callback(inspector.close)
        app = create_app(store, scheduler, address.token, inspector, settings.hosts)
        # What the imports made stays: a collector that walked it for each large answer tripled its time.
        gc.collect()
        gc.freeze()
        if training:
            stack.callback(note.unlink, missing_ok=True)
        server = Server(app, listener, scheduler, inspector, address, note if training else None)
        keeper.when_lost(server.lose)
        yield server


def find_service(data: Path) -> ServiceAddress | None:
    """The service that runs for this data folder, if one answers."""
    try:
        address = ServiceAddress.model_validate_json((data / "service.json").read_bytes())
        health = httpx.get(f"{address.url}/health", timeout=5.0, trust_env=False)
    except (OSError, ValidationError, httpx.HTTPError):
        return None
    return address if health.status_code == httpx.codes.OK else None


def write_address(path: Path, address: ServiceAddress) -> None:
    """Write it whole, readable by this user alone: it holds the token."""
    part = path.with_suffix(f".{os.getpid()}")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600, exist_ok=False)
    with part.open("w", encoding="utf-8") as file:
        file.write(address.model_dump_json())
    part.replace(path)


def _lock(data: Path, stack: contextlib.ExitStack) -> None:
    """Make this the data folder's only service, for as long as the process lives."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        protect_folder(data)
        lock = filelock.FileLock(data / "service.lock", mode=0o600)
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                stack.enter_context(lock.acquire(timeout=0.5))
                return
            except filelock.Timeout:
                other = find_service(data)
                if other is None and time.monotonic() < end:
                    continue
            where = f"runs at {other.url} (process {other.pid})" if other else "starts or ends right now"
            raise HostError(
                f"A service for the data folder {data} {where}. Use that one, or stop it first, "
                "or name another folder with UNFOLD_DATA."
            )
    except OSError as error:
        raise HostError(
            f"UNFOLD_DATA is {str(data)!r}: it cannot be used ({error}). Name a folder that can be written."
        ) from None


def _listen(settings: Settings, note: Path) -> socket.socket:
    """A listening socket: from now on a connection waits in its queue instead of being refused."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    if settings.port == 0 and (last := _last_port(note)):
        # The last service was killed and its workers may live: they know this port alone.
        with contextlib.suppress(OSError):
            return socket.create_server((settings.host, last), family=family, backlog=BACKLOG)
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise HostError(
            f"UNFOLD_HOST is {settings.host!r}, UNFOLD_PORT is {settings.port}: cannot listen there "
            f"({error.strerror or error}). Choose another port, or 0 for a free one."
        ) from None


def _last_port(note: Path) -> int | None:
    try:
        return httpx.URL(ServiceAddress.model_validate_json(note.read_bytes()).url).port
    except (OSError, ValueError, httpx.InvalidURL):
        return None


def _reachable(host: str) -> str:
    """A host that a client on this machine can connect to, as it stands in a URL."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _store(settings: Settings, *, training: bool) -> Store:
    try:
        store = Store(settings.database)
        claim = Claim.of_this_process(settings.data)
        if training:
            store.claim(claim)
        else:
            store.claim_when_writing(claim)
    except StoreOwned as error:
        raise HostError(_sentences(error)) from error
    except StoreError as error:
        raise HostError(
            f"The database cannot be opened ({shown(settings.database)}): {_sentences(error)} "
            "Correct UNFOLD_STORE if it should be another."
        ) from error
    except Exception as error:
        raise HostError(
            f"The database cannot be opened: {error}. Correct UNFOLD_STORE, or unset it."
        ) from error
    return store


def _sentences(error: StoreError) -> str:
    return ". ".join(text[:1].upper() + text[1:] for text in (error.message, error.remedy)) + "."


def _tidy_after(store: Store, keeper: Housekeeper) -> None:
    """What a command deleted goes before it ends: no service does it afterwards."""
    if store.is_claimed:
        with contextlib.suppress(StoreError):
            keeper.tidy()
