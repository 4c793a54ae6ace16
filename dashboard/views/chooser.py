"""How a network or a task is chosen: a button that opens the catalogue, grouped, with a line about each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import streamlit as st

from dashboard.forms import Cells, Draft
from dashboard.text import plain
from trainer.schema import CatalogEntry

OTHERS = "Others"
"""Heading of entries that name no group."""
SIGNS = {
    r"\sigma": r"$\sigma(a) = 1/(1+e^{-a})$",
    r"\phi": r"$\phi$ the activation chosen in the form",
    r"\odot": r"$\odot$ multiplies number by number",
}
"""What a reader may not know in the equations."""


def chosen_entry(section: str, entries: Sequence[CatalogEntry], draft: Draft) -> CatalogEntry:
    """The network or task that the draft names, or the first of all."""
    name = draft.changed.get(f"{section}.name")
    return next((entry for entry in entries if entry.name == name), entries[0])


def draw_choice(
    title: str,
    section: str,
    entries: Sequence[CatalogEntry],
    chosen: CatalogEntry,
    draft: Draft,
    cells: Cells,
) -> None:
    """A heading with the chosen entry, which opens the list of all; and what the chosen one is."""
    menu = f"launch.menu:{section}"

    def choose(name: str) -> None:
        draft.changed[f"{section}.name"] = name
        st.session_state[menu] = False  # closes it

    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(title, anchor=False, width="content")
        with (
            st.popover(f"**{plain(chosen.title)}**", key=menu, on_change="rerun"),
            st.container(width=816, gap=None, key=f"menu-{section}"),
        ):
            for place, (group, members) in enumerate(grouped(entries).items()):
                if place:
                    st.space("xsmall")
                st.caption(f"**{plain(group)}**")
                for entry in members:
                    st.button(
                        f"**{plain(entry.title)}** {plain(entry.summary)}",
                        icon=f":material/radio_button_{'checked' if entry is chosen else 'unchecked'}:",
                        type="tertiary",
                        width="stretch",
                        wrap=True,
                        key=f"choose:{section}:{entry.name}",
                        on_click=partial(choose, entry.name),
                    )
        with st.popover("About", icon=":material/menu_book:", type="tertiary"):
            draw_about(chosen)
    path = f"{section}.name"
    cells.by_path[path] = st.container(gap="xxsmall")
    cells.by_path[path].caption(plain(chosen.summary))


def grouped(entries: Sequence[CatalogEntry]) -> dict[str, list[CatalogEntry]]:
    """The entries under their groups' names, both in the catalogue's order; those without a group last."""
    groups: dict[str, list[CatalogEntry]] = {}
    for entry in sorted(entries, key=lambda entry: not entry.group):
        groups.setdefault(entry.group or OTHERS, []).append(entry)
    return groups


def aligned(equations: str) -> str:
    r"""One equation a line, under each other at their first = or \in."""
    lines = [
        re.sub(r"=|\\in\b", lambda sign: f"&{sign[0]}", line, count=1) for line in equations.splitlines()
    ]
    return r"\begin{aligned} " + r" \\ ".join(filter(None, lines)) + r" \end{aligned}"


def legend(equations: str) -> str:
    """What the signs in the equations stand for."""
    used = [words for sign, words in SIGNS.items() if sign in equations]
    return "; ".join(["$x$ input, $h$ hidden units, $y$ output, $W$ weights, $b$ biases", *used]) + "."


def draw_about(entry: CatalogEntry) -> None:
    """What the entry is, its equations or its loss, and where it comes from."""
    with st.container(width=640):
        st.markdown(f"**{plain(entry.title)}.** {plain(entry.description or entry.summary)}")
        if entry.equations:
            st.latex(aligned(entry.equations))
            st.caption(legend(entry.equations))
        if entry.loss_reason:
            unit = (
                f" It is measured in {plain(entry.loss_unit)}." if entry.loss_kind == "cross_entropy" else ""
            )
            st.markdown(f"**Loss.** {plain(entry.loss_reason)}{unit}")
        st.caption(plain(entry.source))
