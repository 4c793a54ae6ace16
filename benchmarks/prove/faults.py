"""``make faults``: each planted fault must turn the promise red that guards against it.

A fault is planted in a copy of the tree, by changing its syntax tree or adding to a file; then the one
promise that must notice is tried there, by the copy's own ``python -m benchmarks.prove``.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("models", "trainer", "dashboard", "benchmarks", "tests", "Makefile", "pyproject.toml")

Plant = Callable[[Path], None]


class Stale(Exception):  # noqa: N818 - what has become of the planting
    """The code has changed: a fault finds nothing to change in it, and must be planted in another way."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to break Unfold."""

    name: str
    does: str
    plant: Plant
    reddens: str
    """The promise that must not hold any more."""
    database: str = "sqlite"


def without_raising(file: str, *errors: str) -> Plant:
    """``raise StaleAttempt(…)`` does nothing, wherever it stands in this file."""

    def plant(root: Path) -> None:
        class Silent(ast.NodeTransformer):
            found = 0

            def visit_Raise(self, node: ast.Raise) -> ast.AST:
                made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                if isinstance(made, ast.Name) and made.id in errors:
                    self.found += 1
                    return ast.copy_location(ast.Pass(), node)
                return node

        silent = Silent()
        _rewrite(root / file, silent.visit)
        if not silent.found:
            raise Stale(f"{file} raises none of {', '.join(errors)}")

    return plant


def appended(file: str, *names: str, code: str) -> Plant:
    """``code`` at the end of the file takes the place of these functions, which must be there."""

    def plant(root: Path) -> None:
        path = root / file
        text = path.read_text(encoding="utf-8")
        missing = [
            name for name in names if not re.search(rf"^(?:async )?def {name}\b|^class {name}\b", text, re.M)
        ]
        if missing:
            raise Stale(f"{file} has no {', '.join(missing)}")
        path.write_text(f"{text}\n\n{code}\n", encoding="utf-8")

    return plant


def replaced(pattern: str, new: str, *files: str) -> Plant:
    """A regular expression, replaced wherever it is found; it must be in each of these files."""

    def plant(root: Path) -> None:
        for file in files:
            path = root / file
            text, count = re.subn(pattern, new, path.read_text(encoding="utf-8"))
            if not count:
                raise Stale(f"{file} has nothing like {pattern}")
            path.write_text(text, encoding="utf-8")

    return plant


def _rewrite(path: Path, change: Callable[[ast.Module], ast.AST]) -> None:
    tree = change(ast.parse(path.read_text(encoding="utf-8")))
    path.write_text(ast.unparse(ast.fix_missing_locations(tree)) + "\n", encoding="utf-8")


TWO_TRANSACTIONS = '''
def _in_two(self, run_id, number, token, report, checkpoint=None):
    """The metrics first; the checkpoint in a transaction of its own behind them."""
    reports.check(report, checkpoint)
    with self._database.writing() as connection:
        without = report.model_copy(update={"checkpoint": None})
        reply, names = reports.accept(connection, self._names, run_id, number, token, without, None)
    self._names.remember(names)
    if report.checkpoint is not None:
        with self._database.writing() as connection:
            run = mapping.number_of(connection, run_id)
            checkpoints.write(connection, run, report.checkpoint, checkpoint)
    return reply


Store.accept = _in_two
'''

FAULTS = (
    Fault(
        name="attempt",
        does="no attempt check: reports of attempts that are over are stored",
        plant=without_raising("trainer/store/reports.py", "StaleAttempt"),
        reddens="attempts",
    ),
    Fault(
        name="transaction",
        does="no transaction around checkpoint and metrics: one after the other",
        plant=appended("trainer/store/store.py", "Store", code=TWO_TRANSACTIONS),
        reddens="together",
    ),
    Fault(
        name="names",
        does="names unescaped: other people's words are Markdown and HTML",
        plant=appended("dashboard/text.py", "plain", code="def plain(text: str) -> str:\n    return text"),
        reddens="names",
    ),
)


def copy(root: Path) -> None:
    """What a promise needs of the tree, without environments and data."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, root / name)


def turns_red(fault: Fault, seed: int | None, patience: float = 1.0) -> tuple[bool, str]:
    """Whether the promise noticed, and what it said."""
    with TemporaryDirectory(prefix="unfold-fault-") as folder:
        root = Path(folder)
        copy(root)
        fault.plant(root)
        command = [
            sys.executable,
            "-m",
            "benchmarks.prove",
            "--only",
            fault.reddens,
            "--database",
            fault.database,
        ]
        command += ["--patience", str(patience), *(["--seed", str(seed)] if seed is not None else [])]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith(("✓", "✗"))]
        noticed = done.returncode == 1 and len(lines) == 1 and lines[0].startswith("✗")
        noticed = noticed and "no end after" not in lines[0]  # slow is not broken
        return noticed, lines[0] if lines else (done.stdout + done.stderr)[-800:]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every fault was noticed."""
    names = [fault.name for fault in FAULTS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prove.faults", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], choices=names, help="plant this one; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=None, help="as of make prove; --patience too")
    parser.add_argument("--patience", type=float, default=1.0)
    given = parser.parse_args(arguments)
    console, missed = Console(width=None if sys.stdout.isatty() else 160), 0
    for fault in FAULTS:
        if given.only and fault.name not in given.only:
            continue
        noticed, said = turns_red(fault, given.seed, given.patience)
        missed += not noticed
        sign = "noticed" if noticed else "MISSED "
        console.print(
            Text(f"{sign} {fault.does}\n        {said}", style="" if noticed else "red"), soft_wrap=True
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
