"""``train`` and ``resume``: a run in the terminal, with a progress bar."""

from __future__ import annotations

import json
import signal
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from trainer.cli.app import err, errors_told, out, settings
from trainer.cli.client import Client, ServiceError, connected
from trainer.cli.console import as_json as one_line
from trainer.cli.progress import follow
from trainer.cli.show import blown_up, closing, next_command
from trainer.schema import Catalog, Run, RunState

INTERRUPTED_BY_USER = 130

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print the run as one line of JSON at the end, else nothing."),
]


def train(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", exists=True, dir_okay=False, help="A run's configuration, as JSON."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Such as elman, lstm, gru; same as --set model.name=…")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Such as adding, temporal_order, characters."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="FIELD=VALUE", help="Change one field; may be given many times."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the run.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A label; may be given many times.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train one network on one task, and watch.

    Fields that you do not set take defaults with which the task can be learnt. Ctrl-C stops the run with a
    checkpoint, so it can be resumed. The exit code is 0 if the run finished, 1 if it failed, 2 if the
    configuration was refused, 130 after Ctrl-C.

    Examples:

        python -m trainer train --model lstm --task adding

        python -m trainer train --task temporal_order -s task.length=20 -s training.stop_when_solved=true

        python -m trainer train -c run.json -s training.k1=10 -s training.k2=25 --name "short memory"
    """
    body = json_file(config) if config else {}
    with errors_told(), connected(settings(), training=True) as client:
        wanted = assemble(body, [*shorthand(model, task), *(changes or [])])
        wanted = with_defaults(wanted, client.catalog())
        launch: dict[str, Any] = {"config": wanted, "tags": tag or []} | ({"name": name} if name else {})
        run = client.launch(launch, key=str(uuid.uuid4()))
        code = _watch(client, run, as_json=as_json)
    raise typer.Exit(code)


def resume(
    run: Annotated[str, typer.Argument(help="Number of the run, or the beginning of its id.")],
    as_json: AsJson = False,
) -> None:
    """Go on with a run that was stopped, failed or was interrupted, from its last checkpoint.

    Also with one that is running but does not answer: its process is ended.

    One that blew up, its loss or gradient being no finite number any more, would do so again: launch it with
    other settings instead.

    Example:

        python -m trainer resume 3
    """
    with errors_told(), connected(settings(), training=True) as client:
        found = client.find(run)
        for line in blown_up(found):
            err.print(line)
        code = _watch(client, client.resume(found.id), as_json=as_json)
    raise typer.Exit(code)


def json_file(path: Path) -> dict[str, Any]:
    """A configuration file's content.

    Raises:
        ServiceError: it is no JSON object.
    """
    with errors_told():
        try:
            body = read_json(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            remedy = "Correct the file."
            if isinstance(error, UnicodeDecodeError):
                remedy = "Save it as UTF-8 (in PowerShell: … | Out-File -Encoding utf8 run.json)."
            raise ServiceError(f"{path} cannot be read as JSON: {error}.", remedy) from None
        if not isinstance(body, dict):
            raise ServiceError(f"{path} holds no JSON object.", 'Begin it with {"model": …, "task": …}.')
        # What `show --json` prints can be trained again as it is.
        inner = body.get("config")
        return inner if isinstance(inner, dict) else body


def read_json(content: bytes) -> Any:
    """JSON in UTF-8, UTF-16 (as PowerShell 5 writes ``>``) or UTF-32, with a byte order mark or without.

    Raises:
        ValueError: it is none, or has numbers that JSON does not have, such as NaN.
    """
    return json.loads(content, parse_constant=_no_number)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


def shorthand(model: str | None, task: str | None) -> list[str]:
    """``--model`` and ``--task`` as changes."""
    named = {"model": model, "task": task}
    return [f"{section}.name={json.dumps(value)}" for section, value in named.items() if value is not None]


def assemble(body: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """The configuration with each ``path.to.field=value`` put in; a value is JSON, or else a text.

    Raises:
        ServiceError: a change has no ``=``, or its path leads through something that has no fields.
    """
    result: dict[str, Any] = json.loads(json.dumps(body))
    for change in changes:
        path, equals, text = change.partition("=")
        *sections, field = path.strip().split(".")
        if not equals or not field or not all(sections):
            raise ServiceError(
                f"--set {change} is not FIELD=VALUE.", "Write it as --set model.hidden_size=32."
            )
        place = result
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ServiceError(
                    f"--set {change}: {section} has no fields.", "Correct the path before the =."
                )
        try:
            place[field] = json.loads(text, parse_constant=_no_number)
        except (ValueError, RecursionError):
            place[field] = text
    return result


def with_defaults(body: dict[str, Any], catalog: Catalog) -> dict[str, Any]:
    """The configuration; what is missing is filled in: a network, a task, training settings that suit it."""
    model = {"name": catalog.models[0].name} | body.get("model", {})
    task = {"name": catalog.tasks[0].name} | body.get("task", {})
    suited = next((entry.training_defaults for entry in catalog.tasks if entry.name == task["name"]), {})
    return body | {"model": model, "task": task, "training": suited | body.get("training", {})}


def _watch(client: Client, run: Run, *, as_json: bool) -> int:
    """Follow a run to its end and tell how it went; the exit code."""

    def terminated(*_: object) -> None:
        raise KeyboardInterrupt

    # Only Ctrl-C and its like stop the run: with a service of its own this process must see it to its end.
    before = signal.signal(signal.SIGTERM, terminated)
    try:
        run, by_user = follow(client, run)
    finally:
        signal.signal(signal.SIGTERM, before)
    samples = [] if as_json else client.samples(run.id)
    if as_json:
        typer.echo(one_line(run))
    else:
        out.print(closing(run, samples))
    if command := next_command(run):
        err.print(Text(command), soft_wrap=True)  # to be copied: in one line
    if run.state is RunState.FINISHED:
        return 0
    return INTERRUPTED_BY_USER if by_user else 1
