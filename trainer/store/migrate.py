"""Brings a database to the newest tables, with the migrations that ship inside this package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from trainer.store.errors import StoreForeign
from trainer.store.tables import metadata

OURS = frozenset({"runs", "attempts", "checkpoints", "corpora", "names"})
"""Tables that every version of Unfold has."""


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations up to ``revision`` in the connection's transaction.

    Raises:
        StoreForeign: a newer Unfold has written here, or another program.
    """
    known = _revisions()
    found = MigrationContext.configure(connection).get_current_heads()
    if any(each not in known for each in found):
        refuse(connection, ", ".join(found))
    if not found and set(inspect(connection).get_table_names()) & metadata.tables.keys():
        refuse(connection, "")
    command.upgrade(config(connection), revision)


def is_current(connection: Connection) -> bool:
    """Whether the tables are those of this version."""
    return MigrationContext.configure(connection).get_current_heads() == (_revisions()[0],)


def refuse(connection: Connection, revision: str) -> None:
    """Raise what to say of tables that are not of this version or an earlier one."""
    if revision and OURS.issubset(inspect(connection).get_table_names()):
        raise StoreForeign(
            f"the database was written by a newer Unfold (its tables have version {revision}, this one knows "
            f"{_revisions()[0]})",
            "start that version, or name another database",
        )
    raise StoreForeign(
        "the database holds the tables of another program", "name a database of Unfold's own, or a new one"
    )


@cache
def _revisions() -> tuple[str, ...]:
    """Of the migrations here, the newest first."""
    script = ScriptDirectory(str(Path(__file__).parent / "migrations"))
    return tuple(step.revision for step in script.walk_revisions())


def config(connection: Connection) -> Config:
    """Alembic's settings, for migrating over this connection."""
    made = Config()
    # A '%' in the path would be read as an interpolation.
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    made.attributes["connection"] = connection
    return made
