"""The documentation in a real browser: it shows what it should, and asks nobody else for anything."""

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.browsing import Visit, visiting
from tests.conversation import document_of, make_client

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # a browser sees no difference


@pytest.fixture
def visit(engine: Engine) -> Iterator[Visit]:
    """A browser before its first page."""
    with visiting(make_client(engine).application) as visit:
        yield visit


def test_the_documentation_shows_every_operation_and_asks_no_other_host(engine: Engine, visit: Visit) -> None:
    document = document_of(make_client(engine).application)
    count = sum(len(operations) for operations in document["paths"].values())

    visit.page.goto(f"{visit.url}/docs")
    visit.page.wait_for_selector(".opblock")
    visit.page.click("#operations-jobs-create_job .opblock-summary")
    visit.page.wait_for_selector("#operations-jobs-create_job .responses-table")

    assert visit.page.locator(".opblock").count() == count
    visit.assert_quiet()


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
