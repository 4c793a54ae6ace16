"""Names of weight matrices as a reader meets them, and a colour for each."""

from __future__ import annotations

from collections.abc import Iterable

from dashboard.charts.style import with_layer
from dashboard.theme import RUN_COLORS

ROLE_WORDS = {
    "We": "input to embedding",
    "Wx": "input to state",
    "Ws": "state to state",
    "C": "state to what its layer shows",
    "D": "input to what its layer shows",
    "Wy": "state to output",
}


def role_title(role: str) -> str:
    """``Ws/0`` in words: ``Ws (state to state), layer 1``; ``all`` is all matrices together."""
    if role == "all":
        return "all matrices together"
    letter, _, layer = role.partition("/")
    words = f"{letter} ({ROLE_WORDS[letter]})" if letter in ROLE_WORDS else letter
    return with_layer(words, layer)


def role_order(role: str) -> tuple[bool, int, str]:
    """Sorts the way that a signal goes: embedding, layer by layer, readout; all together at the end."""
    letter, _, layer = role.partition("/")
    return role == "all", int(layer) if layer.isdigit() else -1 if letter == "We" else 99, letter


def role_colors(roles: Iterable[str]) -> dict[str, str]:
    """A colour for each, in their order."""
    return {role: RUN_COLORS[i % len(RUN_COLORS)] for i, role in enumerate(sorted(roles, key=role_order))}
