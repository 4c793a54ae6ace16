"""The old name of ``trainer.tables``, for programs that import it."""

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
