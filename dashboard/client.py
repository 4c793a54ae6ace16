"""The only HTTP in the dashboard: one method for each route of the training service, typed by trainer.schema.

Nothing here knows Streamlit. A method returns what the service answered, or raises one of the `Trouble`s
below, each of which can tell a person what happened and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Literal, TypeVar, cast
from uuid import UUID, uuid4

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from trainer.schema import (
    Catalog,
    CheckpointInfo,
    ColumnPlot,
    CorpusInfo,
    DecimalSign,
    EigenvalueSeries,
    ErrorBody,
    Estimate,
    FieldError,
    Inspect,
    Inspection,
    Launch,
    LogLine,
    Run,
    RunPage,
    RunPatch,
    RunState,
    RunViews,
    Sample,
    Series,
    ServiceAddress,
    TableReading,
    ThousandsSign,
    VectorSeries,
)

T = TypeVar("T")

Order = Literal["created", "name", "state", "validation", "step"]
Direction = Literal["ascending", "descending"]

ATTEMPTS = 3
"""Tries of a request that may safely be sent twice."""
TIMEOUT = httpx.Timeout(10.0, connect=3.0)
"""Seconds."""
INSPECTION_TIMEOUT = httpx.Timeout(120.0, connect=3.0)
"""Seconds: an inspection may have to wait for others. The service ends one that takes too long by itself."""


UPLOAD_TIMEOUT = httpx.Timeout(600.0, connect=3.0)
"""Seconds: the service takes uploads one after the other, and a large table takes it many."""


class Trouble(Exception):  # noqa: N818 - named for what the reader of the page is in
    """A request that did not work. ``message`` says what happened, ``remedy`` what to do."""

    address: ServiceAddress | None = None
    """Of the service that was asked, where the trouble lies in reaching it."""

    def __init__(self, message: str, remedy: str = "", errors: Iterable[FieldError] = ()) -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy
        self.errors = list(errors)


class ServiceAway(Trouble):
    """Nobody answers at the service's address."""


class WrongToken(Trouble):
    """The service answers, and does not accept this dashboard's token."""


class NotFound(Trouble):
    """What was asked for is not there; most often a deleted run."""


class Refused(Trouble):
    """The service understood and said no; ``errors`` has one entry for each field at fault."""


