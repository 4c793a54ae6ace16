"""Connections: one writer behind a lock, and readers that cannot write.

SQLite below 3.51.3 can lose a transaction when two connections write to one WAL at the wrong moment (the
"WAL-reset" bug), so exactly one connection writes here, and it alone checkpoints.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RootTransaction, create_engine, event, func, make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from trainer.store import postgres, sqlite_file
from trainer.store.absence import Absence
from trainer.store.errors import StoreAway
from trainer.store.trouble import is_out_of_reach, told

BUSY_MILLISECONDS = 10_000
WRITER_SECONDS = {"sqlite": 60.0, "postgresql": 8.0}
"""Longest wait for other writes of this process to be over."""
MIGRATION_BYTES = 6 * 10**9
"""As much time as these: ten minutes."""
MIGRATION_LOCK = 8763
"""PostgreSQL's advisory lock of whoever changes tables or the owner."""
SERIALIZATION_FAILURE = "40001"


class Database:
    """An opened database: ``writing()`` and ``reading()`` give connections inside a transaction."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.path: Path | None = None
        """Of the SQLite file."""
        self.fence: Callable[[Connection], None] | None = None
        """Called at the beginning of every transaction that writes; forbids it by an exception."""
        self.before_writing: Callable[[], None] = lambda: None
        """Called before a transaction that writes is begun."""
        self._absence = Absence()
        self._lock = threading.RLock()
        self._counting = threading.Lock()
        self._waiting = 0
        if self.is_sqlite:
            if not parsed.database or parsed.database == ":memory:":
                raise ValueError(
                    "UNFOLD_STORE names no SQLite file; write sqlite:////absolute/path/unfold.db"
                )
            self.path = Path(parsed.database)
            sqlite_file.protect(self.path)
        self._writer = self._engine(parsed, writes=True)
        with self._told(), self._writer.connect():  # makes the file and sets WAL before any reader opens
            pass
        self._readers = self._engine(parsed, writes=False)

    def _engine(self, url: URL, *, writes: bool) -> Engine:
        size: dict[str, Any] = {"pool_size": 1 if writes else 5, "max_overflow": 0 if writes else 40}
        if not self.is_sqlite:
            options = {} if writes else {"execution_options": {"postgresql_readonly": True}}
            engine = create_engine(
                url,
                pool_pre_ping=True,
                pool_timeout=postgres.POOL_SECONDS,
                isolation_level="REPEATABLE READ",
                connect_args=postgres.options(url),
                **size,
                **options,
            )
            postgres.prepare(engine)
            return engine
        engine = create_engine(url, connect_args={"check_same_thread": False}, **size)
        pragmas = [f"busy_timeout={BUSY_MILLISECONDS}", "foreign_keys=ON", "synchronous=FULL"]
        if writes:
            # auto_vacuum first: it can be set as long as the file is empty, and WAL writes its first page.
            pragmas += [f"auto_vacuum={sqlite_file.INCREMENTAL}"]
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
    def writing(self, size: int = 0) -> Iterator[Connection]:
        """A connection in a transaction that commits at the end, or is undone by an exception.

        Args:
            size: bytes that it will carry, as far as they are many.
        """
        self.before_writing()
        with (
            self._told(),
            self._alone(),
            self._writer.connect() as connection,
            self._begun(connection),
            self._allowing(connection, size),
        ):
            yield connection

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """The same for one process at a time, whoever owns the database, and with time for large tables."""
        with self._told(), self._alone(), self._writer.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin(), self._allowing(connection, MIGRATION_BYTES):
                if not self.is_sqlite:
                    connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one consistent state and cannot write."""
        with self._told(), self._readers.connect() as connection:
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

    # --- What a SQLite file gives back to the disk; PostgreSQL's autovacuum does as much by itself -----

    def give_back(self, keep: int) -> int:
        """Hand a few empty pages back to the disk, but for ``keep`` bytes; how many pages it were."""
        with self._raw_writer() as connection:
            return 0 if connection is None else sqlite_file.give_back(connection, keep)

    def truncate_log(self) -> bool:
        """Make the file as small as what it holds, and the write-ahead log empty; False while it is read."""
        with self._raw_writer() as connection:
            return connection is None or sqlite_file.truncate_log(connection)

    def is_worth_rewriting(self) -> bool:
        """Whether this is an old, large, emptied file, and the disk has room to write it anew."""
        with self._raw_writer() as connection:
            return (
                connection is not None
                and self.path is not None
                and sqlite_file.is_worth_rewriting(connection)
                and sqlite_file.has_room_to_rewrite(connection, self.path)
            )

    def rewrite(self) -> bool:
        """Write an old file anew, without its empty pages; stop, and say False, as soon as someone writes."""
        with self._raw_writer() as connection:
            return connection is not None and sqlite_file.rewrite(connection, lambda: self._waiting > 0)

    @contextmanager
    def _raw_writer(self) -> Iterator[sqlite3.Connection | None]:
        """SQLite's own connection outside of any transaction; None with PostgreSQL."""
        if not self.is_sqlite:
            yield None
            return
        with self._told(), self._alone():
            pooled = self._writer.raw_connection()
            try:
                connection = pooled.driver_connection
                assert isinstance(connection, sqlite3.Connection)
                yield connection
            except sqlite3.Error as error:
                raise OperationalError(None, None, error) from error
            finally:
                pooled.close()

    # --- Plumbing --------------------------------------------------------------------------------------

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Trouble of the database itself, as an exception of ours."""
        self._absence.check()
        try:
            yield
        except SQLAlchemyError as error:
            found = told(error)
            if found is None:
                self._absence.answered()
                raise
            if isinstance(found, StoreAway):
                self._absence.failed(found, out_of_reach=is_out_of_reach(error))
            raise found from error
        except StoreAway as error:  # of the writer's lock
            self._absence.failed(error, out_of_reach=False)
            raise
        except BaseException:  # of those who use the connection
            self._absence.answered()
            raise
        self._absence.answered()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the writer's lock; whoever rewrites the file lets go of it."""
        with self._counting:
            self._waiting += 1
        try:
            seconds = WRITER_SECONDS["sqlite" if self.is_sqlite else "postgresql"]
            if not self._lock.acquire(timeout=seconds):
                raise StoreAway(
                    f"other writes to the database were not over after {seconds:.0f} s",
                    "see that the database and its disk do their work, then try again",
                )
        finally:
            with self._counting:
                self._waiting -= 1
        try:
            yield
        finally:
            self._lock.release()

    def _begun(self, connection: Connection) -> RootTransaction:
        """A transaction that the database's owner may write in."""
        transaction = connection.begin()
        if self.fence is None:
            return transaction
        try:
            self.fence(connection)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != SERIALIZATION_FAILURE:
                raise
            # Somebody took the database over just now: look again.
            transaction.rollback()
            transaction = connection.begin()
            self.fence(connection)
        return transaction

    def _allowing(self, connection: Connection, size: int) -> contextlib.AbstractContextManager[None]:
        """Time for statements that carry so many bytes."""
        if self.is_sqlite or not size:
            return contextlib.nullcontext()
        return postgres.allowing(connection, postgres.seconds_for(size))


def shown(url: str) -> str:
    """A database's address without its password."""
    return make_url(url).render_as_string()
