"""The harness of `make prove`: what is promised is registered, documented, and red when it does not hold."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.prove import PROMISES, __main__, faults, report
from benchmarks.prove.ground import Ground
from benchmarks.prove.processes import marked, sweep, until
from benchmarks.prove.promise import BOTH, SQLITE, Broken, Promise, hold
from benchmarks.prove.recorded import difference, same
from benchmarks.prove.trial import Outcome, Trial, attempt

ROOT = Path(__file__).resolve().parents[2]


def promise(name: str = "made-up", figures: str = "1 of 1") -> Promise:
    return Promise(name=name, says="It works", tried="by hand", proof=lambda _: figures, databases=(SQLITE,))


def outcome(*, holds: bool, figures: str = "3 kills", database: str = SQLITE) -> Outcome:
    return Outcome(name="workers", database=database, holds=holds, figures=figures, seconds=1.0)


def test_a_promise_has_a_name_of_its_own_and_says_what_is_promised_and_how_it_is_tried() -> None:
    modules = {each.proof.__module__ for each in PROMISES.values()}
    listed = [each.name for module in modules for each in sys.modules[module].PROMISES]
    assert sorted(listed) == sorted(PROMISES)
    for each in PROMISES.values():
        assert each.says
        assert each.tried
        assert each.databases
        assert set(each.databases) <= set(BOTH)


def test_readmes_table_shows_what_was_written_down_of_the_last_time() -> None:
    told = json.loads((ROOT / "benchmarks" / "proofs.json").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert report.TABLE.findall(readme) == [report.table(told)]
    assert report.table(told) in (ROOT / "benchmarks" / "proofs.md").read_text(encoding="utf-8")


def test_what_was_written_down_is_every_promise_on_each_of_its_databases() -> None:
    told = json.loads((ROOT / "benchmarks" / "proofs.json").read_text(encoding="utf-8"))
    written = [
        (entry["name"], entry["database"], entry["says"], entry["tried"]) for entry in told["promises"]
    ]
    assert written == [
        (name, database, each.says, each.tried)
        for name, each in PROMISES.items()
        for database in each.databases
    ]


@pytest.mark.parametrize(("holds", "code"), [(True, 0), (False, 1)])
def test_one_broken_promise_is_an_exit_code_of_1(
    holds: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = [outcome(holds=True), outcome(holds=holds)]
    monkeypatch.setattr(__main__, "prove", lambda *_: outcomes)
    assert __main__.main(["--only", "workers"]) == code
    assert f"{1 + holds} of 2 held" in capsys.readouterr().out


def test_a_part_alone_does_not_replace_the_figures_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    monkeypatch.setattr(__main__, "prove", lambda *_: [outcome(holds=True)])
    monkeypatch.setattr(report, "write", written.append)
    for part in (["--only", "workers"], ["--database", "sqlite"]):
        assert __main__.main(part) == 0
    assert written == []
    __main__.main([])
    assert len(written) == 1


def test_whatever_is_raised_breaks_a_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_: Ground) -> str:
        raise Broken("a metric was lost")

    def failed(_: Ground) -> str:
        raise ZeroDivisionError("in the proof itself")

    said = []
    for number, proof in enumerate((broken, failed, lambda _: "all well")):
        folder = tmp_path / str(number)
        folder.mkdir()
        tried = Promise(name="x", says="x", tried="x", proof=proof)
        said.append(attempt(tried, SQLITE, 1, folder))
    assert said == [
        (False, "a metric was lost"),
        (False, "ZeroDivisionError: in the proof itself"),
        (True, "all well"),
    ]
    assert "Traceback" in capsys.readouterr().err


def test_a_trial_whose_process_dies_without_a_word_is_broken(tmp_path: Path) -> None:
    """A real process: it knows no promise of this name, and ends."""
    ended = Trial(promise("nobody-promised-this"), SQLITE, 1, tmp_path).run(60)
    assert not ended.holds
    assert "nobody-promised-this" in ended.figures


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "UNFOLD_DATA": str(tmp_path / "deep" / "data")}
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=environment)
    yield process
    process.kill()
    process.wait()


def test_what_a_proof_leaves_behind_is_found_by_its_environment(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    assert until(lambda: [process.pid for process in marked(tmp_path)] == [sleeper.pid], 30)
    assert marked(tmp_path / "elsewhere") == []
    assert len(sweep(tmp_path)) == 1
    assert sleeper.wait(30) != 0
    assert marked(tmp_path) == []


def test_the_same_seed_gives_the_same_moments(tmp_path: Path) -> None:
    def drawn(_: Ground) -> str:
        return str(_.chosen.random())

    def once(seed: int, database: str, folder: str) -> str:
        (tmp_path / folder).mkdir()
        return attempt(
            Promise(name="x", says="x", tried="x", proof=drawn), database, seed, tmp_path / folder
        )[1]

    assert once(1, SQLITE, "a") == once(1, SQLITE, "b") != once(2, SQLITE, "c")


def test_two_runs_are_compared_to_the_last_bit_and_the_first_difference_is_told() -> None:
    calm = {"loss": [(1, 0.5), (2, 0.25)], "samples": []}
    assert same(calm, {"loss": [(1, 0.5), (2, 0.25)], "samples": []}) == "4 values equal"
    with pytest.raises(Broken, match=r"loss .* \(2, 0.25\), found \(2, 0.25000000000000006\)"):
        same(calm, {"loss": [(1, 0.5), (2, 0.25000000000000006)], "samples": []})
    with pytest.raises(Broken, match="loss"):
        same(calm, {"samples": []})
    assert difference([1, 2], [1]) == "expected 2 entries, found 1"


def test_hold_breaks_where_its_condition_does_not_hold() -> None:
    hold([0], "not said")
    with pytest.raises(Broken, match="it was lost"):
        hold([], "it was lost")


def test_figures_of_both_databases_stand_in_one_row_of_every_table(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(
        "before\n<!-- promises: written by make prove -->\nold\n<!-- end of promises -->\nafter\n"
    )
    outcomes = [outcome(holds=True, figures="3 kills | <b>"), outcome(holds=False, database="PostgreSQL")]
    told = report.body(outcomes, PROMISES, seed=7, seconds=12.3)
    report.write(told, tmp_path, readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- promises: written by make prove -->\n| Promise |")
    assert text.endswith("|\n<!-- end of promises -->\nafter\n")
    assert "SQLite: 3 kills \\| &lt;b>; PostgreSQL: BROKEN: 3 kills |" in text
    assert "old" not in text
    assert json.loads((tmp_path / "proofs.json").read_text(encoding="utf-8"))["seed"] == 7
    assert report.table(told) in (tmp_path / "proofs.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_planted_in_the_code_as_it_is_now(fault: faults.Fault, tmp_path: Path) -> None:
    """Where the code has changed, the planting says so instead of planting nothing."""
    for folder in ("trainer", "dashboard"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.py")}
    fault.plant(tmp_path)
    changed = [path for path, content in before.items() if path.read_bytes() != content]
    assert changed
    for path in changed:
        compile(path.read_bytes(), str(path), "exec")
    assert fault.reddens in PROMISES
    assert fault.database in [name.lower() for name in PROMISES[fault.reddens].databases]


def test_a_fault_that_finds_nothing_to_break_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("raise ValueError('x')\n")
    with pytest.raises(faults.Stale):
        faults.without_raising("a.py", "StaleAttempt")(tmp_path)
    with pytest.raises(faults.Stale):
        faults.appended("a.py", "plain", code="")(tmp_path)
    with pytest.raises(faults.Stale):
        faults.replaced("unfold", "x", "a.py")(tmp_path)
