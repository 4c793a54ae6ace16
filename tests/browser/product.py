"""What the browser tests hold in their hands: the running product, a visit to it, and patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from playwright.sync_api import BrowserContext, Page

PATIENCE = 90.0
"""Seconds that anything may take on a busy machine before it counts as never."""


def until(ready: Callable[[], object], what: str, limit: float = PATIENCE) -> None:
    end = time.monotonic() + limit
    while not ready():
        assert time.monotonic() < end, f"{what}: not within {limit:.0f} s"
        time.sleep(0.1)


@dataclass
class Unfold:
    """A service and a dashboard that share an empty data folder."""

    url: str
    """Of the dashboard."""
    api: httpx.Client
    """The service, with its token."""


@dataclass
class Visit:
    """A fresh browser profile at the dashboard, which remembers what went wrong in it."""

    page: Page
    context: BrowserContext
    outside: list[str] = field(default_factory=list)
    """Requests for anything but this machine."""
    errors: list[str] = field(default_factory=list)
    """Errors on the console, and exceptions that no script caught."""
