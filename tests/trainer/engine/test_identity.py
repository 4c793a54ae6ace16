"""Which process a pid names."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.trainer.engine.test_local import until
from trainer.engine import identity
from trainer.engine.identity import Life


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_living_process_is_known_again_and_a_dead_one_is_gone(process: subprocess.Popen[bytes]) -> None:
    began = identity.began(process.pid)
    assert began is not None
    assert identity.life(process.pid, began) is Life.ALIVE
    process.kill()
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert identity.life(process.pid, began) is Life.GONE, "a zombie computes nothing"
    process.wait()
    assert identity.life(process.pid, began) is Life.GONE
    assert identity.began(process.pid) is None


def test_no_step_of_the_wall_clock_makes_another_process_of_it(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells the time of the boot by the wall clock, and psutil the begin of a process by that."""
    began, before = identity.began(process.pid), psutil.Process(process.pid).create_time()
    boot = psutil.boot_time()
    for module in (psutil, getattr(psutil, "_pslinux", psutil)):
        monkeypatch.setattr(module, "boot_time", lambda: boot + 3600)
    assert psutil.Process(process.pid).create_time() == pytest.approx(before + 3600)
    assert identity.life(process.pid, began) is Life.ALIVE
    assert identity.began(process.pid) == began


def test_a_program_name_with_brackets_and_blanks_is_no_riddle() -> None:
    named = "import ctypes; ctypes.CDLL(None).prctl(15, b'a) Z 1 (b', 0, 0, 0); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", named], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        began = identity.began(process.pid)
        assert began == f"{identity.BOOT} {psutil_ticks(process.pid)}"
        assert identity.life(process.pid, began) is Life.ALIVE
        process.kill()


def psutil_ticks(pid: int) -> int:
    """Clock ticks after the boot, from what psutil makes of it."""
    since_boot = psutil.Process(pid).create_time() - psutil.boot_time()
    return round(since_boot * os.sysconf("SC_CLK_TCK"))


def test_another_boot_is_another_process(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    began = identity.began(process.pid)
    monkeypatch.setattr(identity, "BOOT", "another")
    assert identity.life(process.pid, began) is Life.GONE


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO, errno.ENOMEM])
def test_a_process_that_cannot_be_looked_at_is_not_gone(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(number, os.strerror(number))

    began = identity.began(os.getpid())
    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    assert identity.life(os.getpid(), began) is Life.UNKNOWN


@pytest.mark.parametrize("error", [psutil.AccessDenied(1), OSError(errno.EMFILE, "full"), psutil.Error()])
def test_nor_is_it_where_psutil_is_asked(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(identity, "BOOT", None)
    began = identity.began(os.getpid())
    assert identity.life(os.getpid(), began) is Life.ALIVE
    assert identity.life(os.getpid(), "another time") is Life.GONE

    def refuse(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(psutil, "Process", refuse)
    assert identity.life(os.getpid(), began) is Life.UNKNOWN
