"""A column of a table as the launch form shows it."""

from __future__ import annotations

from dashboard.charts.column import column_figure
from trainer.schema import ColumnPlot


def test_numbers_stand_over_their_rows_with_gaps_where_they_are_missing() -> None:
    plot = ColumnPlot(name="rain", rows=[1, 5, 9], values=[2.0, None, 4.0])
    figure = column_figure(plot, color="#0072b2", unit="mm")
    [line] = figure.data
    assert (list(line.x), list(line.y)) == ([1, 5, 9], [2.0, None, 4.0])
    assert line.connectgaps is False
    assert figure.layout.yaxis.title.text == "rain (mm)"
    assert figure.layout.yaxis.rangemode == "normal"
    assert figure.layout.height


def test_a_number_between_two_missing_ones_has_a_dot_however_long_the_column_is() -> None:
    values: list[float | None] = [float(n) for n in range(100)]
    values[40] = values[42] = None
    [line] = column_figure(
        ColumnPlot(name="rain", rows=list(range(1, 101)), values=values), color="#0072b2"
    ).data
    assert "markers" in line.mode
    assert [place for place, size in enumerate(line.marker.size) if size] == [41]
