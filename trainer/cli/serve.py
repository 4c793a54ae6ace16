"""``serve``: the service in the foreground."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
from rich.text import Text

from trainer.cli.app import errors_told, out, settings
from trainer.host import hosting
from trainer.lifeline import departure


def serve(
    host: Annotated[
        str | None, typer.Option(help="Network address to listen on [env: UNFOLD_HOST; default: 127.0.0.1].")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="TCP port; 0 takes a free one [env: UNFOLD_PORT; default: 8763].")
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(help="Runs that train at the same time [env: UNFOLD_SLOTS; default: one per CPU core]."),
    ] = None,
    show_token: Annotated[
        bool, typer.Option("--show-token", help="Print the token that requests need.")
    ] = False,
) -> None:
    """Start the training service and keep it running until Ctrl-C.

    Runs wait in a queue and train as slots come free. Ctrl-C lets every run write a checkpoint before the
    service ends; resume such a run later, and it goes on exactly where it was.

    Examples:

        python -m trainer serve

        UNFOLD_SLOTS=4 python -m trainer serve --port 0
    """
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S%z",  # local time, and how far it is from UTC
    )
    chosen = settings({"host": host, "port": port, "slots": slots})
    with departure() as leaving, errors_told(), hosting(chosen, leaving=leaving) as server:
        if leaving.tell(server):
            return
        where = "UNFOLD_TOKEN" if chosen.token else str(chosen.data / "service.json")
        token = server.address.token if show_token else f"in {where}"
        line = f"Unfold's service is at {server.address.url} (token: {token}). Ctrl-C ends it."
        out.print(Text(line), soft_wrap=True)
        server.serve_here()
