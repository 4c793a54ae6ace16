"""Percentages in words: rounded, but never to all or nothing where that is not so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.schema import as_percent, percent


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.0, "0%"),
        (1.0, "100%"),
        (0.996, "99.6%"),
        (0.9996, "99.96%"),
        (0.99995, "over 99.99%"),
        (0.99, "99%"),
        (0.995, "99.5%"),
        (0.123, "12%"),
        (0.005, "0.5%"),
        (0.00049, "0.049%"),
        (0.00009, "under 0.01%"),
        (0.0996, "10%"),
        (1.5, "150%"),
        (12.34, "1234%"),
    ],
)
def test_a_share_is_said_as_a_person_would(share: float | None, said: str) -> None:
    assert percent(share) == said


def test_more_digits_where_they_are_wanted() -> None:
    assert [percent(share, 3) for share in (0.1234, 0.00123, 0.9996, 0.5)] == [
        "12.3%",
        "0.123%",
        "99.96%",
        "50%",
    ]


@given(wrong=st.integers(0, 10**7), total=st.integers(1, 10**7), digits=st.integers(1, 4))
def test_only_nothing_is_0_and_only_everything_is_100(wrong: int, total: int, digits: int) -> None:
    wrong = min(wrong, total)
    said, shown = percent(wrong / total, digits), as_percent(wrong / total)
    assert (said == "0%") == (wrong == 0)
    assert (said == "100%") == (wrong == total)
    assert shown is not None
    assert (f"{shown:.3g}" == "100") == (wrong == total)
    assert (f"{shown:.3g}" == "0") == (wrong == 0)
    if not said.startswith(("under", "over")):
        exact = 100 * wrong / total
        assert abs(float(said[:-1]) - exact) <= 0.51 * 10 ** (2 - digits) + 1e-9
