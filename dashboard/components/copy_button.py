"""A button that puts a text, or the address of this page, on the reader's clipboard."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_mount = st.components.v2.component(
    "unfold_copy_button",
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
    css=Path(__file__).with_suffix(".css").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def copy_button(label: str, *, key: str, text: str | None = None) -> None:
    """Copy ``text`` at a click; None copies the address in the browser's address bar at that moment."""
    _mount(key=key, data={"label": label, "text": text}, width="content")
