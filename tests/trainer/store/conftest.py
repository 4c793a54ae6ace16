"""A fresh store for each test: a real SQLite file; on PostgreSQL too where UNFOLD_TEST_POSTGRES names one."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from trainer.store import Store

POSTGRES = os.environ.get("UNFOLD_TEST_POSTGRES", "")
"""Address of a database in which the tests may make schemas: postgresql://user@host:port/name."""


@pytest.fixture(params=["sqlite", *(["postgresql"] if POSTGRES else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'unfold.db'}"
        return
    schema = f"test_{uuid.uuid4().hex}"
    engine = create_engine(
        make_url(POSTGRES).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield f"{POSTGRES}?options=-csearch_path%3D{schema}"
    with engine.connect() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, to be copied: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("store") / "migrated.db"
    store = Store(f"sqlite:///{path}")
    store.migrate()
    store.close()
    return path


@pytest.fixture
def store(url: str, migrated: Path) -> Iterator[Store]:
    if url.startswith("sqlite:///"):
        shutil.copy(migrated, url.removeprefix("sqlite:///"))
    made = Store(url)
    if not url.startswith("sqlite:///"):
        made.migrate()
    yield made
    made.close()
