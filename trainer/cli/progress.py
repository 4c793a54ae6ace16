"""A run as a progress bar on stderr."""

from __future__ import annotations

import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from trainer.cli.app import err
from trainer.cli.client import Client, ServiceAwayError, wait
from trainer.cli.show import figure
from trainer.schema import Run, RunState, percent

AWAY_SECONDS = 60.0
"""How long the service may be away before the bar gives up; the run itself goes on meanwhile."""


def follow(client: Client, run: Run) -> tuple[Run, bool]:
    """Show a run until it is over; the run, and whether the user broke it off.

    The first Ctrl-C stops the run and waits for its checkpoint, the second one leaves it.
    """
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeRemainingColumn(),
        console=err,
    ) as progress:
        bar = progress.add_task(run.name, total=run.config.training.steps, figures="")
        by_user = False
        while True:
            try:
                run = _until_over(client, run, progress, bar)
                return run, by_user
            except KeyboardInterrupt:
                if by_user:
                    err.print(Text("Left while the run was stopping."))
                    return run, True
                by_user = True
                err.print(Text("Stopping: the run writes its checkpoint. Ctrl-C again does not wait for it."))
                run = client.stop(run.id)


def _until_over(client: Client, run: Run, progress: Progress, bar: TaskID) -> Run:
    last_answer = time.monotonic()
    while True:
        try:
            for now in wait(client, run.id):
                run = now
                last_answer = time.monotonic()
                remark = " (queued)" if run.state is RunState.QUEUED else ""
                if run.silent_for is not None:
                    remark = f" (no answer for {run.silent_for} s)"
                progress.update(
                    bar,
                    completed=run.step,
                    description=f"{run.number} {run.name}{remark}",
                    figures=figures(run),
                )
            return run
        except ServiceAwayError:
            if time.monotonic() - last_answer > AWAY_SECONDS:
                raise
            time.sleep(1.0)


def figures(run: Run) -> str:
    """What a run has reached so far, in one line."""
    summary = run.summary
    parts = [f"loss {figure(summary.loss)}"] if summary.loss is not None else []
    if summary.validation_loss is not None:
        wrong = (
            f" ({percent(summary.validation_error, 3)} wrong)" if summary.validation_error is not None else ""
        )
        parts.append(f"validation {figure(summary.validation_loss)}{wrong}")
    if summary.steps_per_second is not None:
        parts.append(f"{summary.steps_per_second:.0f} steps/s")
    return ", ".join(parts)
