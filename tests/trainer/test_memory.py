"""How much memory there is, and how its lack shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from trainer import memory
from trainer.engine.base import Ended
from trainer.memory import Shortage

ROOT = Path(__file__).resolve().parents[2]
MACHINE = 64 * 2**30


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Control groups of a machine of 64 GiB; the folder that stands for /sys/fs/cgroup."""

    def granted(*_: Any) -> Any:
        return real(tmp_path, tmp_path / "membership")

    real = memory._granted
    monkeypatch.setattr(memory, "_granted", granted)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"total": MACHINE}))
    return tmp_path


def put(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("membership", "limits", "expected"),
    [
        ("0::/", {}, MACHINE),
        ("0::/", {"memory.max": "max\n"}, MACHINE),
        ("0::/", {"memory.max": f"{2**30}\n"}, 2**30),
        ("0::/a/b", {"a/b/memory.max": "max\n", "a/memory.max": f"{3 * 2**30}\n"}, 3 * 2**30),
        ("0::/a/b", {"a/b/memory.max": f"{2**30}\n", "a/memory.max": f"{3 * 2**30}\n"}, 2**30),
        ("0::/of/the/host", {"memory.max": f"{2**30}\n"}, 2**30),
        ("4:memory:/x\n0::/", {"memory/x/memory.limit_in_bytes": f"{2**31}\n"}, 2**31),
        ("4:cpu,memory:/x", {"memory/x/memory.limit_in_bytes": "9223372036854771712\n"}, MACHINE),
        ("7:blkio:/\nnonsense", {"memory.max": "?"}, MACHINE),
    ],
)
def test_a_container_has_what_its_control_groups_grant(
    groups: Path, membership: str, limits: dict[str, str], expected: int
) -> None:
    put(groups, "membership", membership)
    for path, text in limits.items():
        put((groups / path).parent, Path(path).name, text)
    assert memory.total() == expected


def test_a_run_may_need_what_there_is_less_a_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "total", lambda: MACHINE)
    assert memory.limit() == MACHINE - 2 * 2**30
    monkeypatch.setattr(memory, "total", lambda: 2**30)
    assert memory.limit() == 3 * 2**28


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("could not execute a primitive"),
        RuntimeError("could not create a primitive"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("bad allocation"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:75] . DefaultCPUAllocator: not enough memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory"),
        OSError(12, "Cannot allocate memory"),
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8.0 GiB",
    ],
)
def test_the_lack_of_memory_is_known_by_what_is_said_of_it(error: Any) -> None:
    assert memory.is_lack(error)
    told = ValueError("the checkpoint cannot be read")
    told.__cause__ = error if isinstance(error, Exception) else None
    assert memory.is_lack(told) is isinstance(error, Exception)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not fit"), ValueError("long memory"), "IndexError: memory", ""]
)
def test_what_says_nothing_of_it_is_something_else(error: Any) -> None:
    assert not memory.is_lack(error)


def test_what_torch_itself_says_where_memory_ends_is_known() -> None:
    """A big tensor, and an LSTM of oneDNN's, which says less; both under a limit that leaves no room."""
    script = """
import resource, psutil, torch
from trainer import memory
torch.set_num_threads(1)
network = torch.nn.LSTM(64, 256, batch_first=True)
x = torch.zeros(64, 300, 64)
with torch.no_grad():
    network(x[:1, :2])
for extra in range(8, 400, 8):
    now = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (now + extra * 2**20, -1))
    try:
        with torch.no_grad():
            network(x)
        break
    except Exception as error:
        print(memory.is_lack(error), type(error).__name__, str(error)[:60].replace(chr(10), " "))
try:
    torch.empty(2**40)
except Exception as error:
    print(memory.is_lack(error), type(error).__name__, str(error)[:60].replace(chr(10), " "))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("True ") for line in lines), done.stdout


def test_a_kill_is_laid_to_memory_where_the_system_has_just_killed_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count, now = [5], [1000.0]
    monkeypatch.setattr(memory, "kills", lambda: count[0])
    monkeypatch.setattr(memory.time, "monotonic", lambda: now[0])
    shortage = Shortage()
    assert not shortage.is_recent
    count[0] += 1
    assert shortage.is_recent
    for _ in range(2):  # two looks later it is an old story
        now[0] += Shortage.SECONDS
        shortage.look()
    now[0] += Shortage.SECONDS
    shortage.look()
    assert not shortage.is_recent


def test_the_end_of_a_worker_is_told_as_the_lack_of_memory_that_it_was() -> None:
    from uuid import uuid4

    def words(**how: Any) -> str:
        return Ended(run_id=uuid4(), attempt=1, **how).words

    assert words(exit_code=-9, short_of_memory=True) == (
        "its process was killed by signal 9 (SIGKILL), most likely for want of memory"
    )
    aborted = "terminate called after throwing an instance of 'std::bad_alloc'"
    assert words(exit_code=-6, output=aborted).endswith("(SIGABRT), most likely for want of memory")
    assert words(exit_code=-6, output="assertion failed").endswith("(SIGABRT)")
    assert words(exit_code=-9) == "its process was killed by signal 9 (SIGKILL)"
