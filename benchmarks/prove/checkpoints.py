"""Damaged checkpoints are told by their SHA-256: a run resumes from the one before, or anew, and says so."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import text

from benchmarks.prove.ground import Ground
from benchmarks.prove.kills import TRAINING
from benchmarks.prove.processes import until
from benchmarks.prove.promise import Promise, hold
from benchmarks.prove.recorded import same, unbroken, whole
from benchmarks.service import Service
from trainer.schema import Run, RunState


def flip(data: bytes, chosen: Random) -> bytes:
    """One bit."""
    at = chosen.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chosen.randrange(8)]) + data[at + 1 :]


def cut(data: bytes, chosen: Random) -> bytes:
    """Cut off somewhere."""
    return data[: chosen.randrange(1, len(data))]


def blank(data: bytes, chosen: Random) -> bytes:
    """A page of zeros."""
    at = chosen.randrange(max(1, len(data) - 4096))
    return (
        data[:at] + bytes(len(data[at : at + 4096])) + data[at + 4096 :] if any(data[at : at + 4096]) else b""
    )


def longer(data: bytes, chosen: Random) -> bytes:
    """More behind it."""
    return data + chosen.randbytes(1)


def empty(data: bytes, chosen: Random) -> bytes:  # noqa: ARG001
    """Nothing."""
    return b""


DAMAGES: tuple[Callable[[bytes, Random], bytes], ...] = (flip, cut, blank, longer, empty)

CONFIG: dict[str, Any] = {
    "model": {"name": "gru", "hidden_size": 24},
    "task": {"name": "adding", "length": 25},
    "training": {**TRAINING, "steps": 1500, "batch_size": 16},
}


def damage(ground: Ground, run: Run, how: Callable[[bytes, Random], bytes], steps: list[int]) -> None:
    """Change the bytes of these checkpoints in the database, and nothing else."""
    with ground.sql() as connection:
        for step in steps:
            which = {"run": run.number, "step": step}
            data = bytes(
                connection.execute(
                    text("SELECT data FROM checkpoints WHERE run = :run AND step = :step"), which
                ).scalar_one()
            )
            changed = how(data, ground.chosen)
            hold(changed != data, "the damage changed nothing: mend the proof")
            connection.execute(
                text("UPDATE checkpoints SET data = :data WHERE run = :run AND step = :step"),
                {**which, "data": changed},
            )


def stopped(service: Service) -> tuple[Run, list[int]]:
    """A run that was stopped, and the steps of the checkpoints that it left: two, as a rule."""
    run = service.launch(CONFIG)

    def steps() -> list[int]:
        return [entry["step"] for entry in service.call("GET", f"/runs/{run.id}/checkpoints")]

    until(lambda: steps() or service.run(run).state.is_over, 60)
    # The second is written when the run is told to stop, so as not to wait for its time.
    service.call("POST", f"/runs/{run.id}/stop")
    hold(until(lambda: service.run(run).state.is_over, 60), "a run does not stop")
    return run, steps()


def resumed_without(ground: Ground) -> str:
    """Each kind of damage to the newest checkpoint, and one of them to all."""
    before = anew = 0
    with ground.service() as service:
        expected = unbroken(service, CONFIG)
        equal = ""
        for how in DAMAGES:
            run, steps = stopped(service)
            hold(len(steps) >= 1, "a stopped run keeps no checkpoint")
            every = how is DAMAGES[0] or len(steps) == 1
            spoilt = steps if every else steps[-1:]
            damage(ground, run, how, spoilt)
            service.call("POST", f"/runs/{run.id}/resume")
            equal = same(expected, whole(service, run))
            said = [line["text"] for line in service.call("GET", f"/runs/{run.id}/log")]
            for step in spoilt:
                told = any("damaged" in line and str(step) in line for line in said)
                hold(
                    told,
                    f"a checkpoint damaged by {how.__name__} at {step} was dropped without a word: {said}",
                )
            kept = [step for step in steps if step not in spoilt]
            from_here = f"checkpoint at update {kept[-1]}" if kept else "damaged"
            hold(
                any(from_here in line for line in said),
                f"the run did not resume from {kept or 'the start'}: {said}",
            )
            before, anew = before + (not every), anew + every
        refused = _no_code(ground, service)
    return (
        f"{len(DAMAGES)} kinds of damage: {before} resumed from the one before, {anew} anew, each said so; "
        f"{equal}; {refused}"
    )


class _Touch:
    """Pickled, it would make a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def _no_code(ground: Ground, service: Service) -> str:
    """A checkpoint that carries code, with the SHA-256 it should have: it is refused, not run."""
    run, _ = stopped(service)
    trap = ground.folder / "code-was-run"
    data = pickle.dumps(_Touch(trap))
    with ground.sql() as connection:
        connection.execute(
            text("UPDATE checkpoints SET data = :data, sha256 = :sha WHERE run = :run"),
            {"data": data, "sha": hashlib.sha256(data).hexdigest(), "run": run.number},
        )
    service.http.post(f"/runs/{run.id}/inspect", json={"view": "jacobians"}, timeout=60)
    service.call("POST", f"/runs/{run.id}/resume")
    over = service.finish(run, 60)
    hold(not trap.exists(), "code that stood in a checkpoint was run")
    hold(
        over.state is RunState.FAILED and over.reason,
        f"a checkpoint that is none gave a run that is {over.state}",
    )
    return "one that carries code is refused"


PROMISES = [
    Promise(
        name="checkpoints",
        says="A damaged checkpoint is never used, and one that carries code never runs it",
        tried="bits flipped, cut, blanked, lengthened, emptied in the database; resume; run compared by ==",
        proof=resumed_without,
    ),
]
