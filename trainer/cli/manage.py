"""``runs``, ``show``, ``stop`` and ``delete``."""

from __future__ import annotations

import itertools
from typing import Annotated, Any

import typer
from rich.text import Text

from trainer.cli.app import errors_told, out, settings
from trainer.cli.client import ServiceError, connected
from trainer.cli.console import as_json
from trainer.cli.show import next_command, table, whole
from trainer.schema import RunState

Reference = Annotated[str, typer.Argument(help="Number of the run, or the beginning of its id.")]


def runs(
    state: Annotated[RunState | None, typer.Option(help="Only runs in this state.")] = None,
    model: Annotated[str | None, typer.Option(help="Only runs of this network.")] = None,
    task: Annotated[str | None, typer.Option(help="Only runs of this task.")] = None,
    binned: Annotated[
        bool, typer.Option("--bin", help="The runs in the bin, in place of the others.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 30,
    json_lines: Annotated[bool, typer.Option("--json", help="Print each run as one line of JSON.")] = False,
) -> None:
    """List the runs, newest first.

    Examples:

        python -m trainer runs

        python -m trainer runs --state failed --task adding
    """
    with errors_told(), connected(settings()) as client:
        filters: dict[str, Any] = {"state": None if state is None else state.value}
        filters |= {"model": model, "task": task, "binned": True if binned else None}
        found = list(itertools.islice(client.runs(**filters), limit))
    if json_lines:
        for run in found:
            typer.echo(as_json(run))
    elif found:
        out.print(table(found, whole_ids=not out.is_seen))
    elif binned:
        out.print("There are no such runs in the bin.")
    else:
        out.print("There are no such runs. Start one with: python -m trainer train")


def show(
    run: Reference,
    one_line: Annotated[bool, typer.Option("--json", help="Print the run as one line of JSON.")] = False,
) -> None:
    """Show one run: its results, its configuration, and the end of its log.

    Examples:

        python -m trainer show 3

        python -m trainer show 3 --json > again.json && python -m trainer train --config again.json
    """
    with errors_told(), connected(settings()) as client:
        found = client.find(run)
        log = [] if one_line else client.log(found.id)
    if one_line:
        typer.echo(as_json(found))
    else:
        out.print(whole(found, log))
        if found.blew_up:
            out.print(Text(f"\n{next_command(found)}"), soft_wrap=True)


def stop(run: Reference) -> None:
    """Stop a run: it writes a checkpoint first, so that it can be resumed.

    Example:

        python -m trainer stop 3
    """
    with errors_told(), connected(settings()) as client:
        found = client.stop(client.find(run).id)
        out.print(Text(f"Run {found.number} ({found.name}) is asked to stop. It can be resumed."))


def delete(
    run: Reference,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a run with everything it recorded, for good: it does not go into the bin first.

    Example:

        python -m trainer delete 3
    """
    with errors_told(), connected(settings()) as client:
        found = client.find(run)
        if not found.state.is_over:
            raise ServiceError(
                f"Run {found.number} is {found.state}.",
                f"Stop it first: python -m trainer stop {found.number}",
            )
        if not yes:
            typer.confirm(
                f"Delete run {found.number} ({found.name}) and all it recorded, for good?", abort=True
            )
        client.delete(found.id)
        out.print(Text(f"Run {found.number} ({found.name}) is deleted."))
