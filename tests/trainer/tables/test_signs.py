"""Decimal and thousands signs: decided from the whole file, and refused where they may be either."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from trainer.tables import Choice, TableError, read_table
from trainer.tables.columns import judged
from trainer.tables.numerals import shape

WHOLE = [700 + 37 * n for n in range(50)]


def grouped(value: int, sign: str) -> str:
    return f"{value:,}".replace(",", sign)


def test_a_sign_that_another_column_proves_to_be_decimal_makes_the_other_one_group() -> None:
    rows = "".join(f"{grouped(n, '.')};{n % 90},{n % 7}5\n" for n in WHOLE)
    table = read_table(f"Zahl;Anteil\n{rows}")
    assert list(table.numbers["Zahl"]) == WHOLE
    assert (table.reading.decimal, table.reading.thousands) == ("comma", "point")


@pytest.mark.parametrize("sign", [",", "."])
def test_a_series_that_crosses_a_thousand_without_a_fall_is_grouped(sign: str) -> None:
    text = "day\tsold\n" + "".join(f"2024-{n:02d}\t{grouped(v, sign)}\n" for n, v in enumerate(WHOLE))
    assert list(read_table(text).numbers["sold"]) == WHOLE


@pytest.mark.parametrize("sign", [",", "."])
@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_three_digits_after_every_sign_may_be_either_and_are_asked_for(sign: str, separator: str) -> None:
    cells = [grouped(1234 + 571 * n, sign) for n in range(50)]
    text = f"a{separator}b\n" + "".join(f"x{separator}{cell}\n" for cell in cells)
    with pytest.raises(TableError) as caught:
        read_table(text)
    word = "comma" if sign == "," else "point"
    assert f"line 2 has '1{sign}234', which is 1234 if" in caught.value.problem
    assert f"decimal={word}" in caught.value.remedy
    said = read_table(text, Choice(thousands=word))
    assert list(said.numbers["b"]) == [1234 + 571 * n for n in range(50)]
    said = read_table(text, Choice(decimal=word))
    assert list(said.numbers["b"]) == [float(cell.replace(sign, ".")) for cell in cells]


def test_three_digits_on_every_line_of_a_file_with_commas_between_cells_are_decimals() -> None:
    table = read_table("a,b\n" + "".join(f"x,{20 + n * 0.013:.3f}\n" for n in range(50)))
    assert list(table.numbers["b"]) == [float(f"{20 + n * 0.013:.3f}") for n in range(50)]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["12,34,567.89", "1,00,000"], [1234567.89, 100000]),
        (["1'234.5", "12’345"], [1234.5, 12345]),
        (["1\u202f234,5", "7"], [1234.5, 7]),
        (["1\u00a0234,5", "1 000"], [1234.5, 1000]),
        (["\u22125,5", "+3,25"], [-5.5, 3.25]),
        (["1.234.567", "0,5"], [1234567, 0.5]),
        (["1,5E+03", "-2,25e-1"], [1500, -0.225]),
    ],
)
def test_numbers_of_many_countries(cells: list[str], values: list[float]) -> None:
    text = "t\tx\n" + "".join(f"a\t{cell}\n" for cell in cells * 20)
    assert list(read_table(text).numbers["x"]) == values * 20


@pytest.mark.parametrize(
    "cell", ["(5.25)", "5.25-", "45 %", "1.2.3", "1,23,45", "12,3456,789", "1_000", "٣٤"]
)
def test_a_cell_that_is_no_number_for_certain_leaves_its_column_out_by_name(cell: str) -> None:
    rows = [f"{n % 13}.25\t{n % 7}.5" for n in range(50)]
    rows[20] = f"{cell}\t1.5"
    table = read_table("x\ty\n" + "\n".join(rows))
    assert list(table.numbers) == ["y"]
    assert table.others["x"] == f"line 22 has {cell!r}"


def test_columns_by_another_convention_are_left_out_and_a_tie_is_refused() -> None:
    rows = [f"{n % 90},{n % 7}5;{n % 40},5;{n % 30}.75" for n in range(50)]
    table = read_table("a;b;c\n" + "\n".join(rows))
    assert list(table.numbers) == ["a", "b"]
    assert table.others["c"] == "line 2 has '0.75', and the file's decimal sign is the comma"
    tie = "\n".join(row.partition(";")[2] for row in rows)
    with pytest.raises(TableError, match="different decimal signs"):
        read_table("b;c\n" + tie)


def test_times_of_day_prove_no_decimal_point() -> None:
    rows = "".join(f"{n % 24}.{n % 60:02d};{grouped(1033 + 91 * n, '.')}\n" for n in range(50))
    with pytest.raises(TableError, match="nothing in the file tells"):
        read_table(f"Uhr;Menge\n{rows}")


def test_two_columns_between_spaces_are_not_one_number() -> None:
    with pytest.raises(TableError, match="one number or two columns"):
        read_table("".join(f"{n + 1} {n * 7 % 900 + 100}\n" for n in range(60)))


def test_a_column_judged_at_once_has_the_shapes_of_its_cells_one_by_one() -> None:
    """Two ways to the same: bytes of the whole column, and regular expressions on each cell."""
    drawn = random.Random(0)
    cells = ["".join(drawn.choices("0019.,' -+\u2212’\u00a0e", k=drawn.randint(1, 7))) for _ in range(5_000)]
    found = judged(pa.array(cells))
    for cell, code in zip(cells, found.codes, strict=True):
        assert shape(cell.strip()) == (None if code < 0 else found.shapes[code])


@pytest.mark.parametrize("above", ["pH", "when,pH"])
def test_small_decimals_that_might_be_times_are_numbers_where_nothing_else_is(above: str) -> None:
    cells = [f"{7 + n % 2}.{10 + n % 40}" for n in range(60)]
    days = "2024-01-01," if "," in above else ""
    table = read_table(above + "\n" + "".join(f"{days}{cell}\n" for cell in cells))
    assert list(table.numbers["pH"]) == [float(cell) for cell in cells]


@pytest.mark.parametrize(
    "date", ["{m:02d}.{y}", "{m}.{y}", "{y}.{m:02d}", "{d}.{m}", "{d:02d}.{m:02d}", "{h:02d}.{d:02d}"]
)
def test_dates_and_times_with_points_do_not_decide_the_decimal_sign(date: str) -> None:
    """01.1990 beside 1,100: the point in the date says nothing of the comma."""
    dates = [date.format(m=n % 12 + 1, d=n % 28 + 1, y=1990 + n // 12, h=n % 24) for n in range(60)]
    pairs = list(enumerate(dates))
    table = read_table("when;x\n" + "".join(f"{at};{n % 9 + 1},{n % 7}\n" for n, at in pairs))
    assert list(table.numbers) == ["x"]
    assert table.numbers["x"][1] == 2.1
    with pytest.raises(TableError, match="'1,100', which is 1100 if"):
        read_table("when;x\n" + "".join(f"{at};{n % 9 + 1},{100 + n}\n" for n, at in pairs))
    table = read_table("when;x\n" + "".join(f"{at};{n % 9}\n" for n, at in pairs))
    assert list(table.numbers) == ["x"]
    assert "time or a date" in table.others["when"]
