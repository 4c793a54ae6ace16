"""The local engine, with real processes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from tests.trainer.engine import workers
from trainer.engine import identity, processes
from trainer.engine.base import Ended, EngineError
from trainer.engine.local import LocalEngine
from trainer.schema import Assignment, RunConfig

URL = "http://127.0.0.1:1"
PATIENCE = 60.0
ROOT = Path(__file__).resolve().parents[3]


def until(condition: Callable[[], Any]) -> Any:
    """Wait until it holds; only a broken build waits the whole time."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError("nothing happened")


def assignment(folder: Path, url: str = URL) -> Assignment:
    config = RunConfig(model={"name": "none"}, task={"name": "none", "folder": str(folder)})
    return Assignment(run_id=uuid4(), attempt=1, token="secret", url=url, config=config, resume=False)


def told(work: Assignment) -> dict[str, Any]:
    """What the worker wrote, once it did."""
    path = workers.folder(work) / f"{work.run_id}.json"
    until(path.exists)
    return json.loads(path.read_text())


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end_forkserver() -> None:
    """The next process that is started brings up another, with what it is then told to import."""
    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        until(lambda: is_gone(pid))


@pytest.fixture(scope="module", autouse=True)
def _a_forkserver_without_torch() -> Iterator[None]:
    """These workers need none, and many a forkserver dies here."""
    end_forkserver()
    yield
    end_forkserver()


