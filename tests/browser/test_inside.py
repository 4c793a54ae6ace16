"""The page Inside in a real browser, against real runs and their checkpoints."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.product import Unfold, Visit, until

pytestmark = pytest.mark.browser

PLOT = ".unfold-plot .main-svg"
NETWORKS = ("elman", "lstm", "gru")
VIEWS = {
    "Gradient through time": "What the numbers say",
    "Triangle": "By distance",
    "Truncation": "What each lag brings",
    "Credit": "Heard above the others?",
    "Jacobians": "Lyapunov exponents",
    "Clipping": "The cliff",
    "Gates and states": "Unit 0",
    "Surgery": "With the clamp",
    "Generate": "wrong",
    "Rewind": "Gradient norm",
}
"""By its tab: words that stand there once the view is drawn."""


@pytest.fixture(scope="module")
def finished(unfold: Unfold) -> dict[str, dict[str, Any]]:
    """A short finished run of each network."""
    made = {}
    for name in (*NETWORKS, "ffnn"):
        config = {
            "model": {"name": name, "hidden_size": 8} if name != "ffnn" else {"name": name},
            "task": {"name": "adding", "length": 20},
            "training": {"steps": 60, "validate_every": 20},
            # A feed-forward net has no gradient through time to record.
            "analysis": {} if name == "ffnn" else {"every": 20},
        }
        launched = unfold.api.post("/runs", json={"name": f"a {name}", "config": config})
        assert launched.status_code == 201, launched.text
        made[name] = launched.json()
    for run in made.values():
        until(lambda run=run: unfold.api.get(f"/runs/{run['id']}").json()["state"] == "finished", run["name"])
    return made


def address(unfold: Unfold, run: dict[str, Any], view: str, more: str = "") -> str:
    return f"{unfold.url}/inside?run={run['id']}&view={quote(view)}{more}"


def shown(page: Page, words: str) -> None:
    expect(page.get_by_text(words).first).to_be_visible()
    assert page.get_by_test_id("stException").count() == 0


@pytest.mark.parametrize("network", NETWORKS)
def test_every_view_of_a_finished_run_opens_by_its_link(
    unfold: Unfold, visit: Callable[[], Visit], finished: dict[str, dict[str, Any]], network: str
) -> None:
    page = visit().page
    for view, words in VIEWS.items():
        page.goto(address(unfold, finished[network], view))
        shown(page, words)
        page.wait_for_selector(PLOT)
        assert page.get_by_test_id("stAlert").filter(has_text="inspection").count() == 0
        assert page.get_by_test_id("stHeaderActionElements").count() == 0  # a heading is no link


def test_a_control_changes_the_view_and_a_reload_keeps_it(
    unfold: Unfold, visit: Callable[[], Visit], finished: dict[str, dict[str, Any]]
) -> None:
    page = visit().page
    page.goto(address(unfold, finished["lstm"], "Triangle"))
    page.wait_for_selector(PLOT)
    length = page.get_by_role("spinbutton", name="Length (timesteps)")
    length.fill("10")
    length.press("Tab")
    page.wait_for_url("**triangle.length=10*")
    lags = f"document.querySelector('{PLOT}').closest('.unfold-plot').data[0].x.length"
    until(lambda: page.evaluate(lags) == 10, "ten timesteps")
    page.reload()
    page.wait_for_selector(PLOT)
    until(lambda: page.evaluate(lags) == 10, "ten timesteps after the reload")
    expect(page.get_by_role("spinbutton", name="Length (timesteps)")).to_have_value("10")


def test_the_recordings_are_played_in_the_browser(
    unfold: Unfold, visit: Callable[[], Visit], finished: dict[str, dict[str, Any]]
) -> None:
    page = visit().page
    page.goto(address(unfold, finished["elman"], "Gradient through time"))
    page.wait_for_selector(PLOT)
    name = "document.querySelector('.unfold-plot').data.find((d) => d.uid === 'chosen').name"
    assert page.evaluate(name) == "step 60"
    seen = set()

    def plays() -> bool:
        page.get_by_text("Play").click()  # again, where the plot was being drawn at the first click
        for _ in range(20):
            seen.add(page.evaluate(name))
            page.wait_for_timeout(100)
        return len(seen) > 1

    until(plays, "another recording")


def test_a_view_without_meaning_says_why(
    unfold: Unfold, visit: Callable[[], Visit], finished: dict[str, dict[str, Any]]
) -> None:
    page = visit().page
    for view in ("Gates and states", "Jacobians", "Truncation"):
        page.goto(address(unfold, finished["ffnn"], view))
        shown(page, "carries no state")


def test_a_missing_run_or_checkpoint_is_told(
    unfold: Unfold, visit: Callable[[], Visit], finished: dict[str, dict[str, Any]]
) -> None:
    page = visit().page
    page.goto(f"{unfold.url}/inside?run=00000000-0000-0000-0000-000000000000")
    shown(page, "This run is not here")
    page.goto(address(unfold, finished["gru"], "Triangle", "&checkpoint=7"))
    shown(page, "keeps no checkpoint of step 7")


WATCH = """() => {
  window.seen = {tops: new Set(), signs: new Set()};
  const look = () => {
    window.seen.tops.add(Math.round(document.querySelector(".unfold-plot").getBoundingClientRect().top));
    const sign = document.querySelector("[class*=st-key-inside-working]");
    if (sign) window.seen.signs.add(getComputedStyle(sign).position);
    requestAnimationFrame(look);
  };
  look();
}"""
"""At each frame: where the first plot stands, and whether the sign of work going on is there."""


def test_a_run_that_trains_is_followed_and_nothing_moves(unfold: Unfold, visit: Callable[[], Visit]) -> None:
    config = {
        "model": {"name": "gru", "hidden_size": 32},
        "task": {"name": "adding", "length": 60},
        "training": {"steps": 1_000_000, "validate_every": 20},
    }
    run = unfold.api.post("/runs", json={"name": "moving", "config": config}).json()
    try:
        kept = f"/runs/{run['id']}/checkpoints"
        until(lambda: unfold.api.get(kept).json(), "a checkpoint")
        page = visit().page
        page.goto(address(unfold, run, "Triangle"))
        page.wait_for_selector(PLOT)
        page.wait_for_timeout(1000)  # the page's own parts have their places
        page.evaluate(WATCH)
        page.get_by_role("combobox", name="Weights of").click()
        header = page.get_by_text(" of 1,000,000")

        def told() -> list[str]:
            """The run's step, and that of the checkpoint that is looked at."""
            return re.findall(r"step ([\d,]+)", header.inner_text())

        step, checkpoint = told()
        until(lambda: told()[0] != step, "a later step")
        until(lambda: told()[1] != checkpoint, "newer weights")
        newer = told()[1]
        until(lambda: told()[1] != newer, "newer weights once more")
        # The list of weights, opened before all that, is still there to be picked from.
        page.get_by_role("option", name="validation loss").last.click()
        until(lambda: "checkpoint=" in page.evaluate("location.search"), "the chosen weights in the address")
        assert page.get_by_test_id("stAlert").count() == 0
        assert page.evaluate("[...window.seen.signs]") == ["fixed"]
        assert len(page.evaluate("[...window.seen.tops]")) == 1
    finally:
        unfold.api.post(f"/runs/{run['id']}/stop")


def test_a_run_deleted_under_the_readers_eyes_is_told_at_the_next_change(
    unfold: Unfold, visit: Callable[[], Visit]
) -> None:
    config = {"model": {"name": "elman", "hidden_size": 4}, "task": {"name": "adding", "length": 20}}
    config["training"] = {"steps": 20}
    run = unfold.api.post("/runs", json={"name": "doomed", "config": config}).json()
    until(lambda: unfold.api.get(f"/runs/{run['id']}").json()["state"] == "finished", "the run's end")
    page = visit().page
    page.goto(address(unfold, run, "Triangle"))
    page.wait_for_selector(PLOT)
    unfold.api.delete(f"/runs/{run['id']}").raise_for_status()
    length = page.get_by_role("spinbutton", name="Length (timesteps)")
    length.fill("9")
    length.press("Tab")
    shown(page, "This run is not here")
    assert page.get_by_text(run["id"]).count() == 0
