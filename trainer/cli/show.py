"""Runs as text: figures, tables, and the closing words of ``train``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from trainer.schema import (
    ForecastSample,
    LogLine,
    Run,
    RunState,
    Sample,
    TextSample,
    blow_up_words,
    percent,
)

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


def ago(then: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    past = max(timedelta(0), datetime.now(UTC) - then)  # the clock may have been set back since
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        if past >= length:
            return f"{past // length} {unit}"
    return f"{past.seconds} s"


def state_text(run: Run) -> Text:
    """The run's state in its colour, and whether its worker does not answer."""
    if run.silent_for is None:
        return Text(run.state, style=STYLES[run.state])
    return Text(f"{run.state}, no answer for {run.silent_for} s", style="red")


def table(runs: Iterable[Run], *, whole_ids: bool = False) -> Table:
    """Runs, one a row; with their whole ids where another program reads them."""
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("No.", "Id", "Name", "State", "Network", "Task"):
        grid.add_column(title)
    for title in ("Step", "Best validation loss", "Wrong", "Steps/s", "Age"):
        grid.add_column(title, justify="right")
    for run in runs:
        summary = run.summary
        grid.add_row(
            str(run.number),
            str(run.id) if whole_ids else str(run.id)[:8],
            Text(run.name),
            state_text(run),
            Text(str(run.config.model.get("name"))),
            Text(str(run.config.task.get("name"))),
            f"{run.step}/{run.config.training.steps}",
            figure(summary.best_validation_loss),
            percent(summary.best_validation_error, 3),
            "–" if summary.steps_per_second is None else f"{summary.steps_per_second:.0f}",
            ago(run.created_at),
        )
    return grid


def facts(run: Run) -> Table:
    """How a run went, one fact a row."""
    grid = Table.grid(padding=(0, 2))
    summary, chance = run.summary, run.summary.chance
    of = f" on {chance.held_back}" if chance and chance.held_back else ""

    def add(what: str, value: str | Text) -> None:
        grid.add_row(Text(what, style="dim"), value)

    add("State", state_text(run))
    if run.silent_for is not None:
        add("", f"Resume it to go on from its last checkpoint: python -m trainer resume {run.number}")
    if run.reason:
        add("Reason", Text(run.reason))
    if run.binned_at is not None:
        add("In the bin", f"since {ago(run.binned_at)}; deleted for good after a day")
    add("Steps", f"{run.step} of {run.config.training.steps}")
    if summary.parameters is not None:
        add("Parameters", f"{summary.parameters:,}")
    if summary.validation_loss is not None:
        against = f" (chance {figure(chance.loss)}{of})" if chance else ""
        add("Validation loss", figure(summary.validation_loss) + against)
    if summary.validation_error is not None:
        blind = None if chance is None else chance.error
        against = "" if blind is None else f" (chance {percent(blind, 3)}{of})"
        add("Validation error", percent(summary.validation_error, 3) + against)
    if tested := summary.test_words:
        verdict = {True: ": solved", False: ": not solved", None: ""}[summary.solved]
        add("Closing test", tested + verdict)
    if summary.bits_per_character is not None:
        add("Bits per character", f"{summary.bits_per_character:.3f}")
    if summary.clip_rate is not None:
        add("Clipped", f"{percent(summary.clip_rate, 3)} of the updates")
    if summary.seconds is not None:
        add("Training time", f"{summary.seconds:.1f} s")
    if summary.steps_per_second is not None:
        add("Speed", f"{summary.steps_per_second:.0f} steps/s")
    return grid


def blown_up(run: Run) -> list[Text]:
    """What comes before all figures of a run that blew up; nothing of any other."""
    if not run.blew_up:
        return []
    what, way_out = blow_up_words(run.reason or "", run.config.training)
    return [Text(what, style=STYLES[RunState.FAILED]), Text(way_out)]


def next_command(run: Run) -> str:
    """What to type after a run that is over but did not finish; empty where nothing is left to do."""
    if not run.can_resume:
        return ""
    if not run.blew_up:
        return f"Go on with it: python -m trainer resume {run.number}"
    training = run.config.training
    changes = f"-s training.learning_rate={training.learning_rate / 10:g}"
    if training.clip is None:
        changes += " -s training.clip=norm"
    return (
        f"Launch it again, for example: python -m trainer show {run.number} --json > again.json && "
        f"python -m trainer train --config again.json {changes}"
    )


def sample_text(sample: Sample) -> RenderableType:
    """What the network produced."""
    content = sample.content
    if isinstance(content, TextSample):
        title = f"Sample at step {sample.step}, temperature {content.temperature:g}"
        words = Text.assemble((content.prompt, "bold"), content.text)
        return Panel.fit(words, title=title, title_align="left")
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
    return Group(Text(f"{run.number} {run.name}", style="bold"), *blown_up(run), facts(run), *newest)


def whole(run: Run, log: list[LogLine]) -> Group:
    """Everything that ``show`` tells of a run."""
    parts: list[RenderableType] = [
        Text(f"{run.number} {run.name}", style="bold"),
        Text(str(run.id), style="dim"),
        *blown_up(run),
    ]
    if run.tags:
        parts.append(Text("Tags: " + ", ".join(run.tags)))
    parts += [facts(run), Text("\nConfiguration", style="bold")]
    parts.append(Text(json.dumps(run.config.model_dump(mode="json"), indent=2)))
    if log:
        parts.append(Text("\nLog (times in UTC)", style="bold"))
        for line in log[-20:]:
            at = f"{line.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
            parts.append(Text(f"{at} {line.level:7} {line.text}"))
    return Group(*parts)
