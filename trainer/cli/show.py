"""Runs as text: figures, tables, and the closing words of ``train``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from trainer.schema import ForecastSample, LogLine, Run, RunState, Sample, TextSample

STYLES = {
    RunState.QUEUED: "cyan",
    RunState.RUNNING: "blue",
    RunState.FINISHED: "green",
    RunState.STOPPED: "yellow",
    RunState.FAILED: "red",
    RunState.INTERRUPTED: "magenta",
}


def figure(value: float | None) -> str:
    """A loss or a norm, in four significant digits."""
    return "–" if value is None else f"{value:.4g}"


def percent(share: float | None) -> str:
    """A share of 0 to 1 as a person reads it."""
    return "–" if share is None else f"{100 * share:.3g}%"


def ago(then: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    past = datetime.now(UTC) - then
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        if past >= length:
            return f"{past // length} {unit}"
    return f"{max(0, past.seconds)} s"


def table(runs: Iterable[Run]) -> Table:
    """Runs, one a row."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("No.", "Id", "Name", "State", "Network", "Task"):
        grid.add_column(title)
    for title in ("Step", "Best validation loss", "Wrong", "Steps/s", "Age"):
        grid.add_column(title, justify="right")
    for run in runs:
        summary = run.summary
        grid.add_row(
            str(run.number),
            str(run.id)[:8],
            Text(run.name),
            Text(run.state, style=STYLES[run.state]),
            Text(str(run.config.model.get("name"))),
            Text(str(run.config.task.get("name"))),
            f"{run.step}/{run.config.training.steps}",
            figure(summary.best_validation_loss),
            percent(summary.best_validation_error),
            "–" if summary.steps_per_second is None else f"{summary.steps_per_second:.0f}",
            ago(run.created_at),
        )
    return grid


def facts(run: Run) -> Table:
    """How a run went, one fact a row."""
    grid = Table.grid(padding=(0, 2))
    summary, chance = run.summary, run.summary.chance

    def add(what: str, value: str | Text) -> None:
        grid.add_row(Text(what, style="dim"), value)

    add("State", Text(run.state, style=STYLES[run.state]))
    if run.reason:
        add("Reason", Text(run.reason))
    if run.binned_at is not None:
        add("In the bin", f"since {ago(run.binned_at)}; deleted for good after a day")
    add("Steps", f"{run.step} of {run.config.training.steps}")
    if summary.parameters is not None:
        add("Parameters", f"{summary.parameters:,}")
    if summary.validation_loss is not None:
        against = f" (chance {figure(chance.loss)})" if chance else ""
        add("Validation loss", figure(summary.validation_loss) + against)
    if summary.validation_error is not None:
        against = f" (chance {percent(chance.error)})" if chance and chance.error is not None else ""
        add("Validation error", percent(summary.validation_error) + against)
    if summary.test_total:
        verdict = {True: ": solved", False: ": not solved", None: ""}[summary.solved]
        add("Closing test", f"{summary.test_wrong:,} wrong of {summary.test_total:,} fresh ones{verdict}")
    if summary.bits_per_character is not None:
        add("Bits per character", f"{summary.bits_per_character:.3f}")
    if summary.clip_rate is not None:
        add("Clipped", f"{percent(summary.clip_rate)} of the updates")
    if summary.seconds is not None:
        add("Training time", f"{summary.seconds:.1f} s")
    if summary.steps_per_second is not None:
        add("Speed", f"{summary.steps_per_second:.0f} steps/s")
    return grid


def sample_text(sample: Sample) -> RenderableType:
    """What the network produced."""
    content = sample.content
    if isinstance(content, TextSample):
        title = f"Sample at step {sample.step}, temperature {content.temperature:g}"
        return Panel(Text.assemble((content.prompt, "bold"), content.text), title=title, title_align="left")
    if isinstance(content, ForecastSample):
        return Text(f"Sample at step {sample.step}: {content.detail}")
    mark = "right" if content.correct else "wrong"
    return Text(
        f"Sample at step {sample.step}: target {content.target}, network {content.prediction} ({mark}"
        + (f"; {content.detail})" if content.detail else ")")
    )


def closing(run: Run, samples: list[Sample]) -> Group:
    """The last words of ``train``: results, and the newest samples."""
    last = max((sample.step for sample in samples), default=0)
    newest = [sample_text(sample) for sample in samples if sample.step == last][:4]
    return Group(Text(f"{run.number} {run.name}", style="bold"), facts(run), *newest)


def whole(run: Run, log: list[LogLine]) -> Group:
    """Everything that ``show`` tells of a run."""
    parts: list[RenderableType] = [
        Text(f"{run.number} {run.name}", style="bold"),
        Text(str(run.id), style="dim"),
    ]
    if run.tags:
        parts.append(Text("Tags: " + ", ".join(run.tags)))
    parts += [facts(run), Text("\nConfiguration", style="bold")]
    parts.append(Text(json.dumps(run.config.model_dump(mode="json"), indent=2)))
    if log:
        parts.append(Text("\nLog", style="bold"))
        parts += [Text(f"{line.at:%Y-%m-%d %H:%M:%S} {line.level:7} {line.text}") for line in log[-20:]]
    return Group(*parts)
