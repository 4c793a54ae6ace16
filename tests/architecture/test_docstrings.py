"""Every module of models and trainer, and every public class and function in it, says what it is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    path
    for folder in ("models", "trainer")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.read_text(encoding="utf-8").strip()
    and "versions" not in path.parts  # Alembic's upgrade and downgrade say it by their name
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_have_docstrings(path: Path) -> None:
    """Methods are left to their author: many are told by their name, or by the contract that they meet."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
    ]
    missing = [] if ast.get_docstring(tree) else ["the module itself"]
    missing += [node.name for node in named if not ast.get_docstring(node)]
    assert not missing, f"no docstring: {', '.join(missing)}"
