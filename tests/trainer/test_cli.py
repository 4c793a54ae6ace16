"""The command line, against a service in this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from tests.trainer.engine.test_local import until
from tests.trainer.test_serve import ROOT, environment
from trainer.cli import app
from trainer.cli.client import ServiceError
from trainer.cli.show import ago, table, whole
from trainer.cli.train import assemble, with_defaults
from trainer.host import hosting
from trainer.schema import Catalog, CatalogEntry, RunConfig
from trainer.settings import Settings
from trainer.store import Store

SMALL = ["--model", "elman", "--task", "adding", "-s", "model.hidden_size=4", "-s", "task.length=10"]
SHORT = [*SMALL, "-s", "training.steps=12", "-s", "training.batch_size=4", "-s", "training.validate_every=6"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of a running service."""
    data = tmp_path_factory.mktemp("data")
    settings = Settings.read({"data": data, "port": 0, "slots": 2}, environ={})
    with hosting(settings) as server, server.serving_aside():
        yield data


@pytest.fixture
def unfold(data: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command as a user would."""
    for name in [name for name in os.environ if name.startswith("UNFOLD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UNFOLD_DATA", str(data))
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str, code: int = 0, text: str | None = None) -> Result:
        result = CliRunner().invoke(app, [*arguments], input=text)
        assert result.exit_code == code, result.output + repr(result.exception)
        return result

    return run


# --- Without a service -------------------------------------------------------------------------------------


def test_changes_are_put_where_their_path_leads_as_json_or_else_as_text() -> None:
    body = {"model": {"name": "gru"}, "seed": 1}
    changes = ["model.hidden_size=32", "training.k1=null", "training.clip=norm", "seed=2", "task.name=adding"]
    assert assemble(body, changes) == {
        "model": {"name": "gru", "hidden_size": 32},
        "training": {"k1": None, "clip": "norm"},
        "seed": 2,
        "task": {"name": "adding"},
    }
    assert body == {"model": {"name": "gru"}, "seed": 1}


@pytest.mark.parametrize("change", ["model.hidden_size", "=3", "model..x=1", ".x=1", "seed.x=1"])
def test_a_change_that_leads_nowhere_is_refused(change: str) -> None:
    with pytest.raises(ServiceError, match="--set"):
        assemble({"seed": 0}, [change])


def test_defaults_suit_the_chosen_task_and_give_way_to_what_was_said() -> None:
    def entry(name: str, **defaults: Any) -> CatalogEntry:
        return CatalogEntry(
            name=name, title=name, summary="", source="", json_schema={}, training_defaults=defaults
        )

    catalog = Catalog(
        models=[entry("lstm"), entry("elman")],
        tasks=[entry("adding", steps=5), entry("order", steps=7, learning_rate=0.1)],
        training_schema={},
        analysis_schema={},
        accelerators=["cpu"],
    )
    body = {"task": {"name": "order", "length": 9}, "training": {"steps": 1}}
    assert with_defaults(body, catalog) == {
        "model": {"name": "lstm"},
        "task": {"name": "order", "length": 9},
        "training": {"steps": 1, "learning_rate": 0.1},
    }
    assert with_defaults({}, catalog)["training"] == {"steps": 5}


@pytest.mark.parametrize("command", ["serve", "train", "resume", "stop", "runs", "show", "export", "delete"])
def test_help_says_what_a_command_does_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"python -m trainer {command}" in result.output or "Example" in result.output
    assert command in CliRunner().invoke(app, ["--help"]).output


# --- With one ----------------------------------------------------------------------------------------------


def test_train_prints_one_line_of_json_on_stdout(unfold: Any) -> None:
    result = unfold("train", *SHORT, "--name", "first [red]run", "--tag", "a", "--json")
    (line,) = result.stdout.splitlines()
    run = json.loads(line)
    assert (run["state"], run["step"], run["name"], run["tags"]) == ("finished", 12, "first [red]run", ["a"])
    assert run["config"]["model"] == {"name": "elman", "hidden_size": 4} | run["config"]["model"]
    assert run["summary"]["validation_loss"] is not None


def test_a_run_can_be_listed_shown_trained_again_and_deleted(unfold: Any, tmp_path: Path) -> None:
    run = json.loads(unfold("train", *SHORT, "--name", "second [red]run", "--json").stdout)
    listed = unfold("runs").stdout
    assert "second [red]run" in listed, "square brackets are no markup"
    assert run["id"][:8] in listed
    shown = unfold("show", str(run["number"])).stdout
    for text in (run["id"], "finished", "12 of 12", "chance", "fresh ones", '"hidden_size": 4'):
        assert text in shown
    again = tmp_path / "again.json"
    again.write_text(unfold("show", run["id"][:8], "--json").stdout)
    second = json.loads(unfold("train", "-c", str(again), "-s", "seed=3", "--json").stdout)
    assert second["config"] == run["config"] | {"seed": 3}
    assert second["id"] != run["id"]
    unfold("delete", second["id"], code=1, text="n\n")
    unfold("show", second["id"])
    unfold("delete", second["id"], "--yes")
    assert "no run" in unfold("show", str(second["number"]), code=2).stderr.lower()


def test_train_ends_with_a_summary_against_chance(unfold: Any) -> None:
    result = unfold("train", *SHORT)
    for text in ("finished", "Validation loss", "chance", "Closing test", "Sample at step 12"):
        assert text in result.stdout
    assert "12/12" in result.stderr


def test_a_refused_configuration_names_each_field_with_its_remedy(unfold: Any) -> None:
    said = unfold(
        "train", "--model", "elman", "--task", "adding", "-s", "model.hidden_sizes=4", code=2
    ).stderr
    assert "model.hidden_sizes" in said
    said = unfold("train", "-s", "training.k1=20", "-s", "training.k2=10", code=2).stderr
    assert "k2 is smaller than k1" in said
    assert "set k2 to 20 or more" in said
    said = unfold("train", "--model", "nothing", code=2).stderr
    assert "elman" in said


def test_a_failed_run_exits_with_1_and_its_reason(unfold: Any) -> None:
    """A learning rate at which the loss is not finite after a few updates."""
    wild = ["-s", "training.learning_rate=10", "-s", "training.optimizer=sgd", "-s", "training.clip=null"]
    longer = [*SMALL, "-s", "training.steps=5000", *wild, "-s", "training.momentum=0.99"]
    result = unfold("train", *longer, code=1)
    assert "failed" in result.stdout
    assert "python -m trainer resume" not in result.stderr, "it would only fail again"
    assert "python -m trainer train --config" in result.stderr


def test_export_writes_what_the_service_holds(unfold: Any, tmp_path: Path) -> None:
    run = json.loads(unfold("train", *SHORT, "-s", "analysis.every=5", "--json").stdout)
    unfold("export", str(run["number"]), "--out", str(tmp_path / "csv"))
    metrics = pd.read_csv(tmp_path / "csv" / "metrics.csv")
    assert list(metrics[metrics.metric == "loss"].step) == list(range(1, 13))
    gradients = pd.read_csv(tmp_path / "csv" / "gradients.csv")
    assert set(gradients.quantity) == {"h/0"}
    eigenvalues = pd.read_csv(tmp_path / "csv" / "eigenvalues.csv")
    assert set(eigenvalues.matrix) == {"Ws/0"}
    unfold("export", str(run["number"]), "-f", "parquet", "--out", str(tmp_path / "parquet"))
    assert len(pd.read_parquet(tmp_path / "parquet" / "metrics.parquet")) == len(metrics)
    unfold("export", str(run["number"]), "-f", "tensorboard", "--out", str(tmp_path / "tb"))
    assert list((tmp_path / "tb" / f"run-{run['number']}").iterdir())


def test_a_service_that_is_away_is_told_with_what_to_do(unfold: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNFOLD_URL", "http://127.0.0.1:9")
    said = unfold("runs", code=2).stderr
    assert "http://127.0.0.1:9 cannot be reached" in said
    assert "python -m trainer serve" in said


def test_ctrl_c_stops_with_a_checkpoint_and_resume_goes_on(tmp_path: Path) -> None:
    """With no service about: ``train`` brings its own, and ``resume`` another one."""
    command = [sys.executable, "-m", "trainer"]
    options: dict[str, Any] = {"cwd": ROOT, "env": environment(tmp_path), "text": True}
    # A shell that starts these tests in the background has them ignore SIGINT, and so would every process
    # that they start; one whose parent handles it begins with the default, as in a terminal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [*command, "train", *SMALL, "-s", "training.steps=10000000", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        _stops_and_resumes(process, command, options, tmp_path)
    finally:
        _end(process)  # where the test failed it must not train on for ever


def _end(process: subprocess.Popen[str]) -> None:
    """Politely first: killed, it would leave its worker behind."""
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()


def _stops_and_resumes(
    process: subprocess.Popen[str], command: list[str], options: dict[str, Any], tmp_path: Path
) -> None:
    from trainer.cli.client import Client
    from trainer.host import find_service

    address = until(lambda: find_service(tmp_path))
    client = Client(address, hosted=False)
    (run,) = until(lambda: [run for run in client.runs() if run.step > 0])
    client.close()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    stopped = json.loads(out)
    assert stopped["state"] == "stopped"
    assert stopped["step"] >= run.step
    assert f"python -m trainer resume {run.number}" in err
    assert not (tmp_path / "service.json").exists()

    done = subprocess.run([*command, "runs", "--json"], capture_output=True, timeout=60, **options)
    assert json.loads(done.stdout)["state"] == "stopped", done.stderr


# --- Runs as text ------------------------------------------------------------------------------------------


def printed(thing: Any) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(thing)
    return captured.get()


def test_a_run_that_does_not_answer_is_shown_so_in_the_list_and_by_itself(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'unfold.db'}")
    store.migrate()
    config = RunConfig(model={"name": "gru"}, task={"name": "adding"})
    run, _ = store.create_run(config, "a run", [])
    store.start_attempt(run.id)
    run = store.run(run.id)
    store.close()
    assert "no answer" not in printed(table([run])) + printed(whole(run, []))
    silent = run.model_copy(update={"silent_for": 42})
    assert "running, no answer for 42 s" in printed(table([silent]))
    assert "running, no answer for 42 s" in printed(whole(silent, []))
    assert "python -m trainer resume 1" in printed(whole(silent, []))


def test_the_age_of_what_comes_from_a_clock_that_was_set_back_is_nothing() -> None:
    """A second in the future is minus one day and 86,399 seconds to Python."""
    now = datetime.now(UTC)
    assert ago(now + timedelta(hours=2)) == "0 s"
    assert ago(now - timedelta(minutes=3)) == "3 min"
