"""A Plotly figure that is updated in place, so that the reader's zoom and hidden curves survive new data.

``st.plotly_chart`` mounts a new plot at every change of its data. Here one DOM node per key lives on, and the
script beside this file calls ``Plotly.react`` on it; figures keep their ``uirevision``, so Plotly keeps the
view. Only the figure travels at an update, and nothing where it has not changed.

plotly.js is the file inside the installed plotly package. A component's own script would be sent again with
every message, so it is not part of that script: the folder is registered as a component's assets, Streamlit
serves it at a fixed address, and the browser fetches it once and keeps it.
"""

from __future__ import annotations

from pathlib import Path

import plotly
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v1 import declare_component

_assets = declare_component("plotly_js", path=Path(plotly.__file__).parent / "package_data")

_mount = st.components.v2.component(
    "unfold_live_plot",
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
    css=Path(__file__).with_suffix(".css").read_text(encoding="utf-8"),
    isolate_styles=False,  # Plotly writes its style sheet into the page's head, out of a shadow root's reach
)


def live_plot(figure: go.Figure, *, key: str, description: str, file_name: str = "unfold") -> None:
    """Show ``figure``, or update the plot that ``key`` already shows.

    Args:
        figure: with a fixed height and a ``uirevision``; see `dashboard.charts.style.base_figure`.
        key: the same at every update of this plot, and of no other on the page.
        description: one line for readers who cannot see the plot.
        file_name: of the PNG that the camera button saves, without its ending.
    """
    height = figure.layout.height
    if height is None:
        raise ValueError(f"figure: the plot {key!r} has no height; set layout.height in pixels")
    _mount(
        key=key,
        data={
            # As text from Plotly's encoder, which writes null where json.dumps would write NaN. With the
            # uids, by which a curve that the reader hid stays hidden when others come and go.
            "figure": figure.to_json(remove_uids=False),
            "library": _library(),
            "description": description,
            "file_name": file_name,
        },
        height=int(height),
    )


def load_early() -> None:
    """Let the browser fetch and read plotly.js before a page has a plot: that takes it a second or two."""
    _mount(key="plotly-early", data={"library": _library()}, height=1)  # hidden by style.css


def _library() -> str:
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    root = f"/{base}" if base else ""
    return f"{root}/component/{_assets.name}/plotly.min.js?v={plotly.__version__}"
