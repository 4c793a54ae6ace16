"""What a driver's error means to a person: the database is away, full, damaged, not to be written."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from trainer.store.errors import StoreAway, StoreDamaged, StoreError, StoreFull, StoreReadOnly

Kinds = tuple[tuple[str, type[StoreError]], ...]

_SQLITE: Kinds = (
    ("SQLITE_FULL", StoreFull),
    ("SQLITE_READONLY", StoreReadOnly),
    ("SQLITE_CORRUPT", StoreDamaged),
    ("SQLITE_NOTADB", StoreDamaged),
    ("SQLITE_IOERR_SHORT_READ", StoreDamaged),
    ("SQLITE_IOERR_CORRUPTFS", StoreDamaged),
)
"""By the beginning of SQLite's own name for its result."""
_POSTGRESQL: Kinds = (
    ("53100", StoreFull),  # disk_full
    ("25006", StoreReadOnly),  # read_only_sql_transaction: a standby, or a server set so
    ("42501", StoreReadOnly),  # insufficient_privilege
    ("XX001", StoreDamaged),  # data_corrupted
    ("XX002", StoreDamaged),  # index_corrupted
)
"""By SQLSTATE."""
_OUT_OF_REACH = ("08", "57P")
"""Beginnings of the SQLSTATEs of a server that is shutting down, starting, or cut off."""


def told(error: SQLAlchemyError) -> StoreError | None:
    """The same as an exception of ours; None where the fault is a statement's and not the database's."""
    cause: BaseException = getattr(error, "orig", None) or error
    kind = _kind(error, cause)
    if kind is None:
        return None
    words = _one_line(cause)
    if issubclass(kind, StoreFull):
        return kind(
            f"the disk that holds the database is full: {words}",
            "make room; runs hold what they have to say for ten minutes and go on by themselves",
        )
    if issubclass(kind, StoreReadOnly):
        return kind(
            f"the database can be read but not written: {words}",
            "let this user write the file and its folder, or the tables of the server",
        )
    if getattr(cause, "sqlite_errorname", None) == "SQLITE_NOTADB":
        return kind("the file is not a SQLite database, or its beginning is damaged", "name another file")
    if issubclass(kind, StoreDamaged):
        return kind(
            f"the database is damaged: {words}",
            "stop the service and put a copy in its place, or save what can be read with sqlite3's .recover"
            if _is_sqlite(cause)
            else "see the server's log, and put a backup in its place",
        )
    return kind(
        f"the database does not do its work: {words}",
        "see that it runs and that its disk has room; what was not stored can be sent again",
    )


def is_out_of_reach(error: SQLAlchemyError) -> bool:
    """Whether the server itself is away, so that the next request would wait for it in vain as well."""
    cause = getattr(error, "orig", None)
    if cause is None or _is_sqlite(cause):
        return False
    state = getattr(cause, "sqlstate", None)
    return state is None or state.startswith(_OUT_OF_REACH)


def _kind(error: SQLAlchemyError, cause: BaseException) -> type[StoreError] | None:
    if isinstance(error, DBAPIError):
        name = getattr(cause, "sqlite_errorname", None) or ""
        state = getattr(cause, "sqlstate", None) or ""
        for code, kinds in ((name, _SQLITE), (state, _POSTGRESQL)):
            for beginning, kind in kinds:
                if code.startswith(beginning):
                    return kind
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return StoreAway
    return None


def _is_sqlite(cause: BaseException) -> bool:
    return type(cause).__module__ == "sqlite3"


def _one_line(cause: BaseException) -> str:
    return " ".join(str(cause).split()) or type(cause).__name__
