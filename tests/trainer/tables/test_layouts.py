"""Files as people save them: what separates cells, what stands above the numbers, and what is passed over."""

from __future__ import annotations

import math

import pytest

from trainer.tables import Choice, TableError, read_table

DAYS = [f"{day % 28 + 1:02d}.{day // 28 + 1:02d}.2024" for day in range(50)]
WAVE = [20 + 7 * math.sin(day / 6) for day in range(50)]
GERMAN = [f"{value:.2f}".replace(".", ",") for value in WAVE]
NUMBERS = [float(f"{value:.2f}") for value in WAVE]


def german(cells: list[str], *above: str) -> str:
    rows = [f"{day};{cell}" for day, cell in zip(DAYS, cells, strict=False)]
    return "\n".join([*(above or ("Tag;Pegel",)), *rows]) + "\n"


def refused(text: str, choice: Choice | None = None) -> TableError:
    with pytest.raises(TableError) as caught:
        read_table(text, choice or Choice())
    return caught.value


def test_a_german_file_with_one_odd_cell_is_refused_by_that_cell_and_never_becomes_its_cents() -> None:
    error = refused(german([*GERMAN[:30], "ausgefallen", *GERMAN[31:]]))
    assert "'Pegel': line 32 has 'ausgefallen'" in error.problem
    assert "line 32" in error.remedy


def test_cells_with_a_currency_are_no_numbers_and_are_not_cut_at_their_comma() -> None:
    for first in ("Tag;Pegel", "01.01.2023;EUR 19,99"):
        assert "EUR" in refused(german([f"EUR {cell}" for cell in GERMAN], first)).problem


@pytest.mark.parametrize("word", ["---", "k.A.", "#NV", "n/a", "–", ""])
def test_words_for_a_missing_number_are_told_and_leave_a_gap(word: str) -> None:
    table = read_table(german([*GERMAN[:30], word, *GERMAN[31:]]))
    assert math.isnan(table.numbers["Pegel"][30])
    assert list(table.numbers["Pegel"][31:]) == NUMBERS[31:]
    assert table.reading.missing == [word]


def test_a_cell_that_is_missing_in_a_spreadsheets_words_begins_no_comment() -> None:
    cells = [*(f"{value:.2f}" for value in WAVE[:20]), "#N/A", *(f"{value:.2f}" for value in WAVE[21:])]
    table = read_table("a|b\n" + "".join(f"{cell}|{place % 7}\n" for place, cell in enumerate(cells)))
    assert len(table.numbers["b"]) == 50
    assert table.reading.comments == 0


def test_units_titles_comments_and_the_sep_line_are_passed_over_and_told() -> None:
    text = german(GERMAN, "sep=;", "# von Hand", "Station 5", "Tag;Pegel", ";m ü. NN")
    table = read_table(text)
    assert list(table.numbers["Pegel"]) == NUMBERS
    told = table.reading
    assert (told.separator, told.decimal, told.header, told.titles, told.comments) == (
        "semicolon", "comma", True, 1, 1,
    )  # fmt: skip
    assert told.units == {"Pegel": "m ü. NN"}
    assert told.left_out == {"Tag": "line 6 has '01.01.2024'"}


def test_a_first_row_of_data_is_not_taken_for_units() -> None:
    assert "line 2 has 'defekt'" in refused(german(["defekt", *GERMAN[1:]])).problem


def test_the_sep_line_is_believed() -> None:
    rows = "".join(f"{place};{cell}\n" for place, cell in enumerate(GERMAN))
    assert read_table(f"sep=;\nn;x\n{rows}").reading.separator == "semicolon"
    colons = "".join(f"{place % 7}:{value:.2f}\n" for place, value in enumerate(WAVE))
    assert list(read_table(f"sep=:\nn:x\n{colons}").numbers["x"]) == NUMBERS


def test_a_separator_at_the_end_of_each_row_costs_neither_names_nor_columns() -> None:
    table = read_table("t;p;note\n" + "".join(f"{value:.2f};{n % 9};;\n" for n, value in enumerate(WAVE)))
    assert list(table.numbers) == ["t", "p"]
    assert dict(table.others) == {"note": "empty"}


@pytest.mark.parametrize("every", [1, 8])
def test_one_column_of_decimal_commas_is_one_column(every: int) -> None:
    """Also where some are whole numbers; with two digits nothing is in doubt."""
    cells = [cell if place % every or every == 1 else "20" for place, cell in enumerate(GERMAN)]
    table = read_table("Leistung\n" + "\n".join(cells))
    assert list(table.numbers) == ["Leistung"]
    assert list(table.numbers["Leistung"]) == [float(cell.replace(",", ".")) for cell in cells]


@pytest.mark.parametrize(
    "above", ["Tag,Pegel", "Tag, Pegel", "Pegel"], ids=["fewer names", "spaced names", "one name"]
)
def test_commas_that_separate_and_stand_in_numbers_are_refused(above: str) -> None:
    lines = [f"{value:.1f}".replace(".", ",") for value in WAVE]
    days = [f"2024-{n // 28 + 1:02d}-{n % 28 + 1:02d}" for n in range(50)]
    rows = [",".join(pair) for pair in zip(days, lines, strict=True)]
    error = refused("\n".join([above, *rows]))
    assert "comma" in error.problem
    assert "decimal=comma" in error.remedy


