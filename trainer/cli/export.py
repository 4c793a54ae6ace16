"""``export``: runs as files for other tools."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from trainer.cli.app import errors_told, out, settings
from trainer.cli.client import ServiceError, connected
from trainer.export import Record, write_csv, write_parquet, write_tensorboard


class Format(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    PARQUET = "parquet"
    TENSORBOARD = "tensorboard"


Folder = Annotated[
    Path, typer.Option("--out", "-o", file_okay=False, help="Where to write; made if need be.")
]
WRITERS = {Format.CSV: write_csv, Format.PARQUET: write_parquet, Format.TENSORBOARD: write_tensorboard}


def export(
    runs: Annotated[list[str], typer.Argument(help="Numbers of the runs, or the beginnings of their ids.")],
    fmt: Annotated[Format, typer.Option("--format", "-f", help="What to write.")] = Format.CSV,
    folder: Folder = Path("export"),
) -> None:
    """Write every metric of one or more runs to files.

    csv and parquet: metrics (run, metric, step, seconds, sequences, value), gradients (run, quantity, step,
    timestep, norm), eigenvalues (run, matrix, step, real, imaginary), and runs.json with the configurations.
    tensorboard: a folder of event files for each run.

    Examples:

        python -m trainer export 1 2 3 --out results

        python -m trainer export 1 2 3 --format tensorboard --out results && tensorboard --logdir results
    """
    with errors_told(), connected(settings()) as client:
        found = {run.id: run for run in map(client.find, runs)}
        records = [
            Record(run, client.metrics(run.id), client.gradients(run.id), client.eigenvalues(run.id))
            for run in found.values()
        ]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            paths = WRITERS[fmt](records, folder)
        except OSError as error:
            raise ServiceError(
                f"{folder} cannot be written: {error}.", "Name another folder with --out."
            ) from None
    for path in paths:
        out.print(Text(f"Wrote {path}"), soft_wrap=True)
