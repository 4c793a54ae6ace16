"""Which text or table a task reads: one of those the service has, or one that is uploaded here."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard.client import Client, Refused
from dashboard.forms import Cells, Draft
from dashboard.session import show_trouble
from dashboard.text import count, many, plain
from dashboard.views.table_reading import draw_reading
from trainer.schema import CatalogEntry, CorpusInfo, shown_line

CORPUS, COLUMN = "corpus", "column"
"""The settings that every task with ``needs_corpus``, and with ``needs_table``, has."""


def draw_corpus(
    service: Client, task: CatalogEntry, draft: Draft, cells: Cells, section: str = "task"
) -> dict[str, Any]:
    """The text for a task that reads one, or the table and its column; returns what these settings hold."""
    path = f"{section}.{CORPUS}"
    corpora = {c.id: c for c in service.corpora() if (c.kind == "table") is task.needs_table}
    default = task.json_schema["properties"][CORPUS].get("default")
    cells.by_path[path] = cell = st.container(gap="xsmall")
    if not corpora:
        cell.caption("The service has none yet.")
        with cell:
            draw_upload_button(service, draft, path, table=task.needs_table)
        return {CORPUS: default}
    with cell:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            chosen = draw_selection(
                "Table" if task.needs_table else "Text",
                path,
                {key: f"{corpus.name} · {describe(corpus)}" for key, corpus in corpora.items()},
                default,
                draft,
                width=390 if task.needs_table else 520,
            )
            values = {CORPUS: chosen}
            if task.needs_table:
                cells.by_path[f"{section}.{COLUMN}"] = column = st.container(width=200, gap="xxsmall")
                names = corpora[chosen].columns
                with column:
                    values[COLUMN] = draw_selection(
                        "Column",
                        f"{section}.{COLUMN}",
                        {name: shown_line(name) for name in names},
                        names[0],
                        draft,
                    )
            draw_upload_button(service, draft, path, table=task.needs_table)
        st.caption(f"Begins: “{plain(' '.join(corpora[chosen].preview[:160].split()))}…”")
        if task.needs_table:
            draw_reading(service, chosen, values[COLUMN])
    return values


def draw_selection(
    label: str, path: str, titles: dict[str, str], default: Any, draft: Draft, width: Any = "stretch"
) -> str:
    """One of ``titles``: the user's own choice where it is among them, else the default, else the first."""
    key = f"field:{path}"
    wanted = draft.changed.get(path)
    st.session_state[key] = next((w for w in (wanted, default) if w in titles), next(iter(titles)))

    def remember() -> None:
        draft.changed[path] = st.session_state[key]

    return str(
        st.selectbox(
            label, list(titles), format_func=lambda k: titles[k], key=key, on_change=remember, width=width
        )
    )


def describe(corpus: CorpusInfo) -> str:
    """Its size, as a reader of the list wants to know it."""
    if corpus.columns:
        return f"{many(len(corpus.columns), 'column')} of numbers"
    return f"{count(corpus.characters)} characters, {corpus.vocabulary} distinct"


DECIMAL_SIGNS = {"": "found out", "point": "point: 3.14", "comma": "comma: 3,14"}
THOUSANDS_SIGNS = {
    "": "found out",
    "comma": "comma: 1,033",
    "point": "point: 1.033",
    "space": "space: 1 033",
    "apostrophe": "apostrophe: 1'033",
    "none": "none: 1033",
}


def draw_signs() -> dict[str, Any]:
    """What the user says of a table's signs; a file that can be read in two ways is refused without it."""
    signs: dict[str, Any] = {}
    with st.container(horizontal=True):
        for name, label, titles in (
            ("decimal", "Decimal sign", DECIMAL_SIGNS),
            ("thousands", "Thousands sign", THOUSANDS_SIGNS),
        ):
            key = f"launch.sign:{name}"
            said = st.selectbox(label, list(titles), format_func=titles.__getitem__, key=key, width=190)
            signs[name] = said or None
    return signs


def draw_upload_button(service: Client, draft: Draft, path: str, *, table: bool) -> None:
    """A button that opens an uploader; what was uploaded is chosen at once."""
    attempt = st.session_state.setdefault("launch.uploads", 0)
    label = "Upload a table" if table else "Upload a text"
    with st.popover(
        label, icon=":material/upload:", key=f"launch.upload-menu:{attempt}"
    ):  # a new one is closed
        st.markdown(
            "A CSV file with a column of numbers: one line for each timestep, oldest first. How it is "
            "written is found out, and shown before you launch. It stays on the machine that trains."
            if table
            else "A plain text in UTF-8. It stays on the machine that trains."
        )
        upload = st.file_uploader(
            "CSV file" if table else "Text file", key=f"launch.upload:{attempt}", max_upload_size=20
        )
        signs = draw_signs() if table else {}
        if upload is None:
            return
        try:
            corpus = service.add_corpus(upload.name, upload.getvalue(), table=table, **signs)
        except Refused as refusal:
            show_trouble(refusal)
            return
        draft.changed[path] = corpus.id
        st.session_state["launch.uploads"] = attempt + 1  # a fresh, empty uploader
        st.rerun()
