"""Names are other people's words: shown letter by letter, never as markup, pictures, links or maths."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page, sync_playwright
from sqlalchemy import text

from benchmarks.prove.dashboard import Dashboard
from benchmarks.prove.fuzz import SMALL
from benchmarks.prove.ground import Ground
from benchmarks.prove.processes import until
from benchmarks.prove.promise import SQLITE, Promise, hold
from trainer.schema import Run

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SCRIPT = "document.title='owned';window.owned=true"
NAMES = (
    f'<img src=x onerror="{SCRIPT}">',
    f"<script>{SCRIPT}</script>",
    f'<b id=owned>bold</b><svg onload="{SCRIPT}">',
    "</textarea></title><iframe src=//evil.example></iframe>",
    f"[click](javascript:{SCRIPT})",
    "![picture](http://evil.example/x.png)",
    "**bold** _italic_ `code` ~~gone~~",
    "# heading",
    "$E = mc^2$ and $$x$$",
    ":material/home: :smile: :red[red] :blue-badge[b]",
    "www.evil.example and http://evil.example and me@evil.example",
    "- [ ] task | table | cell",
    "1. one &lt;b&gt; &#60;i&#62; &amp;",
    "%{y} {x} %(name)s {{braces}} \\n \\",
    "run \u202egnp.exe\u202c end",
    "left \u2067right to left\u2069 \u200f\u200e marks",
)
PATIENCE = 90_000
"""Milliseconds."""

MADE = """(parts) => {
    const bad = [];
    let text = document.body.innerText;
    const look = (root) => {
        for (const node of root.querySelectorAll('*')) {
            if (node.shadowRoot) {
                text += '\\n' + node.shadowRoot.textContent;
                look(node.shadowRoot);
            }
            const attributes = [...node.attributes].map(({name, value}) => [name.replace(/^.*:/, ''), value]);
            const formatted = /^(strong|em|del|code|h[2-6]|li|td|a|b|i|tspan)$/i.test(node.tagName);
            if (attributes.some(([name]) => /^on(error|load)$/.test(name))
                || attributes.some(([name, value]) => /href|src/.test(name) && /evil|javascript:/.test(value))
                || node.id === 'owned'
                || node.classList.contains('katex')
                || (formatted && parts.includes(node.textContent.trim()))) {
                bad.push(node.outerHTML.slice(0, 200));
            }
        }
    };
    look(document);
    return {bad, text, owned: Boolean(window.owned) || document.title === 'owned'};
}"""
"""What was made of the names, and all text that can be read."""
PARTS = ["bold", "italic", "code", "gone", "heading", "red", "b", "click", "task"]
"""What would stand alone in an element if markup were taken for markup."""


@contextmanager
def chromium() -> Iterator[Page]:
    """A page of a fresh profile: ``UNFOLD_CHROMIUM``, the machine's own, or Playwright's."""
    programs = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("UNFOLD_CHROMIUM") or next(filter(None, map(shutil.which, programs)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


def shown_as_text(ground: Ground) -> str:
    """Launched with what the API takes; the rest is written into the database, as if by an older version."""
    refused, outside = 0, []
    with ground.service() as service, Dashboard(service, ground.folder / "dashboard.txt") as dashboard:
        runs: list[Run] = []
        for name in NAMES:
            reply = service.http.post("/runs", json={"config": SMALL, "name": name, "tags": [name[:40]]})
            hold(reply.status_code in (201, 422), f"a launch named {name!r} is answered {reply.status_code}")
            refused += reply.status_code == 422
            if reply.status_code == 422:
                reply = service.http.post(
                    "/runs", json={"config": SMALL, "name": "to be renamed", "tags": ["tag"]}
                )
            run = Run.model_validate(reply.json())
            if service.run(run).name == "to be renamed":
                _rename(ground, run, name)
            runs.append(run)
        for run in runs:
            service.finish(run, 120)
        names = [service.run(run).name for run in runs]
        with chromium() as page:
            page.on("request", lambda request: outside.append(request.url) if "evil" in request.url else None)
            page.on("dialog", lambda dialog: dialog.dismiss())
            pages = 0
            for path, expected in _pages(runs, names):
                page.goto(f"{dashboard.url}{path}")
                _judge(page, path, expected)
                pages += 1
        hold(not outside, f"a name made the browser ask {outside}")
    return f"{len(NAMES)} names ({refused} refused at launch) on {pages} pages: shown as text, no script run"


def _rename(ground: Ground, run: Run, name: str) -> None:
    with ground.sql() as connection:
        values = {"name": name, "run": run.number, "tag": name[:40]}
        connection.execute(text("UPDATE runs SET name = :name WHERE number = :run"), values)
        connection.execute(text("UPDATE tags SET tag = :tag WHERE run = :run"), values)


def _pages(runs: list[Run], names: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Addresses, and the names that stand on each as text of the page."""
    yield "/runs", []  # the table is drawn on a canvas
    for run, name in zip(runs, names, strict=True):
        yield f"/run?run={run.id}", [name]
    for first in range(0, len(runs), 4):
        some = slice(first, first + 4)
        yield f"/compare?runs={','.join(str(run.id) for run in runs[some])}", names[some]
    for run, name in list(zip(runs, names, strict=True))[::5]:
        yield f"/inside?run={run.id}", [name]
    yield f"/launch?from={runs[0].id}", []


def _judge(page: Page, path: str, names: list[str]) -> None:
    """Nothing was made of the names, and they are there to be read."""
    page.wait_for_selector("[data-testid=stMain]")
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')")
    wanted = [_letters(name) for name in names]

    def look() -> Any:
        return page.evaluate(MADE, PARTS)

    until(lambda: all(name in _letters(look()["text"]) for name in wanted), 30, 0.2)
    found = look()
    hold(not found["owned"], f"{path}: a script that stood in a name was run")
    hold(not found["bad"], f"{path}: a name was taken for markup: {found['bad'][:2]}")
    for name in wanted:
        hold(name in _letters(found["text"]), f"{path} does not show the name {name!r} as it is")
    for line in found["text"].splitlines():
        hold(_is_balanced(line), f"{path}: a name turns the direction of what stands beside it: {line!r}")


def _letters(text: str) -> str:
    """Letters alone: without what does not show, and with one kind of space."""
    kept = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return " ".join(kept.split())


def _is_balanced(line: str) -> bool:
    """Whether every turn of the direction ends in the line that it begins in."""
    opened = 0
    for letter in line:
        opened += letter in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
        opened -= letter in "\u202c\u2069"
        if opened < 0:
            return False
    return opened == 0


PROMISES = [
    Promise(
        name="names",
        says="A name is shown as text, whatever stands in it",
        tried="runs named by HTML, scripts, Markdown, maths, icons, links and bidi marks, opened in Chromium",
        proof=shown_as_text,
        databases=(SQLITE,),
    ),
]
