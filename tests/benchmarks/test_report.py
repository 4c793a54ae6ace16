"""What a benchmark says of its goal, and the files that it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.report import Result, percentile_95, ratio_of_pairs


def result(value: float, *, goal: float, at_least: bool) -> Result:
    return Result(
        name="speed",
        ours="9/s",
        peer="10/s",
        measure="ratio" if at_least else "ms",
        value=value,
        goal=goal,
        at_least=at_least,
        repeats=[value],
    )


@pytest.mark.parametrize(
    ("value", "at_least", "met"),
    [(0.9, True, True), (0.89, True, False), (0.9, False, True), (0.91, False, False)],
)
def test_a_goal_is_met_from_its_own_side(value: float, at_least: bool, met: bool) -> None:
    judged = result(value, goal=0.9, at_least=at_least)
    assert judged.met is met
    assert judged.row[-1] == ("yes" if met else "NO")


def test_neighbours_are_compared_with_each_other() -> None:
    """A machine that slows down for both sides of one pair leaves the ratio alone."""
    assert ratio_of_pairs([(9, 10), (4.5, 5), (18, 20)]) == pytest.approx(0.9)


def test_the_95th_percentile_leaves_out_one_request_in_twenty() -> None:
    assert 95 <= percentile_95([float(n) for n in range(1, 101)]) <= 96


def test_figures_are_written_for_readers_and_for_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    report.write([result(0.95, goal=0.9, at_least=True)], repeats=3)
    stored = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert stored["repeats"] == 3
    assert [(line["name"], line["value"], line["met"]) for line in stored["results"]] == [
        ("speed", 0.95, True)
    ]
    assert "| speed | 9/s | 10/s | 0.950× |" in (tmp_path / "results.md").read_text(encoding="utf-8")
