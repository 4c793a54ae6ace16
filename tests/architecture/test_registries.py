"""A new network or task is one file and one line: nothing else may know an entry by its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from models import MODELS
from trainer.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]
NAMES = {*MODELS, *TASKS}


def strings(node: ast.AST) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value


def questions(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that branch on a registered name: comparisons, match cases and startswith."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        compared = isinstance(node, ast.Compare | ast.MatchValue)
        tested = (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"startswith", "endswith"}
        )
        if compared or tested:
            yield from ((node.lineno, text) for text in strings(node) if text in NAMES)  # type: ignore[attr-defined]


def test_nothing_asks_for_a_network_or_a_task_by_name() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} asks for {name!r}"
        for folder in ("models", "trainer", "dashboard")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, name in questions(path)
    ]
    assert found == []


def test_registries_hold_imported_objects() -> None:
    """A registry of strings can name what is not there; one of objects cannot."""
    for name, spec in {**MODELS, **TASKS}.items():
        assert isinstance(name, str)
        assert not isinstance(spec, str)
        assert isinstance(spec.config, type)
