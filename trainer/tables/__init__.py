"""Reads tables: columns of numbers in a file as people and programs write them.

No torch here: the service reads uploads as they arrive.
"""

from trainer.tables.convention import Choice
from trainer.tables.encoding import decoded, is_wide
from trainer.tables.errors import TableError
from trainer.tables.layout import MAX_COLUMNS, SEPARATORS
from trainer.tables.reading import MAX_NAME, MIN_NUMBERS, UNDECLARED, Table, column_names, guessed, read_table

__all__ = [
    "MAX_COLUMNS",
    "MAX_NAME",
    "MIN_NUMBERS",
    "SEPARATORS",
    "UNDECLARED",
    "Choice",
    "Table",
    "TableError",
    "column_names",
    "decoded",
    "guessed",
    "is_wide",
    "read_table",
]
