"""Connections: one writer behind a lock, and readers that cannot write.

SQLite below 3.51.3 can lose a transaction when two connections write to one WAL at the wrong moment (the
"WAL-reset" bug), so exactly one connection writes here, and it alone checkpoints.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from trainer.store.errors import StoreAway

BUSY_MILLISECONDS = 10_000


@contextmanager
def _told() -> Iterator[None]:
    """Trouble of the database itself, as an exception of ours."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreAway(
            f"the database does not do its work: {cause}",
            "see that it runs and that its disk has room; what was not stored can be sent again",
        ) from error


class Database:
    """An opened database: ``writing()`` and ``reading()`` give connections inside a transaction."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._lock = threading.RLock()
        if self.is_sqlite:
            if not parsed.database or parsed.database == ":memory:":
                raise ValueError(
                    "UNFOLD_STORE names no SQLite file; write sqlite:////absolute/path/unfold.db"
                )
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self._writer = self._engine(parsed, writes=True)
        with self._writer.connect():  # makes the file and sets WAL before any reader opens
            pass
        self._readers = self._engine(parsed, writes=False)

    def _engine(self, url: URL, *, writes: bool) -> Engine:
        size: dict[str, Any] = {"pool_size": 1 if writes else 5, "max_overflow": 0 if writes else 40}
        if not self.is_sqlite:
            options = {} if writes else {"execution_options": {"postgresql_readonly": True}}
            return create_engine(
                url, pool_pre_ping=True, isolation_level="REPEATABLE READ", **size, **options
            )
        engine = create_engine(url, connect_args={"check_same_thread": False}, **size)
        pragmas = [f"busy_timeout={BUSY_MILLISECONDS}", "foreign_keys=ON", "synchronous=FULL"]
        if writes:
            pragmas += ["journal_mode=WAL", "cache_size=-32768", "journal_size_limit=67108864"]
        else:
            pragmas += ["query_only=ON", "wal_autocheckpoint=0"]

        def connected(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # we say BEGIN ourselves, see below
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}").close()

        def begun(connection: Connection) -> None:
            # IMMEDIATE takes the write lock at once; taking it after a first read may fail.
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        event.listen(engine, "connect", connected)
        event.listen(engine, "begin", begun)
        return engine

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction that commits at the end, or is undone by an exception."""
        with _told(), self._lock, self._writer.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one consistent state and cannot write."""
        with _told(), self._readers.connect() as connection:
            yield connection

    def check(self) -> None:
        """Raises StoreAway unless a query comes back."""
        with self.reading() as connection:
            connection.execute(text("SELECT 1")).scalar_one()

    def close(self) -> None:
        """Close every connection, the writer last."""
        with self._lock:
            self._readers.dispose()
            self._writer.dispose()
