"""What the service made of a table, told before a run is launched on it."""

from __future__ import annotations

import streamlit as st

from dashboard.charts.column import column_figure
from dashboard.client import Client, NotFound, Refused
from dashboard.components.live_plot import live_plot
from dashboard.session import show_trouble
from dashboard.text import count, many, plain
from dashboard.theme import RUN_COLORS
from trainer.schema import ColumnPlot, TableReading

SHOWN_LEFT_OUT = 6
SEPARATORS = {"comma": "commas", "semicolon": "semicolons", "tab": "tabs", "bar": "bars"}


def draw_reading(service: Client, corpus: str, column: str) -> None:
    """How the table was read, what was left out, and the column as it will be forecast."""
    url = service.address.url
    try:
        reading = cached_reading(service, url, corpus)
        plot = cached_column(service, url, corpus, column)
    except NotFound:  # a service of an older version
        return
    except Refused as refusal:
        show_trouble(refusal)
        return
    with st.container(key="table-reading", gap="xxsmall"):
        st.caption(told(reading))
        if reading.left_out:
            st.caption(left_out(reading))
        figure = column_figure(plot, color=RUN_COLORS[0], unit=reading.units.get(column, ""))
        live_plot(figure, key="plot-table-column", description=f"The column {column} by its rows")


@st.cache_data(ttl=600, max_entries=50, show_spinner=False)
def cached_reading(_service: Client, url: str, corpus: str) -> TableReading:  # noqa: ARG001 - part of the key
    """How a table was read; it never changes."""
    return _service.table(corpus)


@st.cache_data(ttl=600, max_entries=100, show_spinner=False)
def cached_column(_service: Client, url: str, corpus: str, column: str) -> ColumnPlot:  # noqa: ARG001
    """A column as a plot; it never changes."""
    return _service.column(corpus, column)


def told(reading: TableReading) -> str:
    """The decisions, in a line of words."""
    separator = reading.separator
    parts = [
        f"{count(reading.rows)} rows",
        "one cell per line"
        if separator is None
        else f"cells separated by {SEPARATORS.get(separator, separator)}",
        f"decimal sign {reading.decimal}" if reading.decimal else "no decimal sign",
        f"thousands sign {reading.thousands}" if reading.thousands else "no thousands sign",
        "names above the numbers" if reading.header else "no names above the numbers",
    ]
    if reading.units:
        units = ", ".join(f"{plain(name)} in {plain(unit)}" for name, unit in list(reading.units.items())[:4])
        parts.append(f"units: {units}")
    if reading.titles:
        parts.append(f"{many(reading.titles, 'line')} above them passed over")
    if reading.footers:
        parts.append(f"{many(reading.footers, 'line')} below them passed over")
    if reading.comments:
        parts.append(f"{many(reading.comments, 'comment line')} passed over")
    if reading.missing:
        words = ", ".join(f"“{plain(word)}”" if word else "empty cells" for word in reading.missing[:5])
        parts.append(f"missing: {words}")
    if reading.encoding != "UTF-8":
        parts.append(reading.encoding)
    return f"Read as: {' · '.join(parts)}."


def left_out(reading: TableReading) -> str:
    """The columns that cannot be forecast, each with its reason."""
    parts = [
        f"“{plain(name)}”, {plain(why)}" for name, why in list(reading.left_out.items())[:SHOWN_LEFT_OUT]
    ]
    more = len(reading.left_out) - len(parts)
    if more > 0:
        parts.append(f"and {count(more)} more")
    return f"Left out: {'; '.join(parts)}."
