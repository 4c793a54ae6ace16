"""A PostgreSQL server that does not answer is given up after seconds, by every thread that asks it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from trainer.store import Store, StoreAway, StoreDamaged, StoreFull, StoreReadOnly, postgres
from trainer.store.database import shown
from trainer.store.trouble import is_out_of_reach, told


@contextmanager
def silent_server() -> Iterator[int]:
    """Accepts every connection and never says a word; its port."""
    held = []
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
    for connection in held:
        connection.close()


def test_a_server_that_accepts_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgres._OPTIONS, "connect_timeout", 2)  # libpq's least
    with silent_server() as port, pytest.raises(StoreAway, match="timeout"):
        Store(f"postgresql://user:secret@127.0.0.1:{port}/name")


def test_the_address_may_set_a_time_out_of_its_own() -> None:
    address = "postgresql://u@h/n"
    assert postgres.options(make_url(address))["connect_timeout"] == postgres.CONNECT_SECONDS
    assert "connect_timeout" not in postgres.options(make_url(f"{address}?connect_timeout=30"))


def test_a_password_is_not_shown() -> None:
    assert shown("postgresql://user:secret@host/name") == "postgresql://user:***@host/name"


class Server:
    """Speaks PostgreSQL's protocol as far as a statement without results needs, until it falls silent."""

    def __init__(self) -> None:
        self.silent = False
        self.heard: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as connection, connection.makefile("rb") as said:
            said.read(struct.unpack(">I", said.read(4))[0] - 4)
            connection.sendall(_message(b"R", struct.pack(">I", 0)) + _message(b"Z", b"I"))  # welcome
            while kind := said.read(1):
                self.heard.append(said.read(struct.unpack(">I", said.read(4))[0] - 4))
                if kind == b"Q" and not self.silent:
                    connection.sendall(_message(b"C", b"SET\0") + _message(b"Z", b"I"))


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack(">I", 4 + len(content)) + content


def test_a_statement_without_an_answer_closes_its_connection() -> None:
    server = Server()
    connection = postgres.PatientConnection.connect(
        f"host=127.0.0.1 port={server.port} user=u dbname=n sslmode=disable gssencmode=disable",
        autocommit=True,
    )
    connection.patience = 0.3
    connection.execute("SET a = 1")
    server.silent = True
    with pytest.raises(psycopg.OperationalError, match="did not answer within"):
        connection.execute("SET a = 2")
    assert connection.closed
    assert server.heard[:2] == [b"SET a = 1\0", b"SET a = 2\0"]


CASES = [
    (psycopg.errors.DiskFull("no space left on device"), StoreFull),
    (psycopg.errors.ReadOnlySqlTransaction("cannot execute"), StoreReadOnly),
    (psycopg.errors.InsufficientPrivilege("permission denied"), StoreReadOnly),
    (psycopg.errors.DataCorrupted("invalid page"), StoreDamaged),
    (psycopg.errors.QueryCanceled("statement timeout"), StoreAway),
    (psycopg.errors.AdminShutdown("terminating connection"), StoreAway),
    (psycopg.OperationalError("connection refused"), StoreAway),
]


@pytest.mark.parametrize(("cause", "kind"), CASES)
def test_what_the_server_says_is_told_as_what_it_is(cause: psycopg.Error, kind: type[StoreAway]) -> None:
    error = DBAPIError.instance("SELECT", None, cause, psycopg.Error, dialect=None)
    found = told(error)
    assert type(found) is kind
    assert str(cause) in found.message
    assert found.remedy


def test_a_server_that_is_away_is_told_from_one_that_refuses() -> None:
    away = (psycopg.OperationalError("connection refused"), psycopg.errors.AdminShutdown("bye"))
    refuses = (psycopg.errors.QueryCanceled("statement timeout"), psycopg.errors.DiskFull("full"))
    assert all(is_out_of_reach(OperationalError("", None, cause)) for cause in away)
    assert not any(is_out_of_reach(OperationalError("", None, cause)) for cause in refuses)


def test_a_fault_of_a_statement_is_no_trouble_of_the_database() -> None:
    error = DBAPIError.instance("SELECT", None, psycopg.errors.SyntaxError("x"), psycopg.Error, dialect=None)
    assert told(error) is None
