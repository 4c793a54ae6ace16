"""Text whose every symbol carries a colour, as HTML: a unit's activation, or a probability.

The colour is a see-through background, so that the letters stay readable on a light and on a dark page.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from dashboard.charts.style import COOL, WARM, faint

STRONGEST = 0.75
"""Opacity of the largest value."""
STYLE = (
    "font-family:'Source Code Pro',monospace;line-height:1.6;"
    "white-space:break-spaces;overflow-wrap:anywhere"  # spaces count, and break at the end of a line
)


def coloured_text(
    symbols: Sequence[str],
    values: Sequence[float | None],
    titles: Sequence[str] | None = None,
    *,
    apart: str = "",
) -> str:
    """Blue where a value is above 0, vermilion where it is below, the stronger the larger.

    Args:
        symbols: the text, symbol by symbol.
        values: one for each symbol; coloured by their share of the largest.
        titles: what is said of each symbol under the pointer; its value where left out.
        apart: what stands between two symbols: a space, where symbols are words.
    """
    largest = max((abs(v) for v in values if v is not None), default=1.0) or 1.0
    parts = []
    for place, (symbol, value) in enumerate(zip(symbols, values, strict=True)):
        share = 0.0 if value is None else value / largest
        color = faint(COOL if share >= 0 else WARM, round(STRONGEST * abs(share), 2))
        said = titles[place] if titles is not None else "–" if value is None else f"{value:.3g}"
        parts.append(
            f'<span style="background:{color}" title="{html.escape(said)}">{_shown(symbol)}</span>{apart}'
        )
    return f'<div style="{STYLE}">{"".join(parts)}</div>'


def between(symbols: Sequence[str]) -> str:
    """What stands between these symbols: a space, where they are words."""
    return " " if any(len(symbol) > 1 for symbol in symbols) else ""


def _shown(symbol: str) -> str:
    return "↵\n" if symbol == "\n" else html.escape(symbol)
