from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.text import age, compact, count, duration, many, number, plain, share


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("LSTM, adding", "LSTM, adding"),
        ("<b>x</b>", r"\<b\>x\</b\>"),
        ("**x** $y$ :red[z]", r"\*\*x\*\* \$y\$ \:red\[z\]"),
        ("two\nlines # head", r"two lines \# head"),
    ],
)
def test_plain_leaves_no_markup_alive(text: str, shown: str) -> None:
    assert plain(text).replace(r"\/", "/").replace(r"\=", "=") == shown


@pytest.mark.parametrize("text", ["see http://a.b/c", "HTTPS://a.b", "www.a.b", "me@a.b"])
def test_plain_leaves_nothing_that_becomes_a_link(text: str) -> None:
    """The patterns are those of GitHub's autolinks, as mdast-util-gfm-autolink-literal looks for them."""
    shown = plain(text).replace("\\", "")
    assert not re.search(r"(https?://|www(?=\.))([-.\w]+)", shown, re.IGNORECASE)
    assert not re.search(r"([-.\w+]+)@([-\w]+(\.[-\w]+)+)", shown)
    assert shown.replace("\u2060", "") == text, "a reader sees the same"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0"),
        (0.041666, "0.0417"),
        (12.345, "12.3"),
        (1.2e-7, "1.20e-07"),
        (12345.6, "12,346"),
    ],
)
def test_number_shows_three_digits(value: float | None, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.36, "36%"), (0.0042, "0.42%"), (0.0, "0%"), (0.996, "99.6%"), (None, "–")]
)
def test_share_is_a_percentage(value: float | None, shown: str) -> None:
    assert share(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.2, "under 1 s"),
        (42, "42 s"),
        (125, "2 min 5 s"),
        (1800, "30 min"),
        (15000, "4 h 10 min"),
        (190_000, "2 days 4 h"),
    ],
)
def test_duration_is_said_as_a_person_would(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_counts_are_short() -> None:
    assert [count(9_999), count(16_384), count(1_234_567)] == ["9,999", "16 thousand", "1.2 million"]
    assert [compact(16_384), compact(1_234_567), compact(2 * 10**9)] == ["16,384", "1.23 M", "2 G"]
    assert [many(1, "run"), many(2, "run")] == ["1 run", "2 runs"]


def test_age_is_said_in_its_largest_unit() -> None:
    now = datetime(2024, 5, 1, tzinfo=UTC)
    ages = [age(now - timedelta(seconds=s), now) for s in (3, 200, 7200, 86400, 3 * 86400)]
    assert ages == ["just now", "3 min ago", "2 h ago", "1 day ago", "3 days ago"]
