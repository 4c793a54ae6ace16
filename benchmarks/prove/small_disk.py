"""A disk that can be filled and emptied while something writes to it.

A file system of a few MB in memory where this process may mount one; elsewhere the system's limit on the
size of a file, set and lifted from outside: there, too, writing fails.
"""

from __future__ import annotations

import contextlib
import resource
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

CHUNK = bytes(64 * 1024)
LEAST = 4 * 2**20
"""Bytes that a file may have in any case: PostgreSQL's log of a MB each, without which it would crash."""


class SmallDisk:
    """A context manager around ``folder``, which must be empty.

    Args:
        folder: where it is.
        megabytes: its size.
        writers: gives the processes that write to it, for the second way.
    """

    def __init__(self, folder: Path, megabytes: int, writers: Callable[[], Sequence[psutil.Process]]) -> None:
        self.folder, self.megabytes, self._writers = folder, megabytes, writers
        self._ballast = folder / "ballast"
        self.is_mounted = False

    def __enter__(self) -> SmallDisk:
        self.folder.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={self.megabytes}m,mode=0777", "tmpfs", str(self.folder)],
            capture_output=True,
            check=False,
        )
        self.is_mounted = done.returncode == 0
        return self

    def __exit__(self, *error: object) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)

    @property
    def how(self) -> str:
        """Which way it is."""
        return f"a file system of {self.megabytes} MB" if self.is_mounted else "the limit on a file's size"

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """No byte more fits in."""
        if self.is_mounted:
            self._fill()
        else:
            self._limit(max([LEAST, *(path.stat().st_size for path in self._files())]))
        try:
            yield
        finally:
            if self.is_mounted:
                self._ballast.unlink()
            else:
                self._limit(resource.RLIM_INFINITY)

    def top_up(self) -> None:
        """Fill what has come free: a log that was cut, a file that was dropped."""
        if self.is_mounted:
            self._fill()

    def _fill(self) -> None:
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while True:
                file.write(CHUNK)

    def _files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def _limit(self, size: int) -> None:
        for process in self._writers():
            with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
                _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, hard))
