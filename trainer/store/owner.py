"""Which service works with the database: one row with a sign of life, and a check before every write.

Two services on one database would end each other's runs, so the second is refused. A service that was killed
leaves its row behind: on the same machine its process is seen to be gone, on another its sign of life grows
old by the database's own clock. A service that was merely paused for as long finds its row taken when it goes
on, in the very transaction that would have written.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import secrets
import socket
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, delete, insert, inspect, literal_column, select, update

from trainer.engine import identity
from trainer.engine.identity import Life
from trainer.store.database import Database
from trainer.store.errors import StoreLost, StoreOwned
from trainer.store.migrate import upgrade
from trainer.store.tables import owner

logger = logging.getLogger(__name__)

BEAT_SECONDS = 4.0
"""Between two signs of life."""
EXPIRES_SECONDS = 20.0
"""After the last of them the database is free for another machine's service."""
_CLOCKS = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
}
"""The database's time in microseconds since 1970."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """Who wants to work with a database."""

    host: str
    machine: str
    """Tells whether process ids of two claims can be compared: the same start of the same system."""
    pid: int
    started: float
    """When the process began, by a clock that nobody sets: with the pid, this names it for good."""
    data: str
    """The service's data folder."""
    key: str = dataclasses.field(default_factory=lambda: secrets.token_urlsafe(16))

    @classmethod
    def of_this_process(cls, data: Path) -> Claim:
        pid = os.getpid()
        return cls(
            host=socket.gethostname()[:255],
            machine=_machine(),
            pid=pid,
            started=_began(pid),
            data=str(data),
        )


class Ownership:
    """A claim on a database: taken, kept alive, checked before every write, given back.

    Args:
        database: whose writes are checked from the moment of taking on.
        claim: who takes it.
    """

    def __init__(self, database: Database, claim: Claim) -> None:
        self._database, self._claim = database, claim
        self._is_taken = False
        self._lock = threading.Lock()

    def take_when_writing(self) -> None:
        """Take it before the first write, if there is one."""
        self._database.before_writing = self.take

    def take(self) -> None:
        """Become the owner, and bring the tables to this version; at once if it already is.

        Raises:
            StoreOwned: another service is.
        """
        with self._lock:
            if not self._is_taken:
                self._take()
                self._is_taken = True
                self._database.before_writing = _nothing

    def beat(self, ahead: float = 0.0) -> None:
        """Give a sign of life; ``ahead`` dates it so many seconds later, before work that allows none."""
        with self._database.writing() as connection:
            now = _now(connection) + int(ahead * 1e6)
            connection.execute(update(owner).where(owner.c.key == self._claim.key).values(seen_at=now))

    @property
    def is_taken(self) -> bool:
        return self._is_taken

    def release(self) -> None:
        """Let the next service have the database at once."""
        if self._is_taken:
            self._is_taken = False
            with self._database.writing() as connection:
                connection.execute(delete(owner).where(owner.c.key == self._claim.key))

    def _take(self) -> None:
        observed: int | None = None
        end = time.monotonic() + EXPIRES_SECONDS
        while True:
            with self._database.migrating() as connection:
                found = current(connection, keep=True)
                if (
                    found is None
                    or _is_dead(found, self._claim)
                    or _has_expired(connection, found)
                    or (found.seen_at == observed and time.monotonic() > end)
                ):
                    upgrade(connection)
                    _write(connection, self._claim)
                    break
            if found.machine == self._claim.machine or observed not in (None, found.seen_at):
                raise StoreOwned(*_told(found))
            if observed is None:
                logger.warning("%s; waiting for another sign of life, or for none", _told(found)[0])
            observed = found.seen_at
            time.sleep(0.5)
        self._database.fence = self._fence

    def _fence(self, connection: Connection) -> None:
        """Raise StoreLost unless this claim holds, and let nobody take it before the transaction ends."""
        held = select(owner.c.key).where(owner.c.id == 1)
        if connection.dialect.name != "sqlite":  # which has one writer at a time anyway
            held = held.with_for_update(read=True)
        key = connection.execute(held).scalar_one_or_none()
        if key == self._claim.key:
            return
        found = current(connection)
        raise StoreLost(
            f"this service gave no sign of life for {EXPIRES_SECONDS:.0f} s, and its database went to "
            f"{'another one' if found is None else _who(found)}",
            "it writes nothing more and ends; use the other one",
        )


def current(connection: Connection, *, keep: bool = False) -> Any:
    """The owner's row, or None; ``keep`` lets nobody change it before the transaction ends."""
    if not inspect(connection).has_table(owner.name):
        return None
    row = select(*owner.c).where(owner.c.id == 1)
    if keep and connection.dialect.name != "sqlite":
        row = row.with_for_update()
    return connection.execute(row).one_or_none()


def _nothing() -> None:
    """Before a write that needs no more preparation."""


def _write(connection: Connection, claim: Claim) -> None:
    now = _now(connection)
    connection.execute(delete(owner))
    values = {**dataclasses.asdict(claim), "id": 1, "since": now, "seen_at": now}
    connection.execute(insert(owner), values)


def _now(connection: Connection) -> int:
    return int(connection.execute(select(literal_column(_CLOCKS[connection.dialect.name]))).scalar_one())


def _has_expired(connection: Connection, found: Any) -> bool:
    return _now(connection) - int(found.seen_at) > EXPIRES_SECONDS * 1e6


def _is_dead(found: Any, claim: Claim) -> bool:
    """Whether the owner was a process of this very system and is no more."""
    if found.machine != claim.machine:
        return False
    life = identity.life(found.pid)
    try:
        return life is Life.GONE or (life is Life.ALIVE and abs(_began(found.pid) - found.started) >= 2.0)
    except OSError:  # the system does not say
        return False


def _began(pid: int) -> float:
    """When a process began: in clock ticks since the start of the system, which ``machine`` names.

    Raises:
        OSError: the system does not say, or there is no such process.
    """
    began = identity.began(pid)
    if began is None:
        raise ProcessLookupError(pid)
    return float(began.rpartition(" ")[2])


def _who(found: Any) -> str:
    return f"process {found.pid} on {found.host} (data folder {found.data})"


def _told(found: Any) -> tuple[str, str]:
    """Who owns the database since when, and what to do."""
    since, seen = (
        datetime.fromtimestamp(at / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        for at in (found.since, found.seen_at)
    )
    return (
        f"another service works with this database: {_who(found)}, since {since}, last sign of life {seen}",
        "use that service, or stop it first, or name another database with UNFOLD_STORE; if it is gone, the "
        f"database is free {EXPIRES_SECONDS:.0f} s after its last sign of life",
    )


def _machine() -> str:
    """One start of one system, as far as process ids go: a container has its own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return f"{uuid.getnode():x} {socket.gethostname()[:100]} {psutil.boot_time():.0f}"
