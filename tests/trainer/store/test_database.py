"""Migrations, and the connections' own promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from tests.trainer.store.making import column, post, queued, report, started
from trainer.store import Store, StoreAway
from trainer.store.database import Database
from trainer.store.migrate import config, upgrade
from trainer.store.tables import metadata


def test_migrating_from_empty_makes_the_tables_that_the_code_uses(url: str) -> None:
    database = Database(url)
    with database.writing() as connection:
        upgrade(connection)
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
        found = inspect(connection)
        for table in metadata.sorted_tables:  # Alembic does not compare these
            assert found.get_pk_constraint(table.name)["constrained_columns"] == [
                column.name for column in table.primary_key
            ]
            assert found.get_check_constraints(table.name) == []
    database.close()


def test_migrating_again_changes_nothing_and_down_again_leaves_no_table(url: str) -> None:
    store = Store(url)
    store.migrate()
    run = queued(store)
    store.migrate()
    assert store.run(run.id) == run
    with store._database.writing() as connection:
        command.downgrade(config(connection), "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
    store.close()


def test_what_was_stored_is_there_when_the_file_is_opened_again(url: str) -> None:
    store = Store(url)
    store.migrate()
    attempt = started(store)
    post(store, attempt, report(step=2, metrics={"loss": column([1, 2])}))
    before = store.run(attempt.run_id), store.metrics([attempt.run_id])
    store.close()
    again = Store(url)
    again.migrate()
    assert (again.run(attempt.run_id), again.metrics([attempt.run_id])) == before
    assert again.is_current_token(attempt.token)
    post(again, attempt, report(1))
    again.close()


def test_readers_cannot_write(store: Store) -> None:
    run = queued(store)
    statement = text("DELETE FROM runs")
    with pytest.raises((StoreAway, DBAPIError)), store._database.reading() as connection:
        connection.execute(statement)
    assert store.run(run.id) == run


def test_sqlite_writes_through_one_connection_with_the_settings_that_keep_data(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new folder' / 'unfold.db'}")
    with database.writing() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}  # 2 is FULL
    assert database._writer.pool.size() == 1  # type: ignore[attr-defined]
    assert database._writer.pool._max_overflow == 0  # type: ignore[attr-defined]
    database.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_store_that_would_vanish_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="UNFOLD_STORE"):
        Store(url)
