"""Rows that are none of the table's, before and after it; and names that look like numbers."""

from __future__ import annotations

import pytest

from trainer.tables import TableError, read_table

DAYS = [f"2024-{n // 28 + 1:02d}-{n % 28 + 1:02d}" for n in range(50)]
NUMBERS = [10 + n * n % 17 / 2 for n in range(50)]


def table(above: str, below: str = "", first: list[str] = DAYS) -> str:
    rows = "".join(f"{at},{number:.1f}\n" for at, number in zip(first, NUMBERS, strict=True))
    return above + rows + below


@pytest.mark.parametrize(
    ("below", "rows"),
    [
        ("Total,512.5\n", 1),
        ("Mean,13.5\nTotal,512.5\n", 2),
        ("\nSource: Weather Service, 2020\n", 1),
        ("\nSource: Weather Service\n", 1),
        ("Exported 2024\n", 1),
    ],
)
@pytest.mark.parametrize("first", [DAYS, [str(1950 + n) for n in range(50)]], ids=["days", "years"])
def test_a_sum_or_a_source_under_the_table_is_no_number_of_it(
    below: str, rows: int, first: list[str]
) -> None:
    found = read_table(table("when,level\n", below, first))
    assert list(found.numbers["level"]) == NUMBERS
    assert found.reading.footers == rows
    assert found.reading.rows == 50


@pytest.mark.parametrize("last", ["n/a,7.5", ",7.5", "2024-03-01,7.5", "2024-03-01T12:00,7.5"])
def test_a_last_row_that_may_be_one_of_the_table_stays(last: str) -> None:
    assert list(read_table(table("when,level\n", last)).numbers["level"]) == [*NUMBERS, 7.5]


def test_words_that_name_places_or_months_have_no_last_row_that_is_foreign() -> None:
    places = ["Bonn", "Köln", "Ulm", "Jena", "Kiel"] * 10
    found = read_table(table("where,level\n", "Wien,7.5\n", places))
    assert list(found.numbers["level"]) == [*NUMBERS, 7.5]


def test_an_odd_cell_in_the_last_row_still_leaves_its_column_out() -> None:
    with pytest.raises(TableError, match="line 52 has 'broken'"):
        read_table(table("when,level\n", "2024-03-01,broken\n"))


@pytest.mark.parametrize("above", ["Lat,52.5\nLon,13.4\nwhen,level\n", "Station, 52.5\nwhen,level\n"])
def test_what_is_told_of_the_station_above_the_names_is_passed_over(above: str) -> None:
    found = read_table(table(above))
    assert list(found.numbers["level"]) == NUMBERS
    assert found.reading.titles == above.count("\n") - 1


def test_what_is_told_of_the_station_above_a_table_without_names_is_no_number_of_it() -> None:
    found = read_table(table("Lat,52.5\nLon,13.4\n"))
    assert list(found.numbers["column 2"]) == NUMBERS
    assert found.reading.titles == 2


@pytest.mark.parametrize(
    ("above", "name"), [("when,10637\n", "10637"), ("when,0.5\n", "0.5"), (",2019\n", "2019")]
)
@pytest.mark.parametrize("first", [DAYS, [str(1950 + n) for n in range(50)]], ids=["days", "years"])
def test_a_number_beside_a_word_above_dates_or_years_is_a_name(
    above: str, name: str, first: list[str]
) -> None:
    if above.startswith(",") and first is not DAYS:
        above = "year" + above
    assert list(read_table(table(above, "", first)).numbers[name]) == NUMBERS


def test_one_year_after_another_above_the_numbers_are_names() -> None:
    rows = [(n % 12 + 1, n * 7 % 11 + 0.5, n % 5) for n in range(48)]
    text = "".join(f"{a},{b},{c}\n" for _, b, c in rows for a in ["May"])
    found = read_table("Month,2019,2020\n" + text)
    assert list(found.numbers["2019"]) == [b for _, b, _ in rows]
    alone = read_table("2019,2020\n" + "".join(f"{b},{c}\n" for _, b, c in rows))
    assert list(alone.numbers["2020"]) == [c for *_, c in rows]
    years = "".join(f"{1950 + n};{1951 + n}\n" for n in range(48))
    assert len(read_table(years).numbers["column 1"]) == 48


@pytest.mark.parametrize("rule", ["|---|---|", "|:--|--:|", "|===|===|"])
def test_a_line_drawn_under_the_names_is_no_row(rule: str) -> None:
    rows = "".join(f"| {day} | {number:.1f} |\n" for day, number in zip(DAYS, NUMBERS, strict=True))
    found = read_table(f"| when | level |\n{rule}\n{rows}")
    assert list(found.numbers["level"]) == NUMBERS
    assert found.reading.units == {}
