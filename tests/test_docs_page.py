"""The pages in a real browser: they show what they should, and ask nobody else for anything."""

import io
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import Engine
from werkzeug.serving import make_server

from service.blobs import make_blobs, store_file
from service.db import writing
from service.store import samples, transitions
from tests.building import add_job, add_running_job
from tests.conversation import document_of, make_client

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # a browser sees no difference


def a_tall_picture() -> bytes:
    file = io.BytesIO()
    Image.new("L", (364, 604)).save(file, "PNG")
    return file.getvalue()


@dataclass
class Visit:
    """A browser page on a running application, with everything it asked for and complained about."""

    url: str
    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def hosts(self) -> set[str]:
        """The hosts that were asked; data: URLs have none."""
        return {urlsplit(url).netloc for url in self.requests} - {""}


@pytest.fixture
def visit(engine: Engine) -> Iterator[Visit]:
    """A browser before its first page, and an application with a job that has a picture and one that waits."""
    blobs = make_blobs("memory://")
    job_id, attempt = add_running_job(engine, name="<b>first</b>")
    picture = store_file(blobs, job_id=job_id, attempt=attempt, name="samples-9.png", pieces=[a_tall_picture()])
    with writing(engine) as session:
        samples.add_sample(
            session, transitions.fence(session, job_id, attempt), step=9, count=64, files={"png": picture}
        )
        add_job(session, name="second")
    app = make_client(engine, blobs=blobs).application
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        visit = Visit(f"http://127.0.0.1:{server.port}", browser.new_page())
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.page.on("console", lambda message: visit.complaints.append(message.text))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        yield visit
        browser.close()
    server.shutdown()
    server.server_close()


def test_the_documentation_shows_every_operation_and_asks_no_other_host(engine: Engine, visit: Visit) -> None:
    document = document_of(make_client(engine).application)
    count = sum(len(operations) for operations in document["paths"].values())

    visit.page.goto(f"{visit.url}/docs")
    visit.page.wait_for_selector(".opblock")
    visit.page.click("#operations-jobs-create_job .opblock-summary")
    visit.page.wait_for_selector("#operations-jobs-create_job .responses-table")

    assert visit.page.locator(".opblock").count() == count
    assert visit.hosts == {urlsplit(visit.url).netloc}
    assert visit.complaints == []


def test_the_landing_page_shows_the_newest_jobs_with_pictures(visit: Visit) -> None:
    visit.page.goto(visit.url)

    names = visit.page.locator(".job h2").all_inner_texts()
    assert names == ["second", "<b>first</b>"]
    picture = visit.page.locator(".job .picture img")
    assert picture.count() == 1
    picture.evaluate("image => image.decode()")
    assert picture.evaluate("image => image.naturalWidth") == 364
    assert visit.hosts == {urlsplit(visit.url).netloc}
    assert visit.complaints == []


def test_a_tall_picture_is_shown_whole_and_none_takes_little_room(visit: Visit) -> None:
    visit.page.goto(visit.url)

    picture = visit.page.locator(".job .picture img")
    picture.evaluate("image => image.decode()")
    frame, shown, none = (
        visit.page.locator(f".job {which}").evaluate("box => box.getBoundingClientRect().toJSON()")
        for which in ("a.picture", "a.picture img", ".picture.none")
    )
    assert frame["top"] <= shown["top"] < shown["bottom"] <= frame["bottom"]
    assert picture.evaluate("image => getComputedStyle(image).objectFit") == "contain"
    assert none["height"] < frame["height"] / 3


def test_the_documentation_is_light_with_readable_badges_whatever_the_browser_prefers(visit: Visit) -> None:
    visit.page.emulate_media(color_scheme="dark")
    visit.page.goto(f"{visit.url}/docs")
    visit.page.wait_for_selector(".opblock")

    badges = visit.page.locator(".info .title small").all()
    assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert len(badges) == 2
    for badge in badges:
        colour = badge.evaluate("badge => getComputedStyle(badge).backgroundColor")
        assert sum(int(channel) for channel in re.findall(r"\d+", colour)) < 300
        inner = badge.locator("pre").evaluate("text => getComputedStyle(text).backgroundColor")
        assert inner == "rgba(0, 0, 0, 0)"


def test_an_open_operation_fits_a_narrow_page(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 800})
    visit.page.goto(f"{visit.url}/docs")
    visit.page.click("#operations-jobs-create_job .opblock-summary")
    visit.page.wait_for_selector("#operations-jobs-create_job .responses-table")

    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_empty_service_tells_how_to_post_the_first_job(engine: Engine) -> None:
    page = make_client(engine).get("/", headers={"Host": "127.0.0.1:8000"}).text

    assert "curl -s http://127.0.0.1:8000/jobs" in page
