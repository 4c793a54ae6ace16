"""The dashboard's front door: page config and navigation. Start it with ``streamlit run dashboard/app.py``.

Each page is a file in views/, known by its path: ``st.switch_page("views/run.py", query_params={"run": …})``.
"""

import sys
from pathlib import Path

# `streamlit run` puts this file's folder on the path; `dashboard` and `trainer` lie in the one above.
HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:
    sys.path.insert(0, str(HERE.parent))

import streamlit as st  # noqa: E402 - the path comes first

from dashboard.components.live_plot import load_early  # noqa: E402

st.set_page_config(page_title="Unfold", page_icon=HERE / "icon.svg", layout="wide")
st.html(HERE / "style.css")
st.logo(str(HERE / "logo.svg"), size="large")

page = st.navigation(
    [
        st.Page("views/welcome.py", title="Home", icon=":material/home:", default=True),
        st.Page("views/launch.py", title="Launch", icon=":material/rocket_launch:"),
        st.Page("views/runs.py", title="Runs", icon=":material/table_rows:"),
        st.Page("views/run.py", title="Run", icon=":material/monitoring:"),
        st.Page("views/inside.py", title="Inside", icon=":material/troubleshoot:"),
        st.Page("views/compare.py", title="Compare", icon=":material/stacked_line_chart:"),
    ],
    position="top",
)
load_early()
page.run()
