"""Who may import whom. The rules are read off the syntax tree, so an import inside a function counts too."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("models", "trainer", "dashboard", "benchmarks", "tests")


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The full dotted names of what a file imports: ``from a import b`` gives ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = path.relative_to(ROOT).with_suffix("").parts[: -node.level]
                base = ".".join((*package, base)).rstrip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def offenders(folder: str, forbidden: tuple[str, ...], allowed: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(folder)
        for name in imports(path)
        if any(within(name, package) for package in forbidden)
        and not any(within(name, package) for package in allowed)
        # the bare package, said on the way to an allowed module
        and not any(within(package, name) for package in allowed)
    ]


def test_models_import_nothing_of_ours() -> None:
    others = tuple(package for package in OURS if package != "models")
    assert offenders("models", others) == []


def test_the_trainer_never_imports_the_dashboard() -> None:
    assert offenders("trainer", ("dashboard", "benchmarks", "tests", "streamlit", "plotly")) == []


def test_the_dashboard_imports_the_schema_and_nothing_else_of_ours() -> None:
    forbidden = ("models", "trainer", "benchmarks", "tests", "torch", "pytorch_lightning", "sqlalchemy")
    assert offenders("dashboard", forbidden, allowed=("trainer.schema",)) == []


def test_only_the_client_speaks_http() -> None:
    speakers = ("httpx", "requests", "urllib3", "urllib.request", "http.client", "aiohttp")
    found = offenders("dashboard", speakers)
    assert [line for line in found if not line.startswith("dashboard/client.py ")] == []


def test_charts_know_no_streamlit() -> None:
    """A chart is a function from data to a figure: a notebook can use it too."""
    assert offenders("dashboard/charts", ("streamlit", "dashboard.client", "dashboard.views")) == []


def test_bptt_neither_plots_nor_reads_files() -> None:
    assert offenders("models", ("plotly", "matplotlib", "pathlib", "os", "io", "logging")) == []


def test_only_the_store_knows_the_database() -> None:
    found = offenders("trainer", ("sqlalchemy", "alembic", "sqlite3", "psycopg"))
    assert [line for line in found if not line.startswith("trainer/store/")] == []


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("trainer.schema", "torch sqlalchemy fastapi streamlit"),
        ("trainer.settings", "torch sqlalchemy fastapi streamlit"),
        ("dashboard.client", "torch sqlalchemy fastapi streamlit"),
        ("models", "pytorch_lightning sqlalchemy fastapi streamlit"),
    ],
)
def test_importing_a_module_stays_light(module: str, unwanted: str) -> None:
    """What a fresh interpreter has loaded after one import, by whatever way it came."""
    program = f"import sys, {module}; print(*sorted(set('{unwanted}'.split()) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == []
