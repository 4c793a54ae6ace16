"""A file for each worker, by which the next service finds those that outlived this one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from trainer import descriptors

Key = tuple[UUID, int]
"""A run, and the number of its attempt."""


@dataclass(frozen=True)
class Record:
    """What is kept of a worker."""

    pid: int
    began: str
    """What tells its process from others that get the same pid, see ``identity``."""
    url: str
    """Where it reports to."""


class Records:
    """The files, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Make the folder."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, key: Key, record: Record) -> None:
        """Keep a worker's record. Raises OSError."""
        path = self._path(key)
        part = path.with_suffix(".part")  # a service that is killed meanwhile leaves no half of a record
        descriptors.patient(lambda: part.write_text(json.dumps(vars(record))))
        part.replace(path)

    def read(self, key: Key) -> Record | None:
        """A worker's record; None where there is none, or none that can be understood.

        Raises:
            OSError: there may be one, but it cannot be read now.
        """
        try:
            found = json.loads(descriptors.patient(self._path(key).read_text))
            return Record(int(found["pid"]), str(found["began"]), str(found["url"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def remove(self, key: Key) -> None:
        """Forget a worker. Raises OSError."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: Key) -> Path:
        return self._folder / f"{key[0]}-{key[1]}.json"
