"""Processes of this service, started from one server process that has imported torch already.

``multiprocessing`` has one forkserver per process, and reads an exit code from a pipe that gives it once,
which both ``Process.start()`` and ``Process.join()`` do for every child. So whoever starts or joins one, the
engine or an inspection, holds ``LOCK`` meanwhile.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Iterator
from multiprocessing.context import BaseContext

from trainer.settings import ROOT

LOCK = threading.RLock()

PRELOAD = ("trainer.worker", "trainer.inspection.child")
"""What the forkserver imports, so that neither a run nor an inspection has to wait for it."""

FORKS = "forkserver" in multiprocessing.get_all_start_methods()


def context() -> BaseContext:
    """forkserver, or spawn where there is none."""
    return multiprocessing.get_context("forkserver" if FORKS else "spawn")


def preload(modules: tuple[str, ...] = PRELOAD) -> None:
    """Say what the forkserver shall import; once it runs, this changes nothing."""
    if FORKS:
        multiprocessing.set_forkserver_preload(list(modules))


@contextlib.contextmanager
def environment() -> Iterator[None]:
    """What a forkserver must find around it, while one may be started.

    It does not take over this process's import path (CPython before 3.12), so it gets the path by variable.
    OpenBLAS would start threads as NumPy is imported, and a process with threads must not fork.
    """
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    wanted = {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