class Client:
    """The training service at one address. Safe to share between threads."""

    def __init__(
        self,
        address: ServiceAddress,
        *,
        transport: httpx.BaseTransport | None = None,
        retry_wait: float = 0.2,
    ) -> None:
        self.address = address
        self._retry_wait = retry_wait
        self._http = httpx.Client(
            base_url=address.url,
            headers={"Authorization": f"Bearer {address.token}"},
            timeout=TIMEOUT,
            transport=transport,
            trust_env=False,  # a proxy meant for the web would swallow requests to loopback
        )

    def close(self) -> None:
        self._http.close()

    def __del__(self) -> None:
        # A client given up because its service went away may still serve a page in another thread: so
        # nobody closes it but the last to let go.
        if hasattr(self, "_http"):
            self._http.close()

    # --- What can be launched ------------------------------------------------------------------------

    def healthy(self) -> bool:
        """Whether the service answers at all; never raises."""
        try:
            return self._http.get("/health", timeout=2.0).is_success
        except (httpx.HTTPError, OSError):
            return False

    def welcome(self) -> bool:
        """Whether the service answers and accepts this client's token; never raises."""
        try:
            return self._http.get("/runs", params={"limit": 1}, timeout=2.0).is_success
        except (httpx.HTTPError, OSError):
            return False

    def catalog(self) -> Catalog:
        return self._read(Catalog, "/catalog")

    def corpora(self) -> list[CorpusInfo]:
        return self._read(list[CorpusInfo], "/corpora")

    def add_corpus(
        self,
        name: str,
        content: bytes,
        *,
        table: bool = False,
        decimal: DecimalSign | None = None,
        thousands: ThousandsSign | None = None,
    ) -> CorpusInfo:
        """Upload a text under a name, or a table; its signs are found out where they are not declared.

        What is already there, declared the same, is not stored twice.
        """
        return self._read(
            CorpusInfo,
            "/corpora",
            method="POST",
            query={"table": table, "decimal": decimal, "thousands": thousands},
            files={"file": (name, content, "text/plain")},
            timeout=UPLOAD_TIMEOUT,
        )

    def table(self, corpus_id: str) -> TableReading:
        """How a table was read."""
        return self._read(TableReading, f"/corpora/{corpus_id}/table", timeout=60.0)

    def column(self, corpus_id: str, name: str) -> ColumnPlot:
        """A column of a table, thinned for a plot."""
        return self._read(ColumnPlot, f"/corpora/{corpus_id}/table/plot", query={"name": name})

    def estimate(self, launch: Launch) -> Estimate:
        """What a configuration costs. Raises Refused with one error per field where it is wrong."""
        return self._read(Estimate, "/estimate", method="POST", json=_body(launch), again=True)

    # --- Runs ----------------------------------------------------------------------------------------

    def launch(self, launch: Launch, idempotency_key: str | None = None) -> Run:
        """Start a run. A second request with the same key returns the run that the first one made."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        return self._read(Run, "/runs", method="POST", json=_body(launch), headers=headers, again=True)

    def runs(
        self,
        *,
        states: Iterable[RunState] = (),
        model: str | None = None,
        task: str | None = None,
        tag: str | None = None,
        search: str | None = None,
        binned: bool = False,
        order: Order | None = None,
        direction: Direction | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> RunPage:
        """One page of runs that match every filter given, newest first unless ``order`` says otherwise.

        ``binned`` gives those in the bin, which are left out otherwise.
        """
        query = {
            "state": [state.value for state in states],
            "model": model,
            "task": task,
            "tag": tag,
            "search": search,
            "binned": binned or None,
            "order": order,
            "direction": direction,
            "cursor": cursor,
            "limit": limit,
        }
        return self._read(RunPage, "/runs", query=query)

    def run(self, run_id: UUID) -> Run:
        return self._read(Run, f"/runs/{run_id}")

    def patch(self, run_id: UUID, patch: RunPatch) -> Run:
        """Rename or tag a run, put it into the bin or back; fields that were not set are left as they are."""
        body = patch.model_dump(mode="json", exclude_unset=True)
        return self._read(Run, f"/runs/{run_id}", method="PATCH", json=body, again=True)

    def delete(self, run_id: UUID) -> None:
        """Delete a run for good, in the bin or out of it."""
        self._answer("DELETE", f"/runs/{run_id}")

    def stop(self, run_id: UUID) -> Run:
        return self._read(Run, f"/runs/{run_id}/stop", method="POST", again=True)

    def resume(self, run_id: UUID) -> Run:
        return self._read(Run, f"/runs/{run_id}/resume", method="POST")

    # --- What a run recorded -------------------------------------------------------------------------

    def metrics(
        self,
        run_id: UUID,
        keys: Iterable[str] = (),
        *,
        max_points: int | None = None,
        after_step: int | None = None,
    ) -> dict[str, Series]:
        """The curves of one run by key, thinned by the service to ``max_points`` each; no key means all."""
        query = {"keys": _joined(keys), "max_points": max_points, "after_step": after_step}
        return self._read(dict[str, Series], f"/runs/{run_id}/metrics", query=query)

    def metrics_of(
        self, run_ids: Iterable[UUID], keys: Iterable[str] = (), *, max_points: int | None = None
    ) -> dict[UUID, dict[str, Series]]:
        """The curves of many runs in one request."""
        query = {"ids": _joined(map(str, run_ids)), "keys": _joined(keys), "max_points": max_points}
        return self._read(dict[UUID, dict[str, Series]], "/metrics", query=query)

    def gradients(
        self,
        run_id: UUID,
        names: Iterable[str] = (),
        *,
        max_steps: int | None = None,
        after_step: int | None = None,
    ) -> dict[str, VectorSeries]:
        """Norms of the loss's gradient at each timestep, by quantity and layer (``h/0``)."""
        query = {"names": _joined(names), "max_steps": max_steps, "after_step": after_step}
        return self._read(dict[str, VectorSeries], f"/runs/{run_id}/gradients", query=query)

    def eigenvalues(self, run_id: UUID, *, max_steps: int | None = None) -> dict[str, EigenvalueSeries]:
        """Eigenvalues at each recorded step, by matrix (``Ws/0``, one gate's ``Ws/0/f``)."""
        return self._read(
            dict[str, EigenvalueSeries], f"/runs/{run_id}/eigenvalues", query={"max_steps": max_steps}
        )

    def samples(self, run_id: UUID, *, limit: int | None = None) -> list[Sample]:
        return self._read(list[Sample], f"/runs/{run_id}/samples", query={"limit": limit})

    def log(self, run_id: UUID, *, limit: int | None = None) -> list[LogLine]:
        return self._read(list[LogLine], f"/runs/{run_id}/log", query={"limit": limit})

    # --- Looking inside a run ------------------------------------------------------------------------

    def checkpoints(self, run_id: UUID) -> list[CheckpointInfo]:
        """The checkpoints that are kept, oldest first."""
        return self._read(list[CheckpointInfo], f"/runs/{run_id}/checkpoints")

    def meaningless_views(self, run_id: UUID) -> dict[str, str]:
        """By view that has no meaning for the run's network or task: why."""
        return self._read(RunViews, f"/runs/{run_id}/views", timeout=INSPECTION_TIMEOUT).meaningless

    def inspect(self, run_id: UUID, request: Inspect) -> Inspection:
        """Compute a view of the catalogue. Raises Refused where settings or checkpoint cannot be used."""
        path, body = f"/runs/{run_id}/inspect", _body(request)
        return self._read(Inspection, path, method="POST", json=body, timeout=INSPECTION_TIMEOUT)

    # --- Plumbing ------------------------------------------------------------------------------------

    def _read(
        self,
        kind: type[T],
        path: str,
        *,
        method: str = "GET",
        query: dict[str, Any] | None = None,
        again: bool = False,
        **options: Any,
    ) -> T:
        params = {key: value for key, value in (query or {}).items() if value not in (None, [], "")}
        response = self._answer(method, path, again=again or method == "GET", params=params, **options)
        try:
            answer: T = _adapter(cast(Any, kind)).validate_json(response.content)
        except ValidationError as error:
            raise Refused(
                f"The service at {self.address.url} answered {path} in a form unknown to this dashboard.",
                "Start dashboard and service from the same version of Unfold.",
            ) from error
        return answer

    def _answer(self, method: str, path: str, *, again: bool = False, **options: Any) -> httpx.Response:
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS if again else 1),
            wait=wait_exponential(multiplier=self._retry_wait, max=2.0),
            retry=retry_if_exception_type(httpx.TransportError),
            reraise=True,
        )
        try:
            response = retrying(self._http.request, method, path, **options)
        except httpx.TransportError as error:
            away = ServiceAway(
                f"The training service at {self.address.url} does not answer.",
                "Runs that were training go on if the service is only out of reach. Try again in a moment.",
            )
            away.address = self.address
            raise away from error
        if response.is_success:
            return response
        trouble = _trouble(response, self.address.url)
        trouble.address = self.address
        raise trouble


def _trouble(response: httpx.Response, url: str) -> Trouble:
    try:
        body = ErrorBody.model_validate_json(response.content)
    except ValidationError:
        body = ErrorBody(
            message=f"The service at {url} answered {response.status_code} {response.reason_phrase}.",
            remedy="Its log says more.",
        )
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return WrongToken(
            f"The training service at {url} does not accept this dashboard's token.",
            "Give the dashboard the same UNFOLD_TOKEN as the service, then start it again.",
        )
    kind = NotFound if response.status_code == httpx.codes.NOT_FOUND else Refused
    return kind(body.message, body.remedy, body.errors)


def _body(launch: BaseModel) -> dict[str, Any]:
    return launch.model_dump(mode="json")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _joined(values: Iterable[str]) -> str:
    return ",".join(values)
