"""The command line. Each command is an HTTP client of the service, like the dashboard."""

from __future__ import annotations

from trainer.cli.app import app
from trainer.cli.console import replace_what_cannot_be_shown
from trainer.cli.export import export
from trainer.cli.manage import delete, runs, show, stop
from trainer.cli.serve import serve
from trainer.cli.train import resume, train

for command in (serve, train, resume, stop, runs, show, export, delete):
    app.command()(command)


def main() -> None:
    """``python -m trainer``."""
    replace_what_cannot_be_shown()
    app(prog_name="python -m trainer")


__all__ = ["app", "main"]
