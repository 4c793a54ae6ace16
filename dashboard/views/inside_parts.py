"""What the views of the page Inside share: how an inspection is asked for, what the address keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID
from zlib import crc32

import streamlit as st

from dashboard.client import Client, NotFound, Refused
from dashboard.fields import Field
from dashboard.forms import Draft
from dashboard.theme import run_color
from dashboard.views.parts import about_run, labels
from trainer.schema import Inspect, Inspection, Run, ViewEntry, settle

CARRIED = "inside.carried"
"""Where the session keeps which settings came along from another run."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """One view of one run at one of its checkpoints, as the reader chose them."""

    service: Client
    run: Run
    entry: ViewEntry
    step: int | None
    """Of the checkpoint; None where the run keeps none."""
    settings: Mapping[str, Any]
    """The view's own."""
    beside: Sequence[Run] = ()
    """Other runs to be shown with it."""

    @property
    def color(self) -> str:
        return run_color(self.run.number)

    @property
    def names(self) -> dict[UUID, str]:
        """Of this run and those beside it."""
        return labels([self.run, *self.beside])

    def of(self, run: Run, step: int | None) -> Look:
        """The same view of another run, without the settings that have no effect there."""
        parts = self.entry.json_schema.get("properties", {})
        schemas = {f"{self.entry.name}.{name}": part for name, part in parts.items()}
        values = {f"{self.entry.name}.{name}": value for name, value in self.settings.items()}
        settled, _ = settle(schemas, values, about_run(self.service, run))
        settings = {path.partition(".")[2]: value for path, value in settled.items()}
        return replace(self, run=run, step=step, settings=settings)

    def inspect(self, view: str | None = None, **settings: Any) -> Inspection:
        """This view with its settings; or another one of the same checkpoint, with settings of its own."""
        chosen = dict(self.settings) if view is None else settings
        needs = self.entry.needs_checkpoint if view is None else True
        return inspected(self.service, self.run, view or self.entry.name, self.step, chosen, at_rest=needs)


class LinkDraft(Draft):
    """A view's settings, kept in the page's address as ``view.setting``: a link brings them back."""

    def __init__(self, view: str) -> None:
        self._prefix = f"{view}."
        found = {}
        for key in st.query_params:
            if key.startswith(self._prefix):
                try:
                    found[key] = json.loads(st.query_params[key])
                except json.JSONDecodeError:
                    continue  # somebody edited the link: the default stands in
        super().__init__(found)

    def change(self, setting: Field, value: Any) -> None:
        super().change(setting, value)
        _carried().discard(setting.path)
        kept = self.changed.get(setting.path, setting.default)
        if kept != setting.default:
            st.query_params[setting.path] = json.dumps(kept)
        else:
            st.query_params.pop(setting.path, None)

    def drop_carried(self, paths: Iterable[str]) -> bool:
        """Put settings that came along from another run back to their defaults; whether any of these had."""
        dropped = _carried() & self.changed.keys() & set(paths)
        for path in dropped:
            _carried().discard(path)
            st.query_params.pop(path, None)
        return bool(dropped)


def carry_settings() -> None:
    """Another run is chosen: views keep their settings, but the reader did not choose them for that run."""
    st.session_state[CARRIED] = {key for key in st.query_params if "." in key}


def _carried() -> set[str]:
    """Paths of settings that were chosen for another run."""
    carried: set[str] = st.session_state.setdefault(CARRIED, set())
    return carried


def inspected(
    service: Client,
    run: Run,
    view: str,
    step: int | None,
    settings: Mapping[str, Any],
    *,
    at_rest: bool,
) -> Inspection:
    """A view, computed once for each checkpoint and settings; a word says so while it takes its time.

    Args:
        step: of the checkpoint.
        at_rest: the answer hangs on the checkpoint alone, and not on what the run goes on recording.
    """
    request = Inspect(view=view, checkpoint=step, settings=dict(settings)).model_dump_json()
    moment = 0 if at_rest else run.step
    with _working(f"{run.number}-{crc32(request.encode())}"):  # a page may ask several questions
        return _inspected(service, service.address.url, run.id, run.attempt, moment, request)


@st.cache_data(ttl=900, max_entries=100, show_spinner=False)
def _inspected(
    _service: Client,
    url: str,  # noqa: ARG001 - part of the key
    run_id: UUID,
    attempt: int,  # noqa: ARG001 - part of the key: a resumed run may pass the same step again
    moment: int,  # noqa: ARG001 - part of the key
    request: str,
) -> Inspection:
    return _service.inspect(run_id, Inspect.model_validate_json(request))


def meaningless_views(service: Client, run: Run) -> dict[str, str]:
    """By view that has no meaning for the run's network or task: why; of the others nothing is known."""
    try:
        return _meaningless(service, service.address.url, run.id)
    except (NotFound, Refused):  # a service that cannot tell, or a busy one: each view says it by itself
        return {}


@st.cache_data(ttl=900, max_entries=200, show_spinner=False)
def _meaningless(
    _service: Client,
    url: str,  # noqa: ARG001 - part of the key
    run_id: UUID,
) -> dict[str, str]:
    return _service.meaningless_views(run_id)


@contextmanager
def _working(what: str) -> Iterator[None]:
    place = st.empty()
    with place.container(key=f"inside-working-{what}"):  # style.css lets it appear after a moment
        st.markdown(":small[:material/hourglass_top: Computing …]")
    try:
        yield
    finally:
        place.empty()


def choose(label: str, options: Sequence[str], *, key: str, words: Callable[[str], str], width: int) -> str:
    """One of the options, kept in the address under ``key`` by its own name and not by its words."""
    asked = st.query_params.get(key)
    st.session_state[key] = asked if asked in options else options[0]

    def remember() -> None:
        st.query_params[key] = st.session_state[key]

    chosen: str = st.selectbox(label, options, format_func=words, key=key, on_change=remember, width=width)
    return chosen
