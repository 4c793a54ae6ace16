"""pyarrow, imported at its first use.

Its import starts threads of its own, and the process that forks workers imports what they need beforehand: a
process with threads must not fork. Besides, only those who have a table wait for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as pacsv
else:

    class _Module:
        """Stands for a module until somebody asks for something in it."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            return getattr(import_module(self._name), name)

    pa, pc, pacsv = _Module("pyarrow"), _Module("pyarrow.compute"), _Module("pyarrow.csv")

__all__ = ["pa", "pacsv", "pc"]
