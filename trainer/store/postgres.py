"""Connections to PostgreSQL that do not wait for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL

CONNECT_SECONDS = 3
ANSWER_SECONDS = 6.0
"""Longest wait for the answer to a statement. The server is told, and gives up a second earlier."""
PING_SECONDS = 2.0
IDLE_SECONDS = 30
"""After which the server ends a transaction whose client says nothing: a service that was paused."""
POOL_SECONDS = 3.0
"""Longest wait for a free connection."""
BYTES_A_SECOND = 10_000_000
"""What a slow server writes, for statements that carry a lot."""

_OPTIONS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # ms
    "application_name": "unfold",
}


class PatientConnection(psycopg.Connection[Any]):
    """A connection that closes itself when an answer takes longer than ``patience``.

    The server's own statement_timeout does not help when the server hangs, nor do TCP's time-outs as long as
    its machine acknowledges.
    """

    patience = ANSWER_SECONDS

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        patience = self.patience if timeout is None else timeout
        end = time.monotonic() + patience
        try:
            return super().wait(gen, interval, patience)
        except psycopg.OperationalError as error:
            if timeout is not None or time.monotonic() < end:
                raise
            self.close()  # what it says later would be taken for the answer to another statement
            raise psycopg.OperationalError(f"the server did not answer within {patience:.0f} s") from error


def options(url: URL) -> dict[str, Any]:
    """Time-outs of a connection, but for those that the address sets itself."""
    return {name: value for name, value in _OPTIONS.items() if name not in url.query}


def prepare(engine: Engine) -> None:
    """Make the engine's connections patient ones."""

    def connect(_dialect: Any, _record: Any, arguments: Any, parameters: Any) -> PatientConnection:
        return PatientConnection.connect(*arguments, **parameters)

    def connected(connection: PatientConnection, _record: Any) -> None:
        connection.execute(f"SET statement_timeout = {_milliseconds(ANSWER_SECONDS)}")
        connection.execute(f"SET idle_in_transaction_session_timeout = {IDLE_SECONDS * 1000}")
        connection.commit()

    # The pool asks a connection for a sign of life before it hands it out, which is quick or never comes.
    def returned(connection: PatientConnection | None, _record: Any) -> None:
        if connection is not None:
            connection.patience = PING_SECONDS

    def handed_out(connection: PatientConnection, _record: Any, _proxy: Any) -> None:
        connection.patience = ANSWER_SECONDS

    event.listen(engine, "checkin", returned)
    event.listen(engine, "checkout", handed_out)
    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", connected)


@contextmanager
def allowing(connection: Connection, seconds: float) -> Iterator[None]:
    """Let each statement of this transaction take so long."""
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, PatientConnection)
    driver.patience = seconds
    try:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_milliseconds(seconds)}")
        yield
    finally:
        driver.patience = ANSWER_SECONDS


def seconds_for(size: int) -> float:
    """How long a statement may take that carries so many bytes."""
    return ANSWER_SECONDS + size / BYTES_A_SECOND


def _milliseconds(seconds: float) -> int:
    return round(1000 * (seconds - 1.0))
