"""A real Chromium behind playwright: pages from files, with everything that they ask for and complain of written down."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@dataclass
class Opened:
    """A page that is open."""

    tab: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def barriers(self) -> list[str]:
        """What axe finds against WCAG 2.2, levels A and AA."""
        from axe_playwright_python.sync_playwright import Axe

        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
        found = Axe().run(self.tab, options={"runOnly": {"type": "tag", "values": tags}}).response
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]


@dataclass
class Browser:
    """Opens pages; every page has a context of its own."""

    chromium: Any

    def open(self, page: str, folder: Path, *, theme: str = "light", width: int = 1280, scripts: bool = True) -> Opened:
        """Write a page into ``folder`` and open it. Where scripts are on, the policy is kept, but for axe's own script."""
        path = folder / "page.html"
        path.write_text(page, encoding="utf-8")
        context = self.chromium.new_context(
            color_scheme=theme, viewport={"width": width, "height": 900}, java_script_enabled=scripts
        )
        opened = Opened(context.new_page())
        opened.tab.on("console", lambda said: opened.complaints.append(said.text))
        opened.tab.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.tab.on("request", lambda asked: opened.requests.append(asked.url))
        opened.tab.goto(path.as_uri())
        opened.requests.remove(path.as_uri())
        return opened


@contextmanager
def open_browser() -> Iterator[Browser]:
    """The machine's Chromium; the test is skipped, visibly, where there is none."""
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if binary is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=binary, args=FLAGS)
        try:
            yield Browser(chromium)
        finally:
            chromium.close()
