"""A newcomer's first half hour, in a real browser against the real product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.product import Unfold, Visit, until

pytestmark = pytest.mark.browser

PLOT = ".unfold-plot"
LONG = {
    "name": "long",
    "config": {
        "model": {"name": "elman", "hidden_size": 16},
        "task": {"name": "adding", "length": 20},
        "training": {"steps": 1_000_000},
    },
}


def plot(page: Page, expression: str, index: int = 0) -> Any:
    """A JavaScript expression about the plot ``n``."""
    return page.evaluate(f"(i) => ((n) => {expression})(document.querySelectorAll('{PLOT}')[i])", index)


def updates(page: Page) -> int:
    """How often the first plot was drawn."""
    return int(plot(page, "n?.dataset.updates ?? 0"))


def points(page: Page) -> dict[str, float]:
    """The last step drawn of each curve of the first plot."""
    drawn = "Object.fromEntries(n.data.filter((d) => d.x?.length).map((d) => [d.uid, d.x[d.x.length - 1]]))"
    return dict(plot(page, drawn))


def shown(page: Page) -> dict[str, Any]:
    """What a reader of Compare sees: names in order, colours, axes, controls."""
    look = (
        "({names: n.data.filter((d) => d.showlegend !== false).map((d) => d.name),"
        " colours: n.data.map((d) => d.line?.color),"
        " x: n.layout.xaxis.title.text, y: n.layout.yaxis.title.text, type: n.layout.yaxis.type})"
    )
    return dict(plot(page, look))


def zoom(page: Page) -> list[float]:
    """Drag a box over the middle of the first plot; returns the axes' ranges after it."""
    box = page.locator(f"{PLOT} .nsewdrag").first.bounding_box()
    assert box is not None
    left, top = box["x"] + 0.3 * box["width"], box["y"] + 0.25 * box["height"]
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + 0.3 * box["width"], top + 0.4 * box["height"], steps=8)
    page.mouse.up()
    page.wait_for_timeout(500)
    return view(page)


def view(page: Page) -> list[float]:
    return list(plot(page, "[...n._fullLayout.xaxis.range, ...n._fullLayout.yaxis.range]"))


def watch_places(page: Page, *names: str) -> Callable[[], dict[str, set[tuple[int, int]]]]:
    """Notes at every frame where the buttons stand that a mouse can reach; call it for the places of each."""
    page.evaluate(
        """(names) => {
            window.places = Object.fromEntries(names.map((name) => [name, []]));
            const look = () => {
                for (const button of document.querySelectorAll("[data-testid=stMain] button")) {
                    const name = names.find((n) => button.innerText.endsWith(n));
                    const {x, y, width, height} = button.getBoundingClientRect();
                    const there = document.elementFromPoint(x + width / 2, y + height / 2);
                    if (!name || !button.contains(there)) continue;
                    window.places[name].push([Math.round(x), Math.round(y)]);
                }
                requestAnimationFrame(look);
            };
            look();
        }""",
        list(names),
    )
    return lambda: {
        name: {(x, y) for x, y in where} for name, where in page.evaluate("window.places").items()
    }


def runs(unfold: Unfold) -> list[dict[str, Any]]:
    return list(unfold.api.get("/runs").json()["runs"])


def state(unfold: Unfold, run_id: str) -> str:
    return str(unfold.api.get(f"/runs/{run_id}").json()["state"])