class Bench:
    """Engines that run one function, closed after the test, and their ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engines: list[LocalEngine] = []
        self.news = threading.Event()

    def engine(self, work: Callable[[Assignment], None], slots: int = 2) -> LocalEngine:
        engine = LocalEngine(self.folder, slots, work=work, preload=())
        engine.start(self.news.set)
        self.engines.append(engine)
        return engine

    def end(self, engine: LocalEngine) -> Ended:
        assert self.news.wait(PATIENCE), "the engine noticed no end"
        self.news.clear()
        (ended,) = engine.poll()
        return ended


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for engine in bench.engines:
        engine.close()


def test_a_worker_that_returns_is_told_with_exit_code_0_and_leaves_no_files(bench: Bench) -> None:
    engine, work = bench.engine(workers.succeed), assignment(bench.folder)
    engine.submit(work)
    ended = bench.end(engine)
    assert (ended.run_id, ended.attempt, ended.exit_code) == (work.run_id, 1, 0)
    assert not ended.forced
    assert not ended.crashed
    assert engine.active == 0
    assert not list((bench.folder / "workers").iterdir())
    assert not list((bench.folder / "logs").iterdir())


def test_an_exit_code_arrives_as_it_was(bench: Bench) -> None:
    engine = bench.engine(workers.leave_with_3)
    engine.submit(assignment(bench.folder))
    ended = bench.end(engine)
    assert ended.exit_code == 3
    assert ended.crashed
    assert ended.words == "its process ended with exit code 3"


def test_an_exception_gives_exit_code_1_and_its_traceback_as_output(bench: Bench) -> None:
    engine = bench.engine(workers.fail)
    engine.submit(assignment(bench.folder))
    ended = bench.end(engine)
    assert ended.exit_code == 1
    assert "so far so good" in ended.output
    assert ended.output.endswith("ValueError: no such thing")


def test_a_worker_killed_from_outside_is_noticed_with_its_signal(bench: Bench) -> None:
    engine, work = bench.engine(workers.sleep), assignment(bench.folder)
    engine.submit(work)
    assert engine.active == 1
    os.kill(told(work)["pid"], signal.SIGKILL)
    ended = bench.end(engine)
    assert ended.exit_code == -signal.SIGKILL
    assert ended.words == "its process was killed by signal 9 (SIGKILL)"
    assert not ended.crashed
    assert not ended.forced


def test_when_a_worker_dies_what_it_started_dies_too(bench: Bench) -> None:
    engine, work = bench.engine(workers.leave_a_child), assignment(bench.folder)
    engine.submit(work)
    report = told(work)
    os.kill(report["pid"], signal.SIGKILL)
    bench.end(engine)
    until(lambda: is_gone(report["child"]))


def test_stop_is_a_sigterm_that_a_worker_may_answer_in_its_own_way(bench: Bench) -> None:
    engine, work = bench.engine(workers.end_on_sigterm), assignment(bench.folder)
    engine.submit(work)
    told(work)
    engine.stop(work.run_id, work.attempt, grace=PATIENCE)
    ended = bench.end(engine)
    assert ended.exit_code == 0
    assert not ended.forced


def test_a_worker_that_ignores_sigterm_is_killed_with_its_children_after_the_grace(bench: Bench) -> None:
    engine, work = bench.engine(workers.ignore_sigterm_with_a_child), assignment(bench.folder)
    engine.submit(work)
    report = told(work)
    engine.stop(work.run_id, work.attempt, grace=0.3)
    engine.stop(work.run_id, work.attempt, grace=PATIENCE)  # asking again gives it no more time
    ended = bench.end(engine)
    assert ended.forced
    assert ended.exit_code == -signal.SIGKILL
    until(lambda: is_gone(report["child"]))


def test_several_workers_run_at_once_and_are_counted(bench: Bench) -> None:
    engine = bench.engine(workers.sleep, slots=3)
    assert engine.capacity == 3
    works = [assignment(bench.folder) for _ in range(3)]
    for work in works:
        engine.submit(work)
    pids = [told(work)["pid"] for work in works]
    assert len(set(pids)) == 3
    assert engine.active == 3
    os.kill(pids[1], signal.SIGTERM)
    assert bench.end(engine).run_id == works[1].run_id
    assert engine.active == 2


def test_what_cannot_be_sent_to_a_process_is_told_as_an_attempt_that_never_will_begin(bench: Bench) -> None:
    engine = bench.engine(lambda _: None)  # a lambda cannot be pickled
    engine.submit(assignment(bench.folder))
    ended = bench.end(engine)
    assert ended.not_begun is not None
    assert ended.not_begun.lasting
    assert "pickle" in ended.not_begun.reason
    assert engine.active == 0


def test_a_second_engine_adopts_a_living_worker_and_sees_its_end(bench: Bench) -> None:
    first, work = bench.engine(workers.sleep), assignment(bench.folder)
    first.submit(work)
    pid = told(work)["pid"]
    second = bench.engine(workers.sleep)
    bench.news.clear()
    assert second.adopt(work.run_id, work.attempt, URL)
    assert second.active == 1
    first._notify = lambda: None
    os.kill(pid, signal.SIGKILL)
    ended = bench.end(second)
    assert ended.run_id == work.run_id
    assert ended.exit_code is None
    assert ended.words == "its process is gone"
    assert not second.adopt(work.run_id, work.attempt, URL)


def test_an_adopted_worker_can_be_stopped(bench: Bench) -> None:
    first, work = bench.engine(workers.ignore_sigterm_with_a_child), assignment(bench.folder)
    first.submit(work)
    report = told(work)
    first._notify = lambda: None
    second = bench.engine(workers.sleep)
    assert second.adopt(work.run_id, work.attempt, URL)
    second.stop(work.run_id, work.attempt, grace=0.2)
    assert bench.end(second).forced
    until(lambda: is_gone(report["child"]))


def test_a_worker_that_reports_to_another_address_is_killed_instead_of_adopted(bench: Bench) -> None:
    first, work = bench.engine(workers.sleep), assignment(bench.folder, url="http://127.0.0.1:2")
    first.submit(work)
    pid = told(work)["pid"]
    assert not bench.engine(workers.sleep).adopt(work.run_id, work.attempt, URL)
    until(lambda: is_gone(pid))


def test_another_process_with_the_same_pid_is_not_adopted(bench: Bench) -> None:
    """A pid alone names nobody: after a restart of the machine it may be anyone's."""
    engine, work = bench.engine(workers.sleep), assignment(bench.folder)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        earlier = f"{identity.BOOT} 1"
        record = {"pid": stranger.pid, "began": earlier, "url": URL}
        (bench.folder / "workers" / f"{work.run_id}-1.json").write_text(json.dumps(record))
        assert not engine.adopt(work.run_id, work.attempt, URL)
        assert stranger.poll() is None
        stranger.communicate(b"\n")


@pytest.mark.parametrize("record", [None, "", "{", "[]", '{"pid": "x"}'])
def test_no_record_or_a_broken_one_adopts_nobody(bench: Bench, record: str | None) -> None:
    engine, work = bench.engine(workers.sleep), assignment(bench.folder)
    if record is not None:
        (bench.folder / "workers" / f"{work.run_id}-1.json").write_text(record)
    assert not engine.adopt(work.run_id, work.attempt, URL)


