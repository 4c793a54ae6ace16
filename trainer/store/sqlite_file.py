"""The file of a SQLite database: who may read it, and what it gives back to the disk.

A new file is made with ``auto_vacuum=INCREMENTAL``, so that pages which a deletion left empty can be handed
back a few at a time. A file from before that needs one VACUUM, which writes all of it anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from trainer.private import keep_private

logger = logging.getLogger(__name__)

PAGES = 500
"""Given back in one go, with no other write meanwhile: some milliseconds."""
WORTH_BYTES = 8 * 2**20
"""An old file is written anew when at least this is empty in it, and a tenth of it."""
INCREMENTAL = 2


def protect(path: Path) -> None:
    """Make the file if it is not there; let its user alone read and write it and what lies beside it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # what cannot be made is told when it is opened
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        keep_private(each)


def give_back(connection: sqlite3.Connection, keep: int = 0) -> int:
    """Hand some of the empty pages back to the disk, but for ``keep`` bytes; how many pages it were."""
    if _value(connection, "auto_vacuum") != INCREMENTAL:
        return 0
    spare = _value(connection, "freelist_count") - keep // _value(connection, "page_size")
    pages = max(0, min(spare, PAGES))
    if pages:
        # A script is run to its end; a statement without columns would stop after its first page.
        connection.executescript(f"PRAGMA incremental_vacuum({pages})")
    return pages


def truncate_log(connection: sqlite3.Connection) -> bool:
    """Write the write-ahead log into the file and empty it; False where a reader forbids it."""
    wait = _value(connection, "busy_timeout")
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        busy, _frames, _written = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {wait}")
    return not busy


def is_worth_rewriting(connection: sqlite3.Connection) -> bool:
    """Whether this is an old file with so much empty space that writing it anew pays."""
    if _value(connection, "auto_vacuum") == INCREMENTAL:
        return False
    empty, pages = _value(connection, "freelist_count"), _value(connection, "page_count")
    return empty * _value(connection, "page_size") >= WORTH_BYTES and empty * 10 >= pages


def has_room_to_rewrite(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the disk holds the copy and the log that a VACUUM writes, each as large as what is in use."""
    used = _value(connection, "page_count") - _value(connection, "freelist_count")
    need = 2.2 * used * _value(connection, "page_size")
    free = shutil.disk_usage(path.parent).free
    if free < need:
        logger.warning(
            "%s could be made smaller; that needs %.0f MB of free disk for a while, and there are %.0f",
            path,
            need / 1e6,
            free / 1e6,
        )
    return free >= need


def rewrite(connection: sqlite3.Connection, is_wanted: Callable[[], bool]) -> bool:
    """Write the whole file anew, without its empty pages; False where it stopped, as it was wanted."""
    connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
    connection.set_progress_handler(is_wanted, 100)
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return False
    finally:
        connection.set_progress_handler(None, 0)
    return True


def _value(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
