"""The dashboard's front door: what is served, and page config and navigation.

Start it with ``streamlit run dashboard/app.py``. Streamlit imports this file once for the server, ``app``,
which lets requests through a guard of ours; and it runs the file anew for every reader, to draw a page. Each
page is a file in views/, known by its path: ``st.switch_page("views/run.py", query_params={"run": …})``.
"""

import os
import sys
from pathlib import Path

# `streamlit run` puts this file's folder on the path; `dashboard` and `trainer` lie in the one above.
HERE = Path(__file__).resolve().parent
if str(HERE.parent) not in sys.path:
    sys.path.insert(0, str(HERE.parent))

import streamlit as st  # noqa: E402 - the path comes first
from starlette.middleware import Middleware  # noqa: E402
from streamlit import config  # noqa: E402

from dashboard.access import NotSafe, configured  # noqa: E402
from dashboard.guard import Guard  # noqa: E402
from dashboard.lifeline import follow  # noqa: E402


def draw() -> None:
    """The page that the reader's address asks for."""
    from dashboard.components.live_plot import load_early  # registers a component, which only a page can do

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


if __name__ == "__main__":
    draw()
elif __name__ != "__mp_main__":  # which a process that multiprocessing starts from here would run
    try:
        allowed = configured(config, os.environ)
    except NotSafe as danger:
        sys.exit(str(danger))
    if allowed.note:
        print(allowed.note, file=sys.stderr)  # noqa: T201 - at the start, before there is a log
    follow(os.environ)
    app = st.App(
        __file__, middleware=[Middleware(Guard, access=allowed, base=config.get_option("server.baseUrlPath"))]
    )
