"""What the commands read and write, in whatever encoding, onto whatever it is written."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.text import Text
from typer.testing import CliRunner

from tests.trainer.test_serve import ROOT, environment
from trainer.cli import app
from trainer.cli.client import Client, wait
from trainer.cli.console import UNCUT, WordsConsole
from trainer.cli.show import whole
from trainer.cli.train import json_file
from trainer.host import hosting
from trainer.schema import LogLine, Run
from trainer.settings import Settings

NAME = "🦊 Füchsin … und ein recht langer Name, der auf keine Zeile von achtzig Zeichen geht, αβγ"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Run]]:
    """The data folder of a service, and a run that is over in it."""
    data = tmp_path_factory.mktemp("data")
    settings = Settings.read({"data": data, "port": 0, "slots": 1}, environ={})
    with hosting(settings) as server, server.serving_aside():
        config = {"model": {"name": "gru"}, "task": {"name": "adding", "length": 10}}
        client = Client(server.address, hosted=False)
        launch = {"config": {**config, "training": {"steps": 2}}, "name": NAME, "tags": ["ä"]}
        *_, run = wait(client, client.launch(launch, key="one").id)
        yield data, run
        client.close()


# --- Written -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "arguments"),
    [("cp1252", ["runs"]), ("ascii", ["show", "1"]), ("latin-1", ["show", "1", "--json"])],
)
def test_a_terminal_that_lacks_a_character_shows_a_mark_and_nothing_fails(
    service: tuple[Path, Run], encoding: str, arguments: list[str]
) -> None:
    data, run = service
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *arguments],
        cwd=ROOT,
        env={**environment(data), "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    said = done.stdout.decode(encoding)
    if "--json" in arguments:
        assert Run.model_validate_json(said) == run, "what is to be read again loses nothing"
    else:
        assert NAME.encode(encoding, "replace").decode(encoding) in said


def test_in_a_pipe_there_is_one_whole_line_for_each_run(
    service: tuple[Path, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = service
    monkeypatch.setenv("UNFOLD_DATA", str(data))
    for columns in ("40", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        heading, *lines = CliRunner().invoke(app, ["runs"]).stdout.splitlines()
        assert len(lines) == 1
        assert NAME in lines[0]
        assert str(run.id) in lines[0]
        assert "finished" in lines[0]
        assert "Best validation loss" in heading
        shown = CliRunner().invoke(app, ["show", "1"]).stdout.splitlines()
        assert f"1 {NAME}" in shown
        assert str(run.id) in shown


def test_a_terminal_is_as_wide_as_it_is() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert WordsConsole(file=Terminal(), width=40).size.width == 40
    assert WordsConsole(file=io.StringIO()).size.width == UNCUT
    written = io.StringIO()
    WordsConsole(file=written).print(Text("x" * 500))
    assert written.getvalue() == "x" * 500 + "\n"


def test_other_peoples_words_give_a_terminal_no_commands() -> None:
    written = io.StringIO()
    console = WordsConsole(file=written, force_terminal=True, color_system="standard")
    console.print(Text("a\x1b[31mb\x9bcd\u202etxt.exe\u200b", style="bold"))
    assert written.getvalue() == "\x1b[1ma\ufffd[31mb\ufffdcd\ufffdtxt.exe\ufffd\x1b[0m\n"


def test_times_are_told_in_utc_and_say_so(service: tuple[Path, Run]) -> None:
    _, run = service
    at = datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=9)))
    written = io.StringIO()
    WordsConsole(file=written).print(whole(run, [LogLine(at=at, level="info", text="hello")]))
    _, _, log = written.getvalue().partition("\nLog ")
    assert log.splitlines() == ["(times in UTC)", "2026-02-28 23:30:00 info    hello"]


# --- Read --------------------------------------------------------------------------------------------------

CONFIG = {"model": {"name": "gru"}, "task": {"name": "series", "column": "Öl"}}


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "ascii"]
)
@pytest.mark.parametrize("is_run", [False, True], ids=["configuration", "run"])
def test_a_configuration_is_read_in_each_encoding_of_unicode(
    tmp_path: Path, encoding: str, is_run: bool
) -> None:
    """PowerShell 5 writes UTF-16 with a mark, Windows' editor UTF-8 with one."""
    path = tmp_path / "run.json"
    text = json.dumps({"id": 3, "config": CONFIG} if is_run else CONFIG, ensure_ascii=encoding == "ascii")
    path.write_bytes(text.encode(encoding))
    assert json_file(path) == CONFIG


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"name": "Öl"}'.encode("cp1252"), "UTF-8"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b'{"clip_at": NaN}', "NaN is not a number"),
        (b"[" * 100_000, "Correct the file"),
        (b"", "Correct the file"),
        (b"[1]", "no JSON object"),
    ],
    ids=range(6),
)
def test_a_file_that_cannot_be_read_is_told_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, says: str
) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(typer.Exit):
        json_file(path)
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["-s", "training.clip_at=NaN"], ["-s", "seed=" + "[" * 50_000], ["--name", os.fsdecode(b"\xff\xfe")]],
    ids=["NaN", "nested", "not UTF-8"],
)
def test_an_argument_that_json_cannot_say_is_refused_and_nothing_breaks(
    service: tuple[Path, Run], monkeypatch: pytest.MonkeyPatch, arguments: list[Any]
) -> None:
    monkeypatch.setenv("UNFOLD_DATA", str(service[0]))
    result = CliRunner().invoke(app, ["train", "--task", "adding", *arguments])
    assert result.exit_code == 2, repr(result.exception)
    assert "refused" in result.stderr