def test_launch_watch_zoom_stop_resume_compare_share_delete(
    unfold: Unfold, visit: Callable[[], Visit]
) -> None:
    """Done-when 2 of the first issue, in one flow from an empty store."""
    assert runs(unfold) == []
    page = visit().page

    # One click launches three networks and opens Compare.
    page.goto(unfold.url)
    page.get_by_role("button", name="Launch Elman, LSTM and GRU").click()
    page.wait_for_url("**/compare?runs=*")
    page.wait_for_selector(f"{PLOT} .main-svg")
    launched = {run["id"] for run in runs(unfold)}
    assert len(launched) == 3
    assert {run["config"]["model"]["name"] for run in runs(unfold)} == {"elman", "lstm", "gru"}

    # Curves grow without a reload.
    page.evaluate("window.sameDocument = true")
    until(lambda: launched <= points(page).keys(), "a curve for each run")
    before = points(page)
    until(lambda: any(points(page)[run_id] > before[run_id] for run_id in launched), "growing curves")
    assert page.evaluate("window.sameDocument") is True

    # The zoom is still there three updates later. The demo may be over soon, so a long run joins.
    chosen = unfold.api.post("/runs", json=LONG).json()
    order = [chosen["id"], *sorted(launched)]
    page.goto(f"{unfold.url}/compare?runs={','.join(order)}")
    until(lambda: page.locator(f"{PLOT} .main-svg").count() and chosen["id"] in points(page), "its curve")
    zoomed, drawn = zoom(page), updates(page)
    until(lambda: updates(page) >= drawn + 3, "three more updates")
    assert view(page) == zoomed

    # Stop one, resume it.
    page.goto(f"{unfold.url}/run?run={chosen['id']}")
    page.wait_for_selector(f"{PLOT} .main-svg")
    places = watch_places(page, "Stop", "Resume", "Launch again")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Resume it to go on")).to_be_visible()
    until(lambda: state(unfold, chosen["id"]) == "stopped", "the stop")
    stopped_at = unfold.api.get(f"/runs/{chosen['id']}").json()["step"]
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    until(
        lambda: unfold.api.get(f"/runs/{chosen['id']}").json()["step"] > stopped_at, "steps after the resume"
    )
    assert unfold.api.get(f"/runs/{chosen['id']}").json()["attempt"] == 2
    # A button that moves while the mouse is down loses the click: none did, and the two stood in one place.
    seen = places()
    assert {name: len(where) for name, where in seen.items()} == {"Stop": 1, "Resume": 1, "Launch again": 1}
    assert seen["Stop"] == seen["Resume"]

    # Compare with another metric and axis, copy the link, reopen it in a fresh profile: the same view.
    page.goto(f"{unfold.url}/compare?runs={','.join(order)}")
    page.wait_for_selector(f"{PLOT} .main-svg")
    page.get_by_text("Wall time").click()
    page.get_by_text("Log axis").click()
    until(lambda: plot(page, "n.layout.yaxis.type") == "linear", "the linear axis")
    until(lambda: "seconds" in plot(page, "n.layout.xaxis.title.text"), "the time axis")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    assert parse_qs(urlsplit(link).query)["runs"] == [",".join(order)]
    other = visit().page
    other.goto(link)
    other.wait_for_selector(f"{PLOT} .main-svg")
    until(lambda: shown(other) == shown(page), "the same view in a fresh profile")
    assert len(shown(other)["names"]) >= len(order)

    # Delete one that is over; it may end by itself at any moment, so its stop may well be refused.
    doomed = next(run for run in runs(unfold) if run["id"] in launched)
    unfold.api.post(f"/runs/{doomed['id']}/stop")
    until(lambda: state(unfold, doomed["id"]) not in ("queued", "running"), "the end of the doomed run")
    page.goto(f"{unfold.url}/runs?search={doomed['name'].split(',')[0]}")
    tick_first(page)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    until(lambda: doomed["id"] not in {run["id"] for run in runs(unfold)}, "the way into the bin")
    page.goto(f"{unfold.url}/run?run={doomed['id']}")
    expect(page.get_by_text("in the bin, and will be deleted")).to_be_visible()

    # Out of the bin and back into it; then the bin is emptied, and it is gone for good.
    page.goto(f"{unfold.url}/runs?bin=true")
    tick_first(page)
    page.get_by_role("button", name="Put back").click()
    until(lambda: doomed["id"] in {run["id"] for run in runs(unfold)}, "the way out of the bin")
    unfold.api.patch(f"/runs/{doomed['id']}", json={"binned": True})
    page.goto(f"{unfold.url}/runs?bin=true")
    page.get_by_role("button", name="Empty bin").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    until(lambda: unfold.api.get(f"/runs/{doomed['id']}").status_code == 404, "the end of the bin's run")
    page.goto(f"{unfold.url}/run?run={doomed['id']}")
    expect(page.get_by_text("This run is not here")).to_be_visible()


