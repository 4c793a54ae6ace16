"""One promise on one database, in a process of its own: what hangs or crashes there can be ended there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.prove.processes import marked, sweep, told, until
from benchmarks.prove.promise import Broken, Promise

MARK = "unfold-proof:"
"""Before the line of JSON that tells the outcome."""
LAST_SECONDS = 15.0
"""That a process whose parent has gone may take to notice."""
ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one promise on one database."""

    name: str
    database: str
    holds: bool
    figures: str
    """Or, where it does not hold, why."""
    seconds: float


class Trial:
    """A process that tries a promise.

    Args:
        promise: which.
        database: on what.
        seed: of the random moments.
        folder: an empty folder; removed by whoever made it.
    """

    def __init__(self, promise: Promise, database: str, seed: int, folder: Path) -> None:
        self.promise, self.database, self.folder = promise, database, folder
        self._began = time.monotonic()
        self._output = (folder / "output").open("w+b")
        (folder / "ground").mkdir(mode=0o711)
        folder.chmod(0o711)  # PostgreSQL's user has its folder in here
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.prove.trial",
                promise.name,
                database,
                str(seed),
                str(folder / "ground"),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, seconds: float) -> Outcome:
        """Wait for its end, or end it when its time is up; leave no process behind."""
        late = False
        left: list[str] = []
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            late = True
        if not late and not until(lambda: not marked(self.folder), LAST_SECONDS):
            left = [told(process) for process in marked(self.folder)]
        self.end()
        self._output.seek(0)
        output = self._output.read().decode("utf-8", "replace")
        self._output.close()
        outcome = _outcome(output)
        if late:
            outcome = False, f"no end after {seconds:g} s; its last output: {output[-800:]}"
        elif outcome[0] and left:
            outcome = False, f"left {len(left)} processes behind: {'; '.join(left)}"
        return Outcome(
            name=self.promise.name,
            database=self.database,
            holds=outcome[0],
            figures=outcome[1],
            seconds=time.monotonic() - self._began,
        )

    def end(self) -> None:
        """Kill whatever of it lives."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        sweep(self.folder)


def _outcome(output: str) -> tuple[bool, str]:
    for line in reversed(output.splitlines()):
        if line.startswith(MARK):
            said = json.loads(line.removeprefix(MARK))
            return bool(said["holds"]), str(said["figures"])
    return False, f"its process ended without a word; its last output: {output[-800:]}"


def attempt(promise: Promise, database: str, seed: int, folder: Path) -> tuple[bool, str]:
    """Try it here and now."""
    from benchmarks.prove.ground import Ground

    chosen = random.Random(f"{seed} {promise.name} {database}")
    try:
        with Ground(folder, database, chosen) as ground:
            return True, promise.proof(ground)
    except Broken as error:
        return False, str(error)
    except Exception as error:
        import traceback

        traceback.print_exc()
        return False, f"{type(error).__name__}: {error}"


def main() -> None:
    """``python -m benchmarks.prove.trial NAME DATABASE SEED FOLDER``."""
    from benchmarks.prove import PROMISES

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that blocks are left in order
    name, database, seed, folder = sys.argv[1:]
    holds, figures = attempt(PROMISES[name], database, int(seed), Path(folder))
    print(f"\n{MARK}{json.dumps({'holds': holds, 'figures': figures})}", flush=True)


if __name__ == "__main__":
    main()
