"""CSV files as people have them: separators, headers, decimal commas, holes, dates; and what is refused."""

from __future__ import annotations

import contextlib
import csv
import io
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.csv_table import MAX_COLUMNS, TableError, column_names, read_table

NUMBERS = [str(place * 7 % 31 / 4) for place in range(40)]


def written(rows: list[list[str]], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue()


def refused(text: str) -> TableError:
    with pytest.raises(TableError) as caught:
        read_table(text)
    assert caught.value.remedy
    assert column_names(text) == []
    return caught.value


cells = st.one_of(
    st.floats(-1e6, 1e6).map(repr),
    st.integers(-999, 999).map(str),
    st.sampled_from(["", "NA", "nan", " 5 ", "n/a", "1e3", "+2.50", "-.5"]),
)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_written_table_is_read_back_as_pythons_csv_module_and_float_have_it(data: st.DataObject) -> None:
    """Columns of numbers, with holes, beside one of texts that hold separators and quotation marks."""
    delimiter = data.draw(st.sampled_from([",", ";", "\t"]))
    width = data.draw(st.integers(1, 4))
    rows = data.draw(st.lists(st.lists(cells, min_size=width, max_size=width), min_size=40, max_size=60))
    words = st.text(st.sampled_from('abc ,;"'), max_size=6).map(lambda word: f"x{word}")
    header = [f"c{place}" for place in range(width)]
    body = [[*row, data.draw(words)] for row in rows]
    text = written([[*header, "words"], *body], delimiter)
    expected = {}
    for place, name in enumerate(header):
        read = [line[place].strip() for line in csv.reader(io.StringIO(text), delimiter=delimiter)][1:]
        values = [math.nan if c.lower() in {"", "na", "nan", "n/a"} else float(c) for c in read]
        there = [value for value in values if not math.isnan(value)]
        if len(there) >= 30 and len(set(there)) > 1 and 2 * len(there) >= len(values):
            expected[name] = values
    if not expected:
        refused(text)
        return
    table = read_table(text)
    assert set(table.numbers) == set(expected)
    assert "words" in table.others
    for name, values in expected.items():
        assert list(table.numbers[name]) == pytest.approx(values, nan_ok=True, rel=0, abs=0)


@given(st.text(max_size=400) | st.text(st.sampled_from('0123456789,;\t\n".-e#a'), max_size=400))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(TableError):
        assert all(len(column) >= 30 for column in read_table(text).numbers.values())


def test_a_column_without_a_header_is_read_from_its_first_number() -> None:
    table = read_table("\n".join(NUMBERS))
    assert list(table.numbers) == ["column 1"]
    assert list(table.numbers["column 1"]) == [float(number) for number in NUMBERS]


def test_rows_without_a_header_are_told_from_those_with_one() -> None:
    rows = [[f"2001-{place:02d}-01", number] for place, number in enumerate(NUMBERS)]
    bare, headed = read_table(written(rows)), read_table(written([["month", "rain"], *rows]))
    assert list(bare.numbers) == ["column 2"]
    assert bare.numbers["column 2"] == headed.numbers["rain"]
    assert "2001-00-01" in bare.others["column 1"]
    assert headed.others["month"] == "line 2 has '2001-00-01'"


def test_decimal_commas_are_read_where_cells_are_separated_by_something_else() -> None:
    text = "Datum;Wert\n" + "".join(f"1.{place}.2020;{place % 9},5\n" for place in range(40))
    table = read_table(text)
    assert list(table.numbers["Wert"]) == [place % 9 + 0.5 for place in range(40)]


def test_semicolons_inside_cells_of_a_comma_table_do_not_mislead() -> None:
    text = "tags,value\n" + "".join(f"a;b,{number}\n" for number in NUMBERS)
    assert list(read_table(text).numbers) == ["value"]


def test_comments_and_title_lines_at_the_top_and_blank_lines_are_passed_over() -> None:
    rows = "".join(f"{place},{number}\n\n" for place, number in enumerate(NUMBERS))
    table = read_table(f"# made by hand, with care, in 1990\n\nMy table\n\nyear,rain\n{rows}")
    assert list(table.numbers["rain"]) == [float(number) for number in NUMBERS]


def test_counters_come_last() -> None:
    """A column of row numbers or years is a straight line, which nobody uploads a table for."""
    rows = [[str(1900 + place), number, str(place)] for place, number in enumerate(NUMBERS)]
    assert column_names(written([["year", "rain", "row"], *rows])) == ["rain", "year", "row"]


def test_short_rows_end_in_missing_numbers_and_empty_cells_at_the_end_do_no_harm() -> None:
    text = "a,b\n" + "".join(f"{number},{number}\n" for number in NUMBERS) + "3\n4,5,,\n"
    table = read_table(text)
    assert list(table.numbers["a"])[-2:] == [3, 4]
    assert math.isnan(table.numbers["b"][-2])
    assert table.numbers["b"][-1] == 5


def test_names_are_unique_short_and_never_empty() -> None:
    header = ["x", "x", "", " two\twords ", "long" * 100]
    rows = [[number] * 5 for number in NUMBERS]
    names = column_names(written([header, *rows]))
    assert names[:4] == ["x", "x (2)", "column 3", "two words"]
    assert len(names[4]) <= 100


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (["5"] * 40, "the same number on every line"),
        (NUMBERS[:25] + [""] * 15, "only 25 numbers"),
        (NUMBERS[:35] + [""] * 60, "more than half is missing"),
        ([*NUMBERS[:20], "12*", *NUMBERS[:19]], "line 22 has '12*'"),
        ([*NUMBERS[:20], "inf", *NUMBERS[:19]], "line 22 has 'inf'"),
        ([*NUMBERS[:20], "1_000", *NUMBERS[:19]], "line 22 has '1_000'"),
        ([""] * 40, "empty"),
    ],
)
def test_a_column_that_cannot_be_forecast_is_told_why(column: list[str], why: str) -> None:
    others = [str(place * 3 % 17) for place in range(len(column))]
    rows = [[cell, other] for cell, other in zip(column, others, strict=True)]
    table = read_table(written([["mine", "good"], *rows]))
    assert list(table.numbers) == ["good"]
    assert table.others["mine"] == why
    assert f"'mine': {why}" in refused(written([["mine", "word"], *[[cell, "x"] for cell in column]])).problem


def test_a_table_without_numbers_is_refused_by_its_columns() -> None:
    error = refused("name,town\n" + "Ann,Bonn\n" * 50)
    assert error.problem == (
        "no column holds numbers alone ('name': line 2 has 'Ann'; 'town': line 2 has 'Bonn')"
    )
    assert "at least 30 numbers" in error.remedy


def test_a_row_that_is_too_long_is_named() -> None:
    error = refused(written([["a", "b"], *[["1", "2"]] * 60, ["1", "2", "3"]]))
    assert error.problem == "line 62 has 3 cells, the first rows have 2"


def test_too_many_columns_are_refused() -> None:
    row = ",".join(["1"] * (MAX_COLUMNS + 1))
    assert f"{MAX_COLUMNS + 1} columns" in refused(f"{row}\n" * 50).problem


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "Call me Ishmael.\n" * 100])
def test_what_is_no_table_is_refused(text: str) -> None:
    refused(text)


@pytest.mark.parametrize("good", [0, 60])
def test_a_quotation_mark_that_is_never_closed_is_refused(good: int) -> None:
    error = refused("a,b\n" + "1,2\n" * good + '1,"2\n' + "1,2\n" * 50_000)
    assert f"line {good + 2} has" in error.problem or "quotation marks" in error.remedy
