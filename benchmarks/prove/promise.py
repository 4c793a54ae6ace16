"""What a promise is, and what it says when it does not hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.prove.ground import Ground

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
BOTH = (SQLITE, POSTGRESQL)


class Broken(Exception):  # noqa: N818 - the word a reader looks for
    """A promise that did not hold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Promise:
    """One line of ``make prove``."""

    name: str
    """For ``--only``."""
    says: str
    """What is promised, in words that a user of Unfold would use."""
    tried: str
    """How it is tried, for README's table."""
    proof: Callable[[Ground], str]
    """Tries it: gives the figures, or raises Broken. Any other exception breaks the promise as well."""
    databases: tuple[str, ...] = BOTH
    """Those that it is tried on."""
    seconds: float = 240.0
    """After which it counts as broken: something hangs."""


def hold(condition: object, words: str) -> None:
    """Raise Broken with these words unless the condition is true."""
    if not condition:
        raise Broken(words)
