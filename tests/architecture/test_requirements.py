"""Pins: exact, written once, complete, and nothing in them that belongs to one machine."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(ROOT.glob("requirements*.txt"))
PIN = re.compile(r"^([A-Za-z0-9._-]+)(\[[a-z,]+\])?==([0-9][A-Za-z0-9.]*)$")

# Needed at run time though no file of ours imports them by name.
UNIMPORTED = {
    "psycopg": "SQLAlchemy loads it for a postgresql:// address",
    "python-multipart": "FastAPI parses uploads with it",
    "tensorboard": "torch.utils.tensorboard writes its event files with it",
}


def lines(path: Path) -> list[str]:
    text = (line.split(" #")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in text if line and not line.startswith("#")]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    """Names and versions that a file brings, with those of the files that it includes."""
    found: dict[str, str] = {}
    for line in lines(path):
        if line.startswith("-r "):
            found |= pins(path.parent / line[3:])
        elif match := PIN.match(line):
            found[normal(match[1])] = match[3]
    return found


@pytest.mark.parametrize("path", [*FILES, ROOT / "constraints.txt"], ids=lambda path: path.name)
def test_every_requirement_is_an_exact_pin(path: Path) -> None:
    """No ranges, no addresses, no index options; and no local build tag such as +cpu."""
    loose = [
        line for line in lines(path) if not PIN.match(line) and not re.match(r"^-[rc] [a-z-]+\.txt$", line)
    ]
    assert loose == []


def test_a_pin_is_written_once() -> None:
    written = [normal(PIN.match(line)[1]) for path in FILES for line in lines(path) if PIN.match(line)]  # type: ignore[index]
    assert sorted(written) == sorted(set(written))


def test_constraints_agree_and_are_complete() -> None:
    """Everything installed by the requirements, at any depth, has its version in constraints.txt."""
    known = pins(ROOT / "constraints.txt")
    direct = pins(ROOT / "requirements-dev.txt")
    assert {name: known.get(name) for name in direct} == direct
    assert sorted(closure(direct) - set(known)) == []


def test_the_dashboards_requirements_bring_no_torch() -> None:
    """Its container image is made from them alone."""
    brought = closure(pins(ROOT / "requirements-dashboard.txt"))
    assert "streamlit" in brought
    assert [name for name in brought if name.startswith(("torch", "pytorch", "nvidia"))] == []


def closure(names: Iterable[str]) -> set[str]:
    """The packages and all that they require here; an extra's own requirements are not followed."""
    reached, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached and is_installed(name):
            reached.add(name)
            wanted = (line for line in importlib.metadata.requires(name) or [] if "extra ==" not in line)
            waiting += [normal(re.match(r"[A-Za-z0-9._-]+", line)[0]) for line in wanted]  # type: ignore[index]
    return reached


def is_installed(name: str) -> bool:
    """False for what another platform would need (colorama on Windows)."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def test_torch_and_lightning_are_the_versions_we_build_on() -> None:
    assert pins(ROOT / "requirements.txt")["torch"] == "2.13.0"
    assert pins(ROOT / "requirements.txt")["pytorch-lightning"] == "2.6.6"


@pytest.mark.parametrize(
    ("folders", "requirements"),
    [
        (("models", "trainer"), "requirements-trainer.txt"),
        (("dashboard",), "requirements-dashboard.txt"),
        (("tests", "benchmarks"), "requirements-dev.txt"),
    ],
)
def test_what_is_imported_is_pinned_for_that_part(folders: tuple[str, ...], requirements: str) -> None:
    """A package that comes only as somebody's dependency can vanish with their next version."""
    providers = importlib.metadata.packages_distributions()
    pinned = set(pins(ROOT / requirements))
    missing = {
        f"{path.relative_to(ROOT)} imports {module}"
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        for module in top_level_imports(path)
        if module in providers and not pinned & {normal(name) for name in providers[module]}
    }
    # The peer of the benchmark runs in an environment of its own.
    assert sorted(line for line in missing if not line.endswith(" imports mlflow")) == []


def test_what_is_pinned_is_used() -> None:
    """Nobody waits for the download of a package that no line needs."""
    providers = importlib.metadata.packages_distributions()
    used = {
        normal(name)
        for folder in ("models", "trainer", "dashboard")
        for path in (ROOT / folder).rglob("*.py")
        for module in top_level_imports(path)
        for name in providers.get(module, [])
    }
    assert sorted(set(pins(ROOT / "requirements.txt")) - used - set(UNIMPORTED)) == []


def top_level_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names)
