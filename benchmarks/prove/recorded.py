"""All that a run has recorded, read through the API, so that two runs can be compared by ``==``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.prove.promise import Broken
from benchmarks.service import Service
from trainer.schema import Run, RunState

Recorded = dict[str, Any]
SPEEDS = ("steps_per_second", "sequences_per_second")
Losses = list[tuple[int, float | None]]


def recorded(service: Service, run: Run) -> Recorded:
    """Curves, gradients, eigenvalues, samples and results; not times, which no two runs share."""
    found: Recorded = {}
    for key, series in service.call("GET", f"/runs/{run.id}/metrics").items():
        if key not in SPEEDS:
            found[key] = list(zip(series["step"], series["value"], strict=True))
    for kind in ("gradients", "eigenvalues", "samples"):
        found[kind] = service.call("GET", f"/runs/{run.id}/{kind}")
    summary = service.call("GET", f"/runs/{run.id}")["summary"]
    # The clip rate is taken over the attempt; its curve, `clipped`, is compared above.
    found["summary"] = {
        name: value for name, value in summary.items() if name not in (*SPEEDS, "seconds", "clip_rate")
    }
    return found


def losses(service: Service, run: Run) -> Losses:
    """(step, loss) of every update that the API shows."""
    series = service.series(run, "loss")
    return [] if series is None else list(zip(series.step, series.value, strict=True))


def unbroken(service: Service, config: Mapping[str, Any], patience: float = 200.0) -> Recorded:
    """What the run records when nobody disturbs it."""
    run = service.launch(config)
    return whole(service, run, patience)


def whole(service: Service, run: Run, patience: float = 200.0) -> Recorded:
    """Wait for the end of a run and give what it recorded; Broken unless it made every update."""
    over = service.finish(run, patience)
    if over.state is not RunState.FINISHED:
        raise Broken(f"run {run.number} is {over.state} at update {over.step}: {over.reason}")
    steps = [step for step, _ in losses(service, run)]
    if steps != list(range(1, over.step + 1)):
        raise Broken(f"run {run.number} made {over.step} updates and shows {len(steps)}")
    return recorded(service, run)


def same(expected: Recorded, found: Recorded) -> str:
    """The number of equal values, in words; Broken with the first difference otherwise."""
    if expected == found:
        return f"{sum(map(_count, expected.values())):,} values equal"
    for name in sorted(expected.keys() | found.keys()):
        if (one := expected.get(name)) != (other := found.get(name)):
            raise Broken(f"{name} differs from that of the undisturbed run: {difference(one, other)}")
    raise AssertionError("two dicts differ without a key that does")


def difference(expected: Any, found: Any) -> str:
    """Where two lists part, or the two things themselves."""
    if isinstance(expected, list) and isinstance(found, list):
        for one, other in zip(expected, found, strict=False):
            if one != other:
                return f"expected {str(one)[:200]}, found {str(other)[:200]}"
        return f"expected {len(expected)} entries, found {len(found)}"
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in expected.keys() | found.keys():
            if expected.get(name) != found.get(name):
                return f"{name}: {difference(expected.get(name), found.get(name))}"
    return f"expected {str(expected)[:200]}, found {str(found)[:200]}"


def _count(value: Any) -> int:
    """Numbers and words in a nest of lists and dicts."""
    if isinstance(value, dict):
        return sum(map(_count, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_count, value))
    return 1
