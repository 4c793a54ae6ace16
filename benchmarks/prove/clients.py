"""Forty clients at once: none gets an error, no launch is lost or made twice."""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any
from uuid import uuid4

import httpx

from benchmarks.prove.ground import Ground
from benchmarks.prove.kills import LSTM
from benchmarks.prove.promise import Promise, hold
from benchmarks.prove.recorded import same, unbroken, whole
from benchmarks.service import Service

CLIENTS = 40
ROUNDS = 8


def forty(ground: Ground) -> str:
    """Each launches, reads, renames, stops and deletes, while a run trains and reports."""
    with ground.service() as service:
        expected = unbroken(service, LSTM)
        trained = service.launch(LSTM)
        together = threading.Barrier(CLIENTS)
        shared = [str(uuid4()) for _ in range(ROUNDS)]
        seeds = [ground.chosen.random() for _ in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            done = list(
                pool.map(
                    lambda n: Client(service, n, Random(seeds[n]), shared, together).work(), range(CLIENTS)
                )
            )
        times = [seconds for client in done for seconds in client["times"]]
        kept = {run_id for client in done for run_id in client["kept"]}
        by_key = [{client["shared"][turn] for client in done} for turn in range(ROUNDS)]
        hold(all(len(ids) == 1 for ids in by_key), f"one Idempotency-Key made several runs: {by_key}")
        found = _all_runs(service)
        wanted = kept | {run_id for ids in by_key for run_id in ids} | {str(trained.id)}
        names = [run["name"] for run in found if run["name"].startswith("client")]
        hold(wanted <= {run["id"] for run in found}, "runs that were launched are not in the list")
        hold(
            len(names) == len(set(names)) == len(kept), f"{len(kept)} runs were kept, {len(names)} are there"
        )
        for run in found:
            if run["state"] == "queued":
                service.call("DELETE", f"/runs/{run['id']}")
        equal = same(expected, whole(service, trained))
    slow = statistics.quantiles(times, n=20)[-1]
    return (
        f"{CLIENTS} clients, {len(times):,} requests, none failed; 95% within {1000 * slow:.0f} ms; "
        f"{ROUNDS} keys shared by all made {len(by_key)} runs; the run under way: {equal}"
    )


def _all_runs(service: Service) -> list[dict[str, Any]]:
    found, cursor = [], None
    while True:
        page = service.call("GET", "/runs", params={"limit": 100, **({"cursor": cursor} if cursor else {})})
        found += page["runs"]
        if (cursor := page["next"]) is None:
            return found


class Client:
    """One of the forty, with a connection of its own."""

    def __init__(
        self, service: Service, number: int, chosen: Random, shared: list[str], together: threading.Barrier
    ) -> None:
        self.number, self.chosen, self.shared, self.together = number, chosen, shared, together
        self.http = httpx.Client(
            base_url=service.address.url, headers=service.http.headers, timeout=60, trust_env=False
        )
        self.times: list[float] = []

    def work(self) -> dict[str, Any]:
        """What it made, and how long each answer took."""
        kept, by_key = [], []
        with self.http:
            for turn in range(ROUNDS):
                self.together.wait(60)
                shared = self._ask(
                    "POST", "/runs", json={"config": LSTM}, headers={"Idempotency-Key": self.shared[turn]}
                )
                by_key.append(str(shared["id"]))
                run = self._ask(
                    "POST", "/runs", json={"config": LSTM, "name": f"client {self.number} turn {turn}"}
                )
                path = f"/runs/{run['id']}"
                self._ask("PATCH", path, json={"tags": [f"c{self.number}"]})
                for other in self.chosen.sample(
                    ["/runs", "/catalog", f"{path}/metrics", f"{path}/log", "/corpora"], 3
                ):
                    self._ask("GET", other)
                hold(
                    self._ask("GET", path)["tags"] == [f"c{self.number}"],
                    "a change that was answered is not there",
                )
                if self.chosen.random() < 0.5:
                    self._ask("DELETE", path)
                else:
                    kept.append(str(run["id"]))
        return {"kept": kept, "shared": by_key, "times": self.times}

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        began = time.monotonic()
        reply = self.http.request(method, path, **options)
        self.times.append(time.monotonic() - began)
        hold(reply.is_success, f"{method} {path}: {reply.status_code} {reply.text[:300]}")
        return reply.json() if reply.content else None


PROMISES = [
    Promise(
        name="clients",
        says="Forty clients at once get right answers",
        tried="40 clients launch, change, read, delete in step beside a run that trains; keys are shared",
        proof=forty,
    ),
]
