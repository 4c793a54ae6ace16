"""Where a promise is tried: an empty folder, an empty database, and services on them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, text

from benchmarks.prove.postgres import Cluster
from benchmarks.prove.promise import POSTGRESQL
from benchmarks.service import Service


class Ground:
    """A context manager; at its end everything that was started on it is gone.

    Args:
        folder: an empty folder.
        database: ``SQLite`` or ``PostgreSQL``, which gets a cluster of its own.
        chosen: where random moments and places come from.
    """

    def __init__(self, folder: Path, database: str, chosen: random.Random) -> None:
        self.folder, self.database, self.chosen = folder, database, chosen
        self.data = folder / "data"
        self.cluster: Cluster | None = None
        self._url: str | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.data.mkdir()
        if self.is_postgresql:
            place = self.folder / "postgresql"
            place.mkdir()
            self.cluster = Cluster(place)
            self._stack.callback(self.cluster.close)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def is_postgresql(self) -> bool:
        return self.database == POSTGRESQL

    @property
    def store(self) -> str:
        """The database's address."""
        if self._url is not None:
            return self._url
        return self.cluster.url() if self.cluster else f"sqlite:///{self.data / 'unfold.db'}"

    @store.setter
    def store(self, url: str) -> None:
        self._url = url

    @property
    def postgresql(self) -> Cluster:
        """The cluster, where the database is PostgreSQL."""
        assert self.cluster is not None
        return self.cluster

    def service(
        self, slots: int = 1, data: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> Service:
        """A service on this database, not started yet: use it in a ``with``."""
        data = data or self.data
        data.mkdir(exist_ok=True)
        return Service(data, slots, {"UNFOLD_STORE": self.store, **(environment or {})}, patience=240)

    @contextmanager
    def sql(self) -> Iterator[Connection]:
        """The database behind the service's back, in a transaction of its own."""
        engine = self.engine()
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def engine(self) -> Engine:
        """SQLAlchemy's, with its usual settings and nothing of ours."""
        return create_engine(self.store.replace("postgresql:", "postgresql+psycopg:"))

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """What a query gives."""
        with self.sql() as connection:
            return list(connection.execute(text(statement), values))
