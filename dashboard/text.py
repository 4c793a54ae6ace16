"""How numbers, times and other people's words are written on the pages. Nothing here knows Streamlit."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from trainer.schema import percent, shown

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=/@])")

# What looks like an address becomes a link even where every character of it is escaped. A word joiner, which
# neither shows nor breaks the line, inside its beginning stops that.
_LINK = re.compile(r"(?i)(?<=http:)(?=//)|(?<=https:)(?=//)|(?<=www)(?=\.)|(?=@)")
_JOINER = "\u2060"


def plain(text: str) -> str:
    """Other people's words, safe inside Markdown: shown letter by letter, never as markup, maths or icons."""
    return _MARKDOWN.sub(r"\\\1", _LINK.sub(_JOINER, shown(" ".join(text.split()))))


def number(value: float | None, digits: int = 3) -> str:
    """``0.00123``, ``12.3``, ``1.2e-07``: three significant digits; a dash for nothing."""
    if value is None:
        return "–"
    if value != 0 and (abs(value) < 1e-4 or abs(value) >= 1e6):
        return f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def share(value: float | None) -> str:
    """A share between 0 and 1 as a percentage: ``0.4%``, ``12%``; never 100% of what is not all of it."""
    return percent(value)


def count(value: int) -> str:
    """``1,234``, ``56 thousand``, ``1.2 million``, as a person would say it."""
    for size, name in ((10**9, "billion"), (10**6, "million"), (10**4, "thousand")):
        if value >= size:
            short = value / (1000 if name == "thousand" else size)
            return f"{short:,.0f} {name}" if short >= 10 else f"{short:.1f} {name}"
    return f"{value:,}"


def compact(value: int) -> str:
    """``16,384``, ``1.2 M``: at most seven letters, for narrow places."""
    for size, letter in ((10**9, "G"), (10**6, "M")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:,}"


def many(amount: int, thing: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{amount:,} {thing}" if amount == 1 else f"{amount:,} {thing}s"


def duration(seconds: float | None) -> str:
    """``3 s``, ``2 min 5 s``, ``4 h 10 min``, ``2 days 3 h``."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 1:
        return "under 1 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 and whole < 600 else "")
    if whole < 86400:
        return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 >= 60 else "")
    days = whole // 86400
    hours = whole % 86400 // 3600
    return f"{days} day{'s' if days > 1 else ''}" + (f" {hours} h" if hours else "")


def age(then: datetime, now: datetime | None = None) -> str:
    """``just now``, ``5 min ago``, ``3 days ago``."""
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    for size, name in ((86400, "day"), (3600, "h"), (60, "min")):
        if seconds >= size:
            amount = int(seconds // size)
            return f"{amount} {name}{'s' if name == 'day' and amount > 1 else ''} ago"
    return "just now"
