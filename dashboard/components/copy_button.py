"""A button that puts the address of this page on the reader's clipboard."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_mount = st.components.v2.component(
    "unfold_copy_button",
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
    css=Path(__file__).with_suffix(".css").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def copy_button(label: str, *, key: str) -> None:
    """Copy, at a click, what stands in the browser's address bar at that moment."""
    _mount(key=key, data={"label": label}, width="content")