def test_a_worker_outlives_the_process_that_forks_workers(bench: Bench) -> None:
    """With the forkserver the pipe for exit codes is lost; the worker is then watched by its pid."""
    engine, work = bench.engine(workers.sleep), assignment(bench.folder)
    engine.submit(work)
    pid = told(work)["pid"]
    server = psutil.Process(pid).ppid()
    assert server != os.getpid()
    os.kill(server, signal.SIGKILL)
    begun = engine._workers[work.run_id, 1]
    until(lambda: begun.pid == pid and begun.process is None)
    assert engine.active == 1
    assert not engine.poll()
    os.kill(pid, signal.SIGKILL)
    assert bench.end(engine).exit_code is None
    after = assignment(bench.folder)  # and the next submit brings up a new forkserver
    engine.submit(after)
    assert psutil.Process(told(after)["pid"]).ppid() not in (server, os.getpid())


# --- Trouble that is not the worker's ----------------------------------------------------------------------


def no_descriptor(*_: Any) -> Any:
    raise OSError(errno.EMFILE, "Too many open files")


def forkserver_of(pid: int) -> int:
    server = psutil.Process(pid).ppid()
    assert server != os.getpid()
    return server


@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS, errno.EACCES, errno.EMFILE])
def test_a_record_that_cannot_be_removed_hides_no_end_and_no_later_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    engine, works = bench.engine(workers.sleep), [assignment(bench.folder) for _ in range(2)]

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error))

    for work in works:
        engine.submit(work)
    monkeypatch.setattr(Path, "unlink", refuse)
    for work in works:
        os.kill(told(work)["pid"], signal.SIGKILL)
        assert bench.end(engine).run_id == work.run_id
    monkeypatch.undo()
    assert not bench.engine(workers.sleep).adopt(works[0].run_id, 1, URL), "the record names nobody alive"


@pytest.mark.parametrize("name", ["join", "exitcode"])
def test_trouble_with_one_worker_keeps_no_other_from_being_looked_after(bench: Bench, name: str) -> None:
    engine, works = bench.engine(workers.sleep), [assignment(bench.folder) for _ in range(2)]
    for work in works:
        engine.submit(work)
    pids = [told(work)["pid"] for work in works]
    first = engine._workers[works[0].run_id, 1]
    until(lambda: first.process is not None)

    class Troubled:
        sentinel = first.process.sentinel  # type: ignore[union-attr]

        def __getattr__(self, asked: str) -> Any:
            return no_descriptor() if asked == name else lambda *_: None

    real, first.process = first.process, Troubled()  # type: ignore[assignment]
    os.kill(pids[1], signal.SIGKILL)
    assert bench.end(engine).run_id == works[1].run_id
    first.process = real
    os.kill(pids[0], signal.SIGKILL)
    assert bench.end(engine).run_id == works[0].run_id


