"""A real browser on a real application, for tests of pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from flask import Flask
from playwright.sync_api import Page, sync_playwright

from tests.conversation import serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Visit:
    """A browser page on a running application, with everything it asked for and complained about."""

    url: str
    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def hosts(self) -> set[str]:
        """The hosts that were asked; data: and blob: URLs have none."""
        return {urlsplit(url).netloc for url in self.requests} - {""}

    def assert_quiet(self) -> None:
        """Nobody else was asked for anything, and nothing was complained about."""
        assert self.hosts == {urlsplit(self.url).netloc}
        assert self.complaints == []


@contextmanager
def visiting(app: Flask) -> Iterator[Visit]:
    """Serve an application and yield a browser before its first page."""
    with serving(app) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        visit = Visit(url, browser.new_page())
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.page.on("console", lambda message: visit.complaints.append(message.text))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        yield visit
        browser.close()
