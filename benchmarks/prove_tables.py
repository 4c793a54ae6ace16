"""Tables as twelve countries write them, read back: what was written or a refusal, never other numbers.

Each example draws a convention, a layout and columns of numbers, writes the file, and remembers what every
number is as text with a decimal point, from which Python's own float is taken. Nothing here is shared with
the reader.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from itertools import zip_longest
from typing import NamedTuple

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from trainer.corpora import CorpusError, UploadCheck


class Country(NamedTuple):
    """How numbers and files are written somewhere."""

    decimal: str
    thousands: tuple[str, ...]
    """Signs that may set thousands apart; none where nobody does so in files."""
    separators: str
    lakh: bool = False
    """Whether thousands are followed by pairs: 12,34,567."""


COUNTRIES = {
    "United States": Country(".", (",",), ",\t|"),
    "United Kingdom": Country(".", (",", ""), ",;\t"),
    "Germany": Country(",", (".", ""), ";\t|"),
    "Austria": Country(",", (" ", "\u00a0", "."), ";\t"),
    "Switzerland": Country(".", ("'", "’"), ",;\t"),
    "France": Country(",", ("\u202f", "\u00a0", " "), ";\t"),
    "Sweden": Country(",", (" ", "\u00a0"), ";\t"),
    "India": Country(".", (",",), ",\t;", lakh=True),
    "Brazil": Country(",", (".",), ";\t"),
    "Denmark": Country(",", (".", ""), ";|"),
    "Japan": Country(".", ("",), ",\t"),
    "Canada, in French": Country(",", ("\u00a0", " "), ";\t"),
}
MISSING = ("", "NA", "n/a", "-", "---", "NaN", "null", "?", "k.A.", "#N/A")
ODD = (
    "storniert",
    "see note",
    "12*",
    "(5)",
    "7-",
    "<0.5",
    "1/2",
    "12:30",
    "45 %",
    "1.2.3",
    "EUR 20,70",
    "$3.50",
)
WORDS = ("Bonn", "cloudy", "ok", "Möwe", "n° 5; old", "a, b", 'the "big" one')
COMMENTS = ("# measured by hand", "# 1,5;2,5", "// 12 rows, checked", "# station 5: 20,5 °C")


class Written(NamedTuple):
    """A file, and what stands in it."""

    content: bytes
    columns: dict[str, list[float]]
    """Every column of numbers alone, NaN where one is missing."""
    spoilt: dict[str, list[float]]
    """Columns with one odd cell in them: to be left out, never read as other numbers."""
    what: str
    """The convention, for a count."""


def grouped(digits: str, sign: str, lakh: bool) -> str:
    """A whole number with ``sign`` between its thousands."""
    if not sign or len(digits) <= 3:
        return digits
    head, tail = digits[:-3], digits[-3:]
    size = 2 if lakh else 3
    groups = [head[max(0, end - size) : end] for end in range(len(head), 0, -size)][::-1]
    return sign.join([*groups, tail])


@st.composite
def kinds(draw: st.DrawFn) -> tuple[str, int, int, int]:
    """What a column's numbers are like: how they are written, from where to where, with so many digits."""
    kind = draw(st.sampled_from(["whole", "fixed", "shortest", "scientific"]))
    digits = 0 if kind == "whole" else draw(st.integers(1, 4))
    high = 10 ** draw(st.integers(1, 7))
    low = draw(st.sampled_from([0, 0, -high, high // 2]))
    return kind, digits, low, high


@st.composite
def written_numbers(
    draw: st.DrawFn, country: Country, sign: str, count: int
) -> tuple[list[str], list[float]]:
    """A column's cells, and their numbers."""
    kind, digits, low, high = draw(kinds())
    wandering = draw(st.booleans())
    minus = draw(st.sampled_from(["-", "-", "\u2212"]))
    source = draw(st.randoms(use_true_random=True))
    cells, values = [], []
    at = source.randint(low, high) * 10**digits
    for _ in range(count):
        if wandering:
            at += source.randint(-(high - low), high - low) * 10**digits // 20
        else:
            at = source.randint(low * 10**digits, high * 10**digits)
        negative, whole = at < 0, abs(at)
        head, tail = divmod(whole, 10**digits)
        fraction = f"{tail:0{digits}d}" if digits else ""
        if kind in ("shortest", "scientific"):
            fraction = fraction.rstrip("0")
        plain = f"{'-' if negative else ''}{head}" + (f".{fraction}" if fraction else "")
        exponent = ""
        if kind == "scientific":
            power = source.randint(-3, 6)
            exponent = f"e{power}" if power < 0 else f"E+{power:02d}"
        front = str(head) if kind == "scientific" else grouped(str(head), sign, country.lakh)
        cells.append(
            (minus if negative else "") + front + (country.decimal + fraction if fraction else "") + exponent
        )
        values.append(float(plain + exponent))
    return cells, values


@st.composite
def tables(draw: st.DrawFn) -> Written:
    """One file."""
    where = draw(st.sampled_from(sorted(COUNTRIES)))
    country = COUNTRIES[where]
    sign = draw(st.sampled_from(country.thousands))
    separator = draw(st.sampled_from(country.separators))
    count = draw(st.integers(32, 60))
    header: list[str] = []
    body: list[list[str]] = []
    columns: dict[str, list[float]] = {}
    spoilt: dict[str, list[float]] = {}
    for place in range(draw(st.integers(1, 4))):
        cells, values = draw(written_numbers(country, sign, count))
        name = draw(st.sampled_from(["Temp", "Druck", "price", "Größe", "value, kW"])) + f" {'abcd'[place]}"
        word = draw(st.sampled_from(MISSING))
        for hole in draw(st.sets(st.integers(1, count - 1), max_size=4)):
            cells[hole], values[hole] = word, math.nan
        if draw(st.integers(0, 5)) == 0:
            # Not in the first row, where a word may be a name or a unit.
            cells[draw(st.integers(1, count - 1))] = draw(st.sampled_from(ODD))
            spoilt[name] = values
        else:
            columns[name] = values
        header.append(name)
        body.append(cells)
    first = draw(st.sampled_from(["", "iso", "german", "words"]))
    if first == "words":
        words = draw(st.lists(st.sampled_from(WORDS), min_size=count, max_size=count))
        header, body = ["Ort", *header], [words, *body]
    elif first:
        form = "2023-{1:02d}-{0:02d}" if first == "iso" else "{0:02d}.{1:02d}.2023"
        days = [form.format(day % 28 + 1, day // 28 + 1) for day in range(count)]
        header, body = ["Datum", *header], [days, *body]
    rows = [list(row) for row in zip(*body, strict=True)]
    above = []
    has_header = draw(st.integers(0, 7)) > 0
    if has_header:
        above.append(header)
        if draw(st.integers(0, 3)) == 0:
            above.append(
                [
                    "" if name in ("Ort", "Datum") else draw(st.sampled_from(["°C", "hPa", "m/s", "%"]))
                    for name in header
                ]
            )
    if draw(st.integers(0, 5)) == 0:
        rows = [[*row, ""] for row in rows]
    text = _text(draw, [*above, *rows], separator)
    if not has_header:
        places = {name: f"column {at}" for at, name in enumerate(header, 1)}
        columns = {places[name]: values for name, values in columns.items()}
        spoilt = {places[name]: values for name, values in spoilt.items()}
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252"]))
    try:
        content = text.encode(encoding)
    except UnicodeEncodeError:
        content = text.encode()
    return Written(content, columns, spoilt, f"{where}, {sign!r}, {separator!r}")


def _text(draw: st.DrawFn, rows: list[list[str]], separator: str) -> str:
    """The file's text, with quotation marks where they are needed and what may stand above the table."""
    quotes_all = draw(st.integers(0, 2)) == 0
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    out = io.StringIO()
    if quotes_all:
        csv.writer(out, delimiter=separator, lineterminator=ending, quoting=csv.QUOTE_ALL).writerows(rows)
    else:
        csv.writer(out, delimiter=separator, lineterminator=ending).writerows(rows)
    lines = out.getvalue().split(ending)
    comments = [draw(st.sampled_from(COMMENTS)) for _ in range(draw(st.sampled_from([0, 0, 1, 2])))]
    lines = [*comments, *lines]
    if draw(st.integers(0, 5)) == 0:
        lines.insert(draw(st.integers(len(comments), len(lines) - 1)), draw(st.sampled_from(COMMENTS)))
    if draw(st.integers(0, 5)) == 0:
        lines = [f"sep={separator}", *lines]
    return ending.join(lines)


def first_other(read: list[float], written: list[float]) -> tuple[float, float] | None:
    """The first number that is not to the last bit what was written; missing ones at the end do not count."""
    pairs = zip_longest(read, written, fillvalue=math.nan)
    differ = (pair for pair in pairs if pair[0] != pair[1] and not all(map(math.isnan, pair)))
    return next(differ, None)


def check(written: Written) -> bool:
    """Whether the file was read. Raises AssertionError where a number in it is another than was written."""
    upload = UploadCheck(table=True)
    try:
        upload.feed(written.content)
        upload.finish()
    except CorpusError as error:
        if not error.remedy:
            raise AssertionError(f"no remedy: {error}") from None
        return False
    assert upload.table is not None
    for name, values in upload.table.numbers.items():
        assert name not in written.spoilt, f"{name!r} holds a cell that is no number, and was read"
        assert name in written.columns, f"nobody wrote a column {name!r}"
        found = first_other(list(values), written.columns[name])
        assert found is None, f"{name!r} holds {found[0]}, not {found[1]}"
    return True


def prove_tables(examples: int = 10_000, number: int = 0) -> str:
    """Writes and reads so many files; raises AssertionError with the smallest that is misread.

    Returns:
        One line: how many were read and how many refused.
    """
    outcomes: Counter[bool] = Counter()

    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(tables())
    def run(written: Written) -> None:
        outcomes[check(written)] += 1

    run()
    total = outcomes.total()
    return (
        f"{total:,} tables in {len(COUNTRIES)} national conventions: {outcomes[True]:,} read back to the "
        f"last bit, {outcomes[False]:,} refused, none with other numbers"
    )
