"""Processes of this service, started from one server process that has imported torch already.

``multiprocessing`` has one forkserver per process, and reads an exit code from a pipe that gives it once,
which both ``Process.start()`` and ``Process.join()`` do for every child. So whoever starts or joins one, the
engine or an inspection, holds ``LOCK`` meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

from trainer import descriptors
from trainer.settings import ROOT

logger = logging.getLogger(__name__)

LOCK = threading.RLock()

START_SECONDS = 180.0
"""How long the forkserver may take to make a process, its own imports included, before it is replaced."""

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


def launch(modules: tuple[str, ...]) -> None:
    """Start the forkserver, if none runs; it imports these modules while this process goes on.

    From the thread that goes on to import torch: NumPy and Lightning change the environment as they are
    imported, which must not meet the start of a process in another thread (see ``prepare``).
    """
    if FORKS:
        with LOCK:
            preload(modules)
            forkserver.ensure_running()


def start(process: BaseProcess) -> None:
    """Start a process, and wait until it is there: at once, or as long as a new forkserver needs to come up.

    Raises:
        Exception: whatever went wrong. The forkserver may have died, also because it did not answer and was
            killed here; the next start brings up a new one.
    """
    with LOCK:
        guard = threading.Timer(START_SECONDS, _end_server)
        guard.daemon = True
        guard.start()
        try:
            descriptors.patient(process.start)
        finally:
            guard.cancel()


def _end_server() -> None:
    logger.error("the process that starts runs does not answer, and is replaced")
    abandon()


def prepare() -> None:
    """Put into this process's environment what a forkserver must find there, before one may be started.

    It does not take over this process's import path (CPython before 3.12), so it gets the path by variable.
    OpenBLAS would start threads as NumPy is imported, and a process with threads must not fork.

    For good, and best before there are threads: while one changes the environment, a program that another
    one starts fails with EFAULT, "Bad address", as C keeps the environment without a lock.
    """
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    wanted = {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    for name, value in wanted.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def abandon() -> None:
    """Kill the forkserver: by itself it would end only once its imports, which take seconds, are done."""
    pid = getattr(forkserver._forkserver, "_forkserver_pid", None) if FORKS else None
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
