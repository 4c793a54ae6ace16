"""What every page begins with: a client of the service, and a designed page where there is none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.client import Client, ServiceAway, Trouble, WrongToken
from dashboard.fields import sentence
from dashboard.locate import connect
from dashboard.text import plain

USUAL_START = 15.0
"""Seconds that a first start takes at most on a small machine, while files are read for the first time."""


class _Connection:
    """The one client of this process."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self.lock = threading.Lock()


@st.cache_resource(show_spinner=False)
def _connection() -> _Connection:
    return _Connection()


def client() -> Client:
    """The process's client; the first caller finds or starts the service while the page says so.

    Raises ServiceAway where there is none: ``guarded`` below shows that.
    """
    connection = _connection()
    place = st.empty()  # at every run: were it not always there, all below it would be drawn anew
    if (known := connection.client) is not None:  # read once: another session may forget it meanwhile
        return known
    try:
        with connection.lock:
            found = connection.client or connect(os.environ, waiting=_Starting(place))
            connection.client = found
    finally:
        place.empty()
    return found


def forget() -> None:
    """Look for the service anew at the next request: it may have come back at another address."""
    _connection().client = None


def guarded(draw: Callable[[], None]) -> Callable[[], None]:
    """A page that shows a calm message when the service is away or says no."""

    @wraps(draw)
    def drawn() -> None:
        try:
            draw()
        except (ServiceAway, WrongToken) as trouble:
            forget()
            show_away(trouble)
        except Trouble as trouble:
            show_trouble(trouble)

    return drawn


def guarded_part(draw: Callable[[], None]) -> Callable[[], None]:
    """A fragment of a page. Several may find the service away at once: the page then says so, once.

    A service that lives but did not answer this one request is told where the answer would stand; starting
    the page over could go on for ever. Where another session has found a new service since, the page starts
    over with that one.
    """

    @wraps(draw)
    def drawn() -> None:
        try:
            draw()
        except (ServiceAway, WrongToken) as trouble:
            known = _connection().client
            if known is not None and known.address != (trouble.address or known.address):
                st.rerun()
            if known is not None and known.healthy():
                show_trouble(trouble)
                return
            forget()
            st.rerun()
        except Trouble as trouble:
            show_trouble(trouble)

    return drawn


def show_away(trouble: Trouble) -> None:
    with st.container(key="service-away", gap="medium", horizontal_alignment="left"):
        st.subheader(":material/cloud_off: The training service is away", anchor=False)
        st.markdown(plain(trouble.message))
        what_to_do, _, log = trouble.remedy.partition("\n\n")
        st.caption(plain(what_to_do))
        if log:
            st.code(log, language=None, wrap_lines=True)
        if st.button("Try again", icon=":material/refresh:", type="primary", key="service-away-retry"):
            st.rerun()


def show_trouble(trouble: Trouble) -> None:
    """One refused request, in words, where it happened."""
    words = [sentence(error) for error in trouble.errors] or [trouble.message, trouble.remedy]
    st.error(plain(" ".join(words)), icon=":material/error:")


class _Starting:
    """What a reader sees while a service starts; nothing where one is already there."""

    def __init__(self, place: DeltaGenerator) -> None:
        self.place = place
        self.bar: DeltaGenerator | None = None

    def __call__(self, seconds: float) -> None:
        words = f"{seconds:.0f} s; the first start may take up to {USUAL_START:.0f} s"
        share = min(seconds / USUAL_START, 0.95)
        if self.bar is not None:
            self.bar.progress(share, text=words)
            return
        with self.place.container(gap="small"):
            st.subheader(":material/hourglass_top: Starting the training service", anchor=False)
            st.markdown("It trains your networks in the background, and goes on when you close this page.")
            self.bar = st.progress(share, text=words)
