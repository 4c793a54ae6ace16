"""A PostgreSQL cluster of one's own: made, started, stopped, frozen, and gone with its folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import create_engine

USERS = ("postgres", "nobody")
"""Who runs the server where we are root: it refuses to be root itself."""


def programs() -> Path | None:
    """The folder of initdb and pg_ctl: on the path, or where Debian and Fedora hide them; the newest."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    places = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), *Path("/usr").glob("pgsql-*/bin/initdb")]
    return max(places, key=_version).parent if places else None


def _version(path: Path) -> int:
    digits = "".join(letter for letter in path.parent.parent.name if letter.isdigit())
    return int(digits or 0)


class Cluster:
    """A server on loopback with one user, whose password nobody else knows, and a database ``unfold``.

    Args:
        folder: an empty folder, given to the user who runs the server.
    """

    def __init__(self, folder: Path) -> None:
        found = programs()
        if found is None:
            raise RuntimeError(
                "PostgreSQL is not installed; make prove installs it, or apt-get install postgresql"
            )
        self.folder, self.programs = folder, found
        self.data = folder / "cluster"
        self.password = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = next(entry for entry in map(_user, USERS) if entry is not None)
            self.owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
        self._make()

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        if self.owner:
            os.chown(secret, self.owner["user"], self.owner["group"])
        self._do(
            "initdb",
            *("-D", str(self.data), "-U", "unfold", "-A", "scram-sha-256", "--pwfile", str(secret)),
            *("-E", "UTF8", "--locale", "C", "--no-sync", "--wal-segsize", "1"),
        )
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(
                f"listen_addresses = '127.0.0.1'\nport = {self.port}\n"
                f"unix_socket_directories = '{self.folder}'\nautovacuum_naptime = 5s\n"
            )
        self.start()
        self.execute("CREATE DATABASE unfold", database="postgres")

    def url(self, database: str = "unfold") -> str:
        """As UNFOLD_STORE takes it."""
        return f"postgresql://unfold:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it takes connections; a crashed one recovers first."""
        self._do("pg_ctl", "-D", str(self.data), "-l", str(self.folder / "log"), "-w", "-t", "60", "start")

    def stop(self, mode: str = "fast") -> None:
        """``immediate`` is a crash: no last write, recovery at the next start."""
        self._do("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def execute(self, statement: str, database: str = "unfold") -> None:
        """One statement, outside of a transaction."""
        engine = create_engine(
            self.url(database).replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def processes(self) -> list[psutil.Process]:
        """The server and everything that it started."""
        try:
            postmaster = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
            return [postmaster, *postmaster.children(recursive=True)]
        except (OSError, ValueError, psutil.Error):
            return []

    def send(self, number: signal.Signals) -> None:
        """A signal to all of its processes: SIGSTOP makes a server that hangs, SIGCONT ends it."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def close(self) -> None:
        """End it, whatever state it is in."""
        processes = self.processes()
        self.send(signal.SIGCONT)
        for process in processes[:1]:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGQUIT)  # at once, and without a shared memory segment left
        for process in psutil.wait_procs(processes, timeout=10)[1]:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def _do(self, program: str, *arguments: str) -> None:
        # pg_ctl's server would hold a pipe of ours open for as long as it lives: so a file.
        told = self.folder / f"{program}.txt"
        with told.open("wb") as output:
            done = subprocess.run(
                [str(self.programs / program), *arguments],
                cwd=self.folder,
                env={**os.environ, "UNFOLD_DATA": str(self.folder)},  # a mark, see processes.py
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                **self.owner,
            )
        if done.returncode:
            raise RuntimeError(f"{program}: {told.read_text()[-1500:]}")


def _user(name: str) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name)
    return None
