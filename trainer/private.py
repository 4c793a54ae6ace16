"""The data folder and what lies in it belong to one user: results, logs, and the service's token."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

FOLDERS = frozenset({"logs", "workers"})
"""Those that the service makes in its data folder."""


def keep_private(path: Path) -> None:
    """Take from group and others what they may do with it, if it is there and this user's own."""
    with contextlib.suppress(OSError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            path.chmod(mode & 0o700)


def protect_folder(data: Path) -> None:
    """The same for the data folder, also one that an earlier version made, and for what a service put there.

    A folder that others use as well, as a home or the system's temporary one, keeps its own mode.
    """
    ours = [data / name for name in sorted(FOLDERS)]
    inside = [path for folder in ours if folder.is_dir() for path in folder.iterdir()]
    for path in (*ours, *inside, *data.glob("service.*"), *data.glob("unfold.db*")):
        keep_private(path)
    is_shared = data == Path.home() or data.stat().st_mode & stat.S_ISVTX
    if not is_shared and all(path.name in FOLDERS for path in data.iterdir() if path.is_dir()):
        keep_private(data)
