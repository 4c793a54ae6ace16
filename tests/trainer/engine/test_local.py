"""The local engine, with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from tests.trainer.engine import workers
from trainer.engine import identity
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


class Bench:
    """Engines that run one function, closed after the test, and their ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engines: list[LocalEngine] = []
        self.news = threading.Event()

    def engine(self, work: Callable[[Assignment], None], slots: int = 2) -> LocalEngine:
        engine = LocalEngine(self.folder, slots, work=work)
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
