"""What a reader takes away: CSV, HTML, the command; and the table of what differs."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from typing import Any

import pytest

from dashboard.charts.compare import metric_figure
from dashboard.charts.curves import Curve
from dashboard.charts.export import curves_csv, harmless, standalone_html
from dashboard.charts.settings import command, differing
from trainer.cli.train import assemble
from trainer.cli.train import with_defaults as fill_in
from trainer.config import catalog, with_defaults
from trainer.schema import RunConfig, Series, TrainingConfig

POINTS = Series(
    step=[1, 2, 3], value=[0.5, None, 0.25], seconds=[0.1, 0.2, 0.3], sequences=[32, 64, 96], flag={2: "inf"}
)
ELMAN = RunConfig(model={"name": "elman", "hidden_size": 64}, task={"name": "adding", "length": 50})
LSTM = RunConfig(
    model={"name": "lstm", "hidden_size": 64, "forget_bias": 1.0},
    task={"name": "adding", "length": 50},
    training=TrainingConfig(clip=None),
)


def test_csv_holds_every_stored_point_of_every_run() -> None:
    curves = {"a": Curve(name="one, two", color="#000000", series=POINTS)}
    rows = list(csv.DictReader(io.StringIO(curves_csv(curves, "loss"))))
    assert [row["loss"] for row in rows] == ["0.5", "inf", "0.25"]
    assert rows[2] == {
        "run_id": "a",
        "run": "one, two",
        "step": "3",
        "training_seconds": "0.3",
        "sequences_seen": "96.0",
        "loss": "0.25",
    }


def test_csv_names_are_no_formulas() -> None:
    assert harmless("=1+1") == "'=1+1"
    assert harmless("plain") == "plain"


def test_html_needs_no_network_and_cannot_be_broken_out_of() -> None:
    nasty = "</script><script>alert(1)</script>"
    figure = metric_figure({"a": Curve(name=nasty, color="#000000", series=POINTS)}, metric="loss")
    page = standalone_html(figure)
    assert len(page) > 3_000_000  # plotly.js is inside
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    assert "<script>alert(1)" not in page
    assert '"showSendToCloud": false' in page


def test_only_settings_that_differ_are_listed() -> None:
    one, two = differing([ELMAN, LSTM])
    assert one == {"model.name": "elman", "training.clip": "norm", "model.forget_bias": "–"}
    assert two == {"model.name": "lstm", "training.clip": "off", "model.forget_bias": "1.0"}
    assert differing([ELMAN, ELMAN]) == [{}, {}]


def test_the_command_sets_all_that_is_not_a_default() -> None:
    words = shlex.split(command(LSTM, {}).replace("\\\n", " "))
    assert words[:4] == ["python", "-m", "trainer", "train"]
    given = dict(word.split("=", 1) for word in words[5::2])
    assert given.pop("model.name") == "lstm"
    assert given.pop("task.name") == "adding"
    assert {name: json.loads(value) for name, value in given.items()} == {
        "model.hidden_size": 64,
        "model.forget_bias": 1.0,
        "task.length": 50,
        "training.clip": None,
    }


@pytest.mark.parametrize(
    "task",
    [{"name": "adding"}, {"name": "temporal_order"}, {"name": "characters", "corpus": "12e4567890123456"}],
)
@pytest.mark.parametrize(
    "training", [{}, {"steps": 7, "precision": "bf16"}, {"k1": 3, "k2": None, "clip": None}]
)
def test_the_command_line_reads_the_command_back_as_the_same_run(
    task: dict[str, Any], training: dict[str, Any]
) -> None:
    """With its own parser and its own defaults, which are the task's. The corpus has an id like a number."""
    whole = with_defaults(RunConfig(model={"name": "gru"}, task=task, training=training, seed=3))
    entry = next(entry for entry in catalog().tasks if entry.name == task["name"])
    typed = shlex.split(command(whole, entry.training_defaults).replace("\\\n", " "))
    understood = fill_in(assemble({}, typed[5::2]), catalog())
    assert with_defaults(RunConfig.model_validate(understood)) == whole