def tick_first(page: Page) -> None:
    """Tick the first row of the table of runs: its box is painted on a canvas."""
    table = page.get_by_test_id("data-grid-canvas").first
    table.wait_for()
    page.wait_for_timeout(500)
    grid = table.bounding_box()
    assert grid is not None
    page.mouse.click(grid["x"] + 20, grid["y"] + 54)


def test_a_run_name_is_text_on_every_page(unfold: Unfold, visit: Callable[[], Visit]) -> None:
    """HTML is refused at the door; entities, Markdown, maths and links that come in are shown as they are."""
    config = {
        "model": {"name": "elman"},
        "task": {"name": "adding", "length": 20},
        "training": {"steps": 40, "validate_every": 20},
    }
    refused = unfold.api.post("/runs", json={"name": "<img src=x onerror=alert(1)>", "config": config})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "name"

    name = "&lt;img src=x onerror=window.pwned=1&gt; **bold** $x^2$ :red[r] [go](javascript:window.pwned=1)"
    run = unfold.api.post("/runs", json={"name": name, "config": config}).json()
    until(lambda: state(unfold, run["id"]) == "finished", "the short run")
    page = visit().page
    for path in (f"run?run={run['id']}", f"compare?runs={run['id']}", "", "runs"):
        page.goto(f"{unfold.url}/{path}")
        if path == "runs":  # there it is painted on a canvas
            page.get_by_test_id("data-grid-canvas").first.wait_for()
        else:
            expect(page.get_by_text(name).first).to_be_visible()
        page.wait_for_timeout(500)
        assert page.evaluate("window.pwned === undefined")
        assert page.locator("img[src='x'], a[href^='javascript']").count() == 0


def test_a_number_out_of_range_is_refused_beside_its_field(
    unfold: Unfold, visit: Callable[[], Visit]
) -> None:
    """It must not stay in the browser while the form would launch with the number before it."""
    page = visit().page
    page.goto(f"{unfold.url}/launch")
    launch = page.get_by_role("button", name="Launch", exact=True)
    expect(launch).to_be_visible()
    size = page.get_by_role("spinbutton", name="Hidden size")
    size.fill("1000000000")
    size.press("Tab")
    expect(page.get_by_text("A setting needs another value")).to_be_visible()
    before = len(runs(unfold))
    launch.click()
    expect(page.get_by_text("Nothing was launched")).to_be_visible()
    assert len(runs(unfold)) == before
    size.fill("32")
    launch.click()  # at once, while the page still shows the mistake
    page.wait_for_url("**/run?run=*")
    assert runs(unfold)[0]["config"]["model"]["hidden_size"] == 32
    unfold.api.post(f"/runs/{runs(unfold)[0]['id']}/stop")


def test_a_network_is_chosen_from_a_list_that_closes_and_shows_its_own_settings(
    unfold: Unfold, visit: Callable[[], Visit]
) -> None:
    page = visit().page
    page.goto(f"{unfold.url}/launch")
    expect(page.get_by_role("spinbutton", name="Forget bias")).to_be_visible()
    page.get_by_role("button", name="LSTM", exact=True).click()
    page.get_by_role("button", name="Feed-forward network").click()
    expect(page.get_by_test_id("stPopoverBody")).to_have_count(0)
    expect(page.get_by_role("combobox", name="Activation")).to_be_visible()
    expect(page.get_by_role("spinbutton", name="Forget bias")).to_have_count(0)
    expect(page.get_by_role("spinbutton", name="Backward every, k1")).to_have_count(0)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("run", "No run is chosen"),
        ("run?run=00000000-0000-0000-0000-000000000000", "This run is not here"),
        ("run?run=nonsense", "No run is chosen"),
        ("compare?runs=00000000-0000-0000-0000-000000000000", "not here any more"),
    ],
)
def test_an_address_that_leads_nowhere_says_what_to_do(
    unfold: Unfold, visit: Callable[[], Visit], path: str, words: str
) -> None:
    page = visit().page
    page.goto(f"{unfold.url}/{path}")
    expect(page.get_by_text(words)).to_be_visible()
