"""A run whose numbers grow beyond all bounds: it leads with that, wherever a reader meets it."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from rich.console import Console

from tests.trainer.test_cli import data, unfold  # noqa: F401 - fixtures
from trainer.cli.show import closing, next_command, whole
from trainer.schema import Run, RunConfig, RunState, Summary, blow_up, blow_up_words

EXPLODING = [
    *("--model", "elman", "--task", "adding", "-s", "model.nonlinearity=relu", "-s", "model.hidden_size=32"),
    *("-s", "task.length=60", "-s", "training.steps=60", "-s", "training.optimizer=sgd"),
    *("-s", "training.learning_rate=10", "-s", "training.clip=null"),
]


def run_of(state: RunState, reason: str | None, **training: Any) -> Run:
    now = datetime.now(UTC)
    return Run(
        id=uuid4(),
        number=3,
        name="a run",
        tags=[],
        state=state,
        reason=reason,
        attempt=1,
        step=3,
        config=RunConfig.model_validate(
            {"model": {"name": "elman"}, "task": {"name": "adding"}, "training": training}
        ),
        summary=Summary(),
        created_at=now,
        started_at=now,
        ended_at=now,
        can_resume=state.can_resume,
    )


def printed(thing: Any) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(thing)
    return console.export_text()


@pytest.mark.parametrize("what", ["the loss", "the gradient's norm"])
@pytest.mark.parametrize(
    ("value", "said"),
    [(math.nan, "not a number (NaN)"), (math.inf, "infinite"), (-math.inf, "minus infinite")],
)
def test_every_such_end_is_known_again_and_told_in_words(what: Any, value: float, said: str) -> None:
    run = run_of(RunState.FAILED, blow_up(what, value, 1234), learning_rate=0.5, clip="norm", clip_at=2.0)
    assert run.blew_up
    told, way_out = blow_up_words(run.reason or "", run.config.training)
    assert told == f"Training blew up: {what} became {said} at update 1,234."
    assert "to the last bit" in way_out
    assert "a learning rate below 0.5" in way_out
    assert "a clipping threshold below 2" in way_out


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (RunState.FAILED, "RuntimeError: the loss became nan at update 3 somewhere else"),
        (RunState.FAILED, None),
        (RunState.INTERRUPTED, "its process was told to end (SIGTERM) at update 3; resume it to go on"),
        (RunState.QUEUED, "the loss became nan at update 3"),
    ],
)
def test_no_other_end_is_taken_for_one(state: RunState, reason: str | None) -> None:
    assert not run_of(state, reason).blew_up


def test_in_a_terminal_it_comes_before_all_figures_and_names_a_command_that_changes_something() -> None:
    run = run_of(RunState.FAILED, "the loss became nan at update 3", learning_rate=10, clip=None)
    for text in (printed(closing(run, [])), printed(whole(run, []))):
        assert text.index("Training blew up: the loss became not a number (NaN) at update 3.") < text.index(
            "State"
        )
        assert "Resuming would repeat that, to the last bit" in text
    assert "resume" not in next_command(run)
    assert next_command(run).endswith("-s training.learning_rate=1 -s training.clip=norm")
    clipped = run_of(RunState.FAILED, "the loss became nan at update 3", learning_rate=0.02, clip="norm")
    assert next_command(clipped).endswith("-s training.learning_rate=0.002")
    assert next_command(run_of(RunState.STOPPED, "stopped at update 3")) == (
        "Go on with it: python -m trainer resume 3"
    )
    assert next_command(run_of(RunState.FINISHED, None)) == ""


def test_a_run_that_blew_up_says_so_is_resumed_with_a_warning_and_ends_the_same(
    unfold: Any,  # noqa: F811
) -> None:
    first = unfold("train", *EXPLODING, code=1)
    line = "Training blew up: the loss became not a number (NaN) at update 3."
    assert line in first.output
    assert "Go on with it" not in first.output
    number = json.loads(unfold("runs", "--state", "failed", "--json").stdout.splitlines()[0])["number"]
    assert f"python -m trainer show {number} --json > again.json" in first.output
    assert line in unfold("show", str(number)).output
    again = unfold("resume", str(number), code=1)

    assert again.output.count(line) == 2, "before it is repeated, and after"
    assert (
        json.loads(unfold("show", str(number), "--json").stdout)["reason"]
        == "the loss became nan at update 3"
    )