def test_commas_without_a_line_of_names_are_refused_until_somebody_says_what_they_are() -> None:
    text = "".join(f"{n % 9 + 11},{n % 7 + 11}\n" for n in range(50))
    assert "separator=comma" in refused(text).remedy
    assert len(read_table(text, separator=",").numbers) == 2
    assert list(read_table(text, Choice(decimal="comma")).numbers) == ["column 1"]


def test_columns_that_only_count_come_last() -> None:
    """A time axis is a straight line: whole, in fractions, with gaps, or one year for many rows."""
    axes = {
        "years": [1950 + n // 12 for n in range(60)],
        "months": [n % 12 + 1 for n in range(60)],
        "decimal years": [f"{1950 + n / 12:.4f}" for n in range(60)],
        "seconds": [f"{n / 10:.1f}" for n in range(60)],
        "thirtieths": [f"{n / 30:.2f}" for n in range(60)],
        "excel": [44927 + n * 30 + n % 3 for n in range(60)],
    }
    for name, axis in axes.items():
        rows = "".join(f"{at},{300 + n % 13 * 1.5}\n" for n, at in enumerate(axis))
        assert list(read_table(f"{name},level\n{rows}").numbers) == ["level", name]


def test_a_rising_series_that_is_no_axis_keeps_its_place() -> None:
    rows = "".join(f"{1.2**n:.3f},{n % 7}.5\n" for n in range(50))
    assert list(read_table(f"growth,x\n{rows}").numbers) == ["growth", "x"]


def test_names_in_a_comment_right_above_the_numbers_are_names() -> None:
    text = "# day, level\n" + "".join(f"{n},{value:.2f}\n" for n, value in enumerate(WAVE))
    assert list(read_table(text).numbers) == ["level", "day"]


def test_an_axis_that_falls_has_gaps_or_is_rounded_comes_last_as_well() -> None:
    axes = {
        "newest first": [f"{2020 - n / 12:.4f}" for n in range(60)],
        "years back": [2020 - n for n in range(60)],
        "gaps": [f"{n / 8:.3f}" if n % 3 else "" for n in range(60)],
        "rounded": [f"{n * 0.04:.1f}" for n in range(60)],
    }
    for name, axis in axes.items():
        rows = "".join(f"{at};{300 + n % 13 * 1.5}\n" for n, at in enumerate(axis))
        assert list(read_table(f"{name};level\n{rows}").numbers) == ["level", name]


@pytest.mark.parametrize("begins", [5, 450])
def test_commas_within_numbers_are_noticed_where_an_empty_column_follows(begins: int) -> None:
    """998,, and then 1,002: also where that comes after the first few hundred lines."""
    rows = [f"2024,{n % 90 + 900}," if n < begins else f"2024,1,{n % 90:03d}" for n in range(500)]
    error = refused("year,visitors,note\n" + "\n".join(rows))
    assert f"line {begins + 2} has '1,{begins % 90:03d}'" in error.problem
    assert "separator=comma" in error.remedy
    read_table("year,visitors,note\n" + "\n".join(rows), separator=",")


def test_a_column_that_is_empty_at_times_is_read_beside_others() -> None:
    rows = [f"2024,{n % 90 + 900},{n % 40 if n % 3 else ''}" for n in range(90)]
    assert {"visitors", "note"} <= set(read_table("year,visitors,note\n" + "\n".join(rows)).numbers)


def test_spaced_names_and_the_comma_declared_are_believed() -> None:
    """A remedy that is told is one that works."""
    text = "low, high\n" + "".join(f"{n % 9 + 11},{n % 7 + 21}\n" for n in range(50))
    assert "separator=comma" in refused(text).remedy
    assert list(read_table(text, separator=",").numbers) == ["low", "high"]
    with pytest.raises(TableError) as caught:
        read_table("day,level\n" + "".join(f"{n}.1.,{n % 9},{n % 7}\n" for n in range(50)), separator=",")
    assert "separator=comma" not in caught.value.remedy


def test_german_thousands_with_a_decimal_comma_are_not_cut_without_a_name_above_them() -> None:
    refused("1.000,0\n" * 40 + "999,9\n" * 20)
    whole = "".join(f"{n % 3 + 1}.{n:03d},{n % 10}\n" for n in range(50))
    refused(whole)
    table = read_table(whole, Choice(decimal="comma"))
    assert list(table.numbers["column 1"])[:3] == [1000.0, 2001.1, 3002.2]


def test_indian_thousands_are_not_cut_into_columns() -> None:
    """Nor where some numbers are too small to have any."""
    cells = [f"{n % 8 + 1},{n % 90:02d},{n * 7 % 1000:03d}.58" for n in range(40)]
    assert "comma" in refused("\n".join(["Temp", *cells, *["0.00"] * 9])).problem