@pytest.mark.parametrize("name", ["wait", "shortage"])
def test_the_watching_thread_outlives_whatever_it_meets(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    met = threading.Event()

    def fail(*_: Any) -> Any:
        met.set()
        raise MemoryError

    engine, work = bench.engine(workers.sleep), assignment(bench.folder)
    with monkeypatch.context() as during:
        if name == "wait":
            during.setattr("trainer.engine.local.connection.wait", fail)
        else:
            during.setattr(engine._shortage, "look", fail)
        engine.submit(work)
        assert met.wait(PATIENCE)
    os.kill(told(work)["pid"], signal.SIGKILL)
    assert bench.end(engine).exit_code == -signal.SIGKILL


def test_a_worker_is_not_called_dead_because_nobody_could_look(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, work = bench.engine(workers.sleep), assignment(bench.folder)
    first.submit(work)
    pid = told(work)["pid"]
    until(lambda: first._workers[work.run_id, 1].recorded)
    first._notify = lambda: None
    second = bench.engine(workers.sleep)
    with monkeypatch.context() as during:
        during.setattr(identity, "_look", no_descriptor)
        assert second.adopt(work.run_id, 1, URL)
        second.stop(work.run_id, 1, grace=0)  # whom it would hit is not certain now
        looks = len(rounds(second, during, 3))
        assert looks == 3
        assert second.active == 1
        assert not second.poll()
        assert not is_gone(pid)
    assert bench.end(second).forced
    until(lambda: is_gone(pid))


def rounds(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, count: int) -> list[bool]:
    """Wait until the engine has looked at all its workers so often."""
    seen: list[bool] = []
    real = engine._look_at_all

    def look(can_join: bool) -> bool:
        seen.append(real(can_join))
        return seen[-1]

    monkeypatch.setattr(engine, "_look_at_all", look)
    until(lambda: len(seen) >= count)
    return seen[:count]


def test_a_record_that_cannot_be_read_now_says_nothing_of_its_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, work = bench.engine(workers.sleep), assignment(bench.folder)
    first.submit(work)
    until(lambda: first._workers[work.run_id, 1].recorded)
    second = bench.engine(workers.sleep)
    with monkeypatch.context() as during:
        during.setattr(Path, "read_text", no_descriptor)
        with pytest.raises(OSError, match="Too many"):
            second.adopt(work.run_id, 1, URL)
    assert second.adopt(work.run_id, 1, URL)


def test_a_record_that_cannot_be_written_is_written_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, work = bench.engine(workers.sleep), assignment(bench.folder)
    monkeypatch.setattr("trainer.engine.local.ROUND", 0.05)
    with monkeypatch.context() as during:
        during.setattr(Path, "write_text", no_descriptor)
        engine.submit(work)
        until(lambda: engine._workers[work.run_id, 1].pid)
        rounds(engine, during, 2)
        assert not list((bench.folder / "workers").glob("*.json"))
    until(lambda: list((bench.folder / "workers").glob("*.json")))
    assert bench.engine(workers.sleep).adopt(work.run_id, 1, URL)


# --- The forkserver ----------------------------------------------------------------------------------------


def test_nothing_waits_for_a_forkserver_that_does_not_answer_and_it_is_replaced(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what is asked of the engine, nor the kill of a worker that does not end."""
    engine, work = bench.engine(workers.ignore_sigterm_with_a_child), assignment(bench.folder)
    engine.submit(work)
    pid = told(work)["pid"]
    server = forkserver_of(pid)
    monkeypatch.setattr("trainer.engine.local.ROUND", 0.2)
    monkeypatch.setattr(processes, "START_SECONDS", 4.0)
    os.kill(server, signal.SIGSTOP)
    late = assignment(bench.folder)
    engine.submit(late)
    assert engine.active == 2
    assert engine.adopt(late.run_id, 1, URL)
    until(lambda: not processes.LOCK.acquire(blocking=False) or processes.LOCK.release())
    engine.stop(work.run_id, 1, grace=0.1)
    until(lambda: is_gone(pid))
    ends: list[Ended] = []
    until(lambda: ends.extend(engine.poll()) or len(ends) == 2)
    told_of = {ended.run_id: ended for ended in ends}
    assert told_of[work.run_id].forced
    assert told_of[work.run_id].exit_code is None, "it was found gone by its pid"
    not_begun = told_of[late.run_id].not_begun
    assert not_begun is not None
    assert not not_begun.lasting
    monkeypatch.undo()
    again = assignment(bench.folder)
    engine.submit(again)
    assert forkserver_of(told(again)["pid"]) != server


def test_an_attempt_whose_forkserver_dies_as_it_starts_never_began(bench: Bench) -> None:
    engine, work = bench.engine(workers.sleep), assignment(bench.folder)
    engine.submit(work)
    server = forkserver_of(told(work)["pid"])
    os.kill(server, signal.SIGSTOP)
    late = assignment(bench.folder)
    engine.submit(late)
    until(lambda: not processes.LOCK.acquire(blocking=False) or processes.LOCK.release())
    os.kill(server, signal.SIGKILL)
    ended = bench.end(engine)
    assert ended.run_id == late.run_id
    assert ended.not_begun is not None
    assert not ended.not_begun.lasting
    assert not ended.crashed
    assert engine.active == 1, "the worker that it had made goes on"


def test_a_worker_that_dies_with_its_forkserver_is_gone_and_did_not_crash(bench: Bench) -> None:
    """multiprocessing gives 255 for the exit code that nobody can know any more."""
    engine, work = bench.engine(workers.sleep), assignment(bench.folder)
    engine.submit(work)
    pid = told(work)["pid"]
    server = forkserver_of(pid)
    os.kill(server, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    os.kill(server, signal.SIGKILL)
    ended = bench.end(engine)
    assert ended.exit_code is None
    assert not ended.crashed


def test_a_stop_that_comes_before_the_start_keeps_the_process_from_being_made(bench: Bench) -> None:
    engine = bench.engine(workers.sleep)
    with processes.LOCK:
        first, second = assignment(bench.folder), assignment(bench.folder)
        engine.submit(first)
        engine.submit(second)
        engine.stop(second.run_id, 1, grace=PATIENCE)
    ended = bench.end(engine)
    assert ended.run_id == second.run_id
    assert ended.not_begun is not None
    assert told(first)


def test_a_machine_without_a_free_process_is_no_lasting_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = bench.engine(workers.sleep)

    def fork(*_: Any) -> Any:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as during:
        during.setattr(processes, "start", fork)
        engine.submit(assignment(bench.folder))
        ended = bench.end(engine)
    assert ended.not_begun is not None
    assert not ended.not_begun.lasting
    assert "Cannot allocate memory" in ended.not_begun.reason
    work = assignment(bench.folder)
    engine.submit(work)
    assert told(work)


def test_a_forkserver_that_cannot_be_started_with_the_service_is_started_with_the_first_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as during:
        during.setattr("trainer.engine.local.processes.launch", no_descriptor)
        during.setattr("trainer.engine.starter.Starter.warm", no_descriptor)
        engine = bench.engine(workers.sleep)
    work = assignment(bench.folder)
    engine.submit(work)
    assert told(work)


def test_close_kills_what_still_runs_and_takes_no_more(bench: Bench) -> None:
    engine, work = bench.engine(workers.ignore_sigterm_with_a_child), assignment(bench.folder)
    engine.submit(work)
    report = told(work)
    engine.close()
    until(lambda: is_gone(report["pid"]) and is_gone(report["child"]))
    with pytest.raises(EngineError):
        engine.submit(assignment(bench.folder))


def test_workers_begin_with_everything_imported_in_a_session_of_their_own(tmp_path: Path) -> None:
    """Started as the service starts, from another folder and with an empty import path.

    The forkserver swallows a failed preload in silence, and then every launch pays seconds for its imports.
    """
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
if __name__ == "__main__":
    import json, threading, time
    from pathlib import Path
    from uuid import uuid4
    from tests.trainer.engine import test_local, workers
    from trainer.engine import processes
    from trainer.engine.local import LocalEngine
    news = threading.Event()
    engine = LocalEngine(Path("data"), 1, work=workers.look_around)
    engine.start(news.set)
    time.sleep(0.2)
    with processes.LOCK:  # held while the forkserver comes up
        pass
    work = test_local.assignment(Path("data"))
    began = time.time()
    engine.submit(work)
    news.wait(60)
    found = test_local.told(work)
    print(json.dumps(found | {{"latency": found["at"] - began, "torch_here": "torch" in sys.modules}}))
    engine.close()
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "OMP_NUM_THREADS")}
    (tmp_path / "service.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "service.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "ahead of time" not in done.stderr
    found = json.loads(done.stdout)
    assert found["torch"]
    assert found["worker"]
    assert not found["torch_here"], "the service itself needs no torch to hand out work"
    assert not found["typer"]
    assert found["pid"] == found["group"] == found["session"]
    assert found["threads_of_parent"] in (1, None), "a process with threads must not fork"
    assert found["environment"] == "1"
    assert found["latency"] < 60  # printed by -s for whoever wants the figure
    print(f"submit to first line of the worker: {1000 * found['latency']:.0f} ms")  # noqa: T201


def test_the_environment_is_left_alone_once_there_is_an_engine(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changed by one thread, it fails the programs that another starts: EFAULT, "Bad address"."""
    engine, work = bench.engine(workers.look_around), assignment(bench.folder)
    changes: list[bytes] = []
    monkeypatch.setattr(os, "putenv", lambda name, _: changes.append(name))
    monkeypatch.setattr(os, "unsetenv", changes.append)
    engine.submit(work)
    assert bench.end(engine).exit_code == 0
    again = bench.engine(workers.succeed)
    again.submit(assignment(bench.folder))
    assert bench.end(again).exit_code == 0
    assert not changes
    assert told(work)["environment"] == "1"


def test_the_forkserver_is_there_when_the_start_returns(tmp_path: Path) -> None:
    """Before whoever starts the engine imports what changes the environment, and not by another thread."""
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
if __name__ == "__main__":
    from pathlib import Path
    import psutil
    from trainer.engine.local import LocalEngine
    engine = LocalEngine(Path("data"), 1, preload=())
    engine._starter.warm = lambda: None
    engine.start(lambda: None)
    print(*[word for process in psutil.Process().children() for word in process.cmdline()])
    engine.close()
"""
    (tmp_path / "service.py").write_text(script)
    shown = subprocess.run(
        [sys.executable, "service.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert "multiprocessing.forkserver import main" in shown.stdout


def test_a_preload_that_fails_is_told_in_the_log(tmp_path: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
if __name__ == "__main__":
    import logging
    from pathlib import Path
    from trainer.engine.local import LocalEngine
    logging.basicConfig()
    engine = LocalEngine(Path("data"), 1, preload=("trainer.nothing_of_that_name",))
    engine.start(lambda: None)
    engine.close()
"""
    (tmp_path / "service.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "service.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "could not import trainer.nothing_of_that_name ahead of time" in done.stderr
