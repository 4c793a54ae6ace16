"""How a table is refused."""

from __future__ import annotations


class TableError(ValueError):
    """A text that is no table of numbers: what was found, and what to do about it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


def shown(text: str) -> str:
    """A cell or a name, quoted and not too long."""
    return repr(text if len(text) <= 40 else text[:39] + "…")


def listed(words: list[str], joint: str = "and") -> str:
    """``a, b and c``"""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"
