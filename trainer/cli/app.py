"""The typer app, and what its commands share: consoles and the way errors are told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import typer
from rich.text import Text

from trainer.cli.client import ServiceError
from trainer.cli.console import WordsConsole
from trainer.host import HostError
from trainer.settings import Settings, SettingsError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""Unfold: train recurrent networks and watch their gradients travel back through time.

    Begin with a run of two minutes:

        python -m trainer train --model gru --task adding

    List what you have trained, and look at one run:

        python -m trainer runs

        python -m trainer show 1

    The commands use the service that runs on this machine or that UNFOLD_URL names. Where there is none,
    they start one for as long as they need it. `serve` starts one that stays.
    """,
)

out = WordsConsole()
"""Results."""
err = WordsConsole(stderr=True)
"""Progress and errors."""

WRONG_USE = 2


def settings(given: dict[str, Any] | None = None) -> Settings:
    """The environment; ends the command when it cannot be."""
    with errors_told():
        return Settings.read(given)


@contextlib.contextmanager
def errors_told() -> Iterator[None]:
    """Tell an expected error in words instead of a traceback, and exit with code 2."""
    try:
        yield
    except (SettingsError, HostError) as error:
        err.print(Text(str(error), style="red"))
        raise typer.Exit(WRONG_USE) from None
    except ServiceError as error:
        # With a line for each field, message and remedy would only say one of them again.
        message, remedy = ("This was refused:", "") if error.errors else (error.message, error.remedy)
        err.print(Text(message, style="red"))
        for item in error.errors:
            field = item.field.removeprefix("config.")  # as it stands in a file and after --set
            value = "" if item.value is None else f" = {item.value!r}"
            err.print(Text.assemble("  ", (field, "bold"), f"{value}: {item.problem}; {item.remedy}"))
        if remedy:
            err.print(Text(remedy))
        raise typer.Exit(WRONG_USE) from None
