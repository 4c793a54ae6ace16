"""A few hundred files of twelve countries; ``make prove`` writes ten thousand."""

from __future__ import annotations

import math

import pytest

from benchmarks.prove_tables import Written, check, prove_tables


def test_what_was_written_is_read_back_or_refused() -> None:
    told = prove_tables(examples=200, number=7)
    assert "none with other numbers" in told


@pytest.mark.parametrize(
    "columns", [{"x": [1.0, 2.0] * 25}, {"y": [1.5, 2.5] * 25}, {"x": [1.5, math.nan] * 25}, {}]
)
def test_the_check_notices_another_number_a_missing_one_and_a_column_that_nobody_wrote(
    columns: dict[str, list[float]],
) -> None:
    content = b"x,when\n" + b"1.5,a\n2.5,b\n" * 25
    assert check(Written(content, {"x": [1.5, 2.5] * 25}, {}, ""))
    with pytest.raises(AssertionError, match=r"holds|nobody wrote"):
        check(Written(content, columns, {}, ""))
