"""Text whose every symbol carries a colour, as HTML: a unit's activation, or a probability.

The colour is a see-through background, so that the letters stay readable on a light and on a dark page.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from dashboard.charts.style import COOL, GREY, WARM, faint

STRONGEST = 0.75
"""Opacity of the largest value."""
FONT = "font-family:'Source Code Pro',monospace;line-height:1.6"
STYLE = f"{FONT};white-space:break-spaces;overflow-wrap:anywhere"  # spaces count, and break at a line's end
GIVEN = f"background:{faint(GREY, 0.25)};font-style:italic"
"""Of what the network was given: a look that no value has."""
MARKED = f"box-shadow:inset 0 0 0 1px {GREY}"
"""Finds a symbol whose colour is too weak to be seen."""
CELL = "white-space:pre;overflow:hidden;flex:1 1 0;min-width:0"
"""One side of a place: what does not fit is cut, at the far end."""


def coloured_text(
    symbols: Sequence[str],
    values: Sequence[float | None],
    titles: Sequence[str] | None = None,
    *,
    apart: str = "",
    given: int = 0,
) -> str:
    """Blue where a value is above 0, orange where it is below, the stronger the larger.

    Args:
        symbols: the text, symbol by symbol.
        values: one for each symbol; coloured by their share of the largest.
        titles: what is said of each symbol under the pointer; its value where left out.
        apart: what stands between two symbols: a space, where symbols are words.
        given: so many symbols at the beginning are none of the network's own.
    """
    largest = largest_of(values)
    parts = []
    for place, (symbol, value) in enumerate(zip(symbols, values, strict=True)):
        look = GIVEN if place < given else f"background:{_color(value, largest)}"
        said = titles[place] if titles is not None else "–" if value is None else f"{value:.3g}"
        parts.append(f'<span style="{look}" title="{html.escape(said)}">{_shown(symbol)}</span>{apart}')
    return f'<div style="{STYLE}">{"".join(parts)}</div>'


def text_around(
    before: str, symbol: str, after: str, value: float, *, largest: float, apart: str = ""
) -> str:
    """A symbol, coloured, in the middle of one line, its value in front: such lines stand under each other.

    Args:
        before: the text up to the symbol.
        symbol: what is coloured.
        after: the text from it on.
        value: of the symbol.
        largest: the size that has the strongest colour, the same for all lines that are compared.
        apart: what stands between two symbols.
    """
    left, middle, right = (html.escape(part.replace("\n", "↵")) for part in (before, symbol, after))
    said, look = f"{value:.3g}", f"background:{_color(value, largest)};{MARKED}"
    return (
        f'<div style="{FONT};display:flex;align-items:baseline;margin-bottom:0.25rem">'
        f'<small style="width:4rem;flex:none;opacity:0.8">{value:+.3f}</small>'
        # What is cut off is what comes first, so that the text ends at the symbol.
        f'<span style="{CELL};display:flex;justify-content:flex-end"><span>{left}{apart}</span></span>'
        f'<span style="flex:none;white-space:pre;{look}" title="{said}">{middle}</span>'
        f'<span style="{CELL};text-overflow:ellipsis">{apart}{right}</span></div>'
    )


def largest_of(values: Iterable[float | None]) -> float:
    """The size of the largest, to which colours are held; 1 where all are 0."""
    return max((abs(v) for v in values if v is not None), default=1.0) or 1.0


def _color(value: float | None, largest: float) -> str:
    share = 0.0 if value is None else value / largest
    return faint(COOL if share >= 0 else WARM, round(STRONGEST * abs(share), 2))


def between(symbols: Sequence[str]) -> str:
    """What stands between these symbols: a space, where they are words."""
    return " " if any(len(symbol) > 1 for symbol in symbols) else ""


def _shown(symbol: str) -> str:
    return "↵\n" if symbol == "\n" else html.escape(symbol)
