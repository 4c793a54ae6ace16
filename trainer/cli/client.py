"""The command line's line to a service, over HTTP as everyone else's."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
from pydantic import TypeAdapter, ValidationError

from trainer.host import find_service, hosting
from trainer.schema import (
    Catalog,
    EigenvalueSeries,
    ErrorBody,
    FieldError,
    LogLine,
    Run,
    RunPage,
    Sample,
    Series,
    ServiceAddress,
    VectorSeries,
)
from trainer.settings import Settings


class ServiceError(Exception):
    """The service refused, or did not answer."""

    def __init__(self, message: str, remedy: str = "", errors: list[FieldError] | None = None) -> None:
        super().__init__(message)
        self.message, self.remedy, self.errors = message, remedy, errors or []


class ServiceAwayError(ServiceError):
    """No connection, or no answer in time."""


class Client:
    """Calls of one service; every answer comes back as its type in ``trainer.schema``."""

    def __init__(self, address: ServiceAddress, *, hosted: bool) -> None:
        self.url = address.url
        self.hosted = hosted
        """Whether the service lives in this very process, and ends with it."""
        self._http = httpx.Client(
            base_url=address.url,
            headers={"Authorization": f"Bearer {address.token}"},
            timeout=60.0,
            trust_env=False,  # a proxy from the environment must not see the token
        )

    def close(self) -> None:
        self._http.close()

    def catalog(self) -> Catalog:
        return Catalog.model_validate_json(self._call("GET", "/catalog"))

    def launch(self, launch: dict[str, Any], key: str) -> Run:
        """Queue a run. The launch goes out as the user wrote it: the service says what is wrong with it."""
        # In ASCII: an argument that is not UTF-8 comes as characters that UTF-8 does not have.
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        return Run.model_validate_json(
            self._call("POST", "/runs", content=json.dumps(launch), headers=headers)
        )

    def run(self, run_id: UUID) -> Run:
        return Run.model_validate_json(self._call("GET", f"/runs/{run_id}"))

    def runs(self, **filters: Any) -> Iterator[Run]:
        """All runs that match, newest first, page by page; ``binned=True`` gives those in the bin."""
        cursor: str | None = None
        while True:
            given = filters | {"limit": 100, "cursor": cursor}
            query = {name: value for name, value in given.items() if value is not None}
            page = RunPage.model_validate_json(self._call("GET", "/runs", params=query))
            yield from page.runs
            if (cursor := page.next) is None:
                return

    def find(self, reference: str) -> Run:
        """The run with this number, or whose id begins so.

        Raises:
            ServiceError: there is none, or more than one.
        """
        with contextlib.suppress(ValueError):
            return self.run(UUID(reference))
        wanted = reference.removeprefix("#").lower()
        found = []
        for run in itertools.chain(self.runs(), self.runs(binned=True)):
            if str(run.number) == wanted:
                return run
            if len(wanted) >= 4 and str(run.id).startswith(wanted):
                found.append(run)
        if len(found) == 1:
            return found[0]
        problem = (
            f"More than one run's id begins with {reference}." if found else f"There is no run {reference}."
        )
        raise ServiceError(problem, "List the runs with: python -m trainer runs")

    def stop(self, run_id: UUID) -> Run:
        return Run.model_validate_json(self._call("POST", f"/runs/{run_id}/stop"))

    def resume(self, run_id: UUID) -> Run:
        return Run.model_validate_json(self._call("POST", f"/runs/{run_id}/resume"))

    def delete(self, run_id: UUID) -> None:
        self._call("DELETE", f"/runs/{run_id}")

    def metrics(self, run_id: UUID) -> dict[str, Series]:
        """Every metric, every point."""
        return TypeAdapter(dict[str, Series]).validate_json(self._call("GET", f"/runs/{run_id}/metrics"))

    def gradients(self, run_id: UUID) -> dict[str, VectorSeries]:
        body = self._call("GET", f"/runs/{run_id}/gradients")
        return TypeAdapter(dict[str, VectorSeries]).validate_json(body)

    def eigenvalues(self, run_id: UUID) -> dict[str, EigenvalueSeries]:
        body = self._call("GET", f"/runs/{run_id}/eigenvalues")
        return TypeAdapter(dict[str, EigenvalueSeries]).validate_json(body)

    def samples(self, run_id: UUID) -> list[Sample]:
        return TypeAdapter(list[Sample]).validate_json(self._call("GET", f"/runs/{run_id}/samples"))

    def log(self, run_id: UUID) -> list[LogLine]:
        return TypeAdapter(list[LogLine]).validate_json(self._call("GET", f"/runs/{run_id}/log"))

    def _call(self, method: str, path: str, **request: Any) -> bytes:
        try:
            response = self._http.request(method, path, **request)
        except httpx.TimeoutException:
            raise ServiceAwayError(
                f"The service at {self.url} did not answer within 60 s.",
                "Look at its log, or restart it.",
            ) from None
        except httpx.TransportError as error:
            raise ServiceAwayError(
                f"The service at {self.url} cannot be reached ({error}).",
                "Start it with: python -m trainer serve. Or correct UNFOLD_URL.",
            ) from None
        if response.is_success:
            return response.content
        try:
            body = ErrorBody.model_validate_json(response.content)
        except ValidationError:
            raise ServiceError(
                f"The service at {self.url} answered {response.status_code} to {method} {path}.",
                "See whether UNFOLD_URL names a service of the same version.",
            ) from None
        raise ServiceError(body.message, body.remedy, body.errors)


@contextlib.contextmanager
def connected(settings: Settings, *, training: bool = False) -> Iterator[Client]:
    """A client of the service that UNFOLD_URL names or that uses the data folder, else of one started here.

    Args:
        settings: the environment.
        training: whether a service started here shall train; else it only reads the store.
    """
    if settings.url is not None:
        token = settings.token.get_secret_value() if settings.token else ""
        address: ServiceAddress | None = ServiceAddress(url=settings.url.rstrip("/"), token=token, pid=0)
    else:
        address = find_service(settings.data)
    with contextlib.ExitStack() as stack:
        if hosted := address is None:
            # For this command alone: nobody else needs to reach it.
            settings = settings.model_copy(update={"host": "127.0.0.1", "port": 0})
            server = stack.enter_context(hosting(settings, training=training))
            stack.enter_context(server.serving_aside())
            address = server.address
        client = Client(address, hosted=hosted)
        stack.callback(client.close)
        yield client


def wait(client: Client, run_id: UUID, seconds: float = 0.25) -> Iterator[Run]:
    """The run, again and again, until it is over."""
    while True:
        run = client.run(run_id)
        yield run
        if run.state.is_over:
            return
        time.sleep(seconds)
