"""schemathesis makes requests from OpenAPI, right ones and wrong ones: no answer may be a 5xx."""

from __future__ import annotations

import collections
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.prove.ground import Ground
from benchmarks.prove.kills import TRAINING
from benchmarks.prove.promise import Promise, hold
from benchmarks.prove.stand_in import ENDLESS, StandIn
from benchmarks.service import Service

EXAMPLES = 25
"""Of each operation, in each phase."""
SMALL = {
    "model": {"name": "gru", "hidden_size": 8},
    "task": {"name": "adding", "length": 10},
    "training": {**TRAINING, "steps": 200},
}


def no_server_error(ground: Ground) -> str:
    """Once with ids that schemathesis makes up or finds, once with those of a run that is there."""
    with ground.service() as service:
        finished = service.finish(service.launch(SMALL), 120)
        # What is launched from now on waits behind a frozen worker: answers count here, not training.
        holder = StandIn(ground, service, service.launch(ENDLESS))
        try:
            seed = ground.chosen.randrange(2**31)
            phases = ["--phases", "coverage,fuzzing,stateful"]
            statuses = _run(ground, service, "made-up", seed, phases)
            known = ["--phases", "coverage,fuzzing", "--exclude-method", "DELETE"]
            statuses += _run(ground, service, "real", seed, known, str(finished.id))
        finally:
            holder.close()
        service.call("GET", "/health")
    total = sum(statuses.values())
    broken = {status: count for status, count in statuses.items() if status >= 500}
    hold(not broken, f"{sum(broken.values())} of {total:,} answers were 5xx")
    classes = collections.Counter({f"{status // 100}xx": 0 for status in statuses})
    for status, count in statuses.items():
        classes[f"{status // 100}xx"] += count
    told = ", ".join(f"{count:,} × {name}" for name, count in sorted(classes.items()))
    return f"{total:,} requests: {told}, 0 × 5xx"


def _run(
    ground: Ground, service: Service, name: str, seed: int, options: list[str], run_id: str | None = None
) -> collections.Counter[int]:
    """How often each status was answered; Broken with the first 5xx."""
    report = ground.folder / f"{name}.har"
    config = ground.folder / f"{name}.toml"
    config.write_text(f'[parameters]\nrun_id = "{run_id}"\nnumber = 1\n' if run_id else "")
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run"),
        *("--header", f"Authorization: Bearer {service.address.token}", "--checks", "not_a_server_error"),
        *("--max-examples", str(EXAMPLES), "--seed", str(seed), "--no-shrink", "--continue-on-failure"),
        *("--report", "har", "--report-har-path", str(report), "--generation-database", "none", "--no-color"),
        *("--warnings", "off", "--request-timeout", "60", *options, f"{service.address.url}/openapi.json"),
    ]
    done = subprocess.run(command, cwd=ground.folder, capture_output=True, text=True, check=False)
    hold(report.exists(), f"schemathesis did not run: {(done.stdout + done.stderr)[-1500:]}")
    entries = json.loads(report.read_text(encoding="utf-8"))["log"]["entries"]
    for entry in entries:
        if entry["response"]["status"] >= 500:
            hold(False, f"{_told(entry)} → {entry['response']['status']}: {_text(entry['response'])}")
    hold("Traceback" not in done.stderr, f"schemathesis failed: {done.stderr[-1500:]}")
    hold(len(entries) > 100, f"schemathesis made only {len(entries)} requests: {done.stdout[-1500:]}")
    return collections.Counter(int(entry["response"]["status"]) for entry in entries)


def _told(entry: dict[str, Any]) -> str:
    request = entry["request"]
    body = str(request.get("postData", {}).get("text", ""))[:300]
    return f"{request['method']} {request['url']} {body}".strip()


def _text(response: dict[str, Any]) -> str:
    return str(response.get("content", {}).get("text", ""))[:300]


PROMISES = [
    Promise(
        name="fuzz",
        says="No request brings the service to a 5xx",
        tried="schemathesis on its OpenAPI: coverage, fuzzing and stateful phases, with real ids and others",
        proof=no_server_error,
    ),
]
