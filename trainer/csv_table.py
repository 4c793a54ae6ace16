"""Tables under their first name; the reading itself is in ``trainer.tables``."""

from trainer.tables import (
    MAX_COLUMNS,
    MAX_NAME,
    MIN_NUMBERS,
    Table,
    TableError,
    column_names,
    read_table,
)

__all__ = ["MAX_COLUMNS", "MAX_NAME", "MIN_NUMBERS", "Table", "TableError", "column_names", "read_table"]
