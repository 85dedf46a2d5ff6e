"""Every page, on a phone and on a desktop, in the light and in the dark: no fault, nothing cut off, and a picture."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site, log_in

pytestmark = pytest.mark.browser

WIDTHS = {"phone": (390, 844), "desktop": (1440, 900)}
SCHEMES = ("light", "dark")


@pytest.fixture(params=WIDTHS)
def width(request) -> str:
    return request.param


@pytest.fixture(params=SCHEMES)
def page(request, browser: Browser, width: str):
    across, down = WIDTHS[width]
    context = browser.new_context(viewport={"width": across, "height": down}, color_scheme=request.param)
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda said: said.type == "error" and page.faults.append(said.text))
    page.picture = lambda name: _picture(request.config, page, f"{name}-{width}-{request.param}")
    yield page
    context.close()


def _picture(config, page: Page, name: str) -> None:
    if folder := config.getoption("--pictures"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def look_at(page: Page, name: str) -> None:
    """The page has a heading, throws nothing, and is no wider than its window."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.picture(name)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} scrolls sideways"
    assert page.faults == []


def test_pages_of_a_stranger(page: Page, site: Site):
    for name, path in {"welcome": "/", "login": "/account/login/", "signup": "/account/signup/"}.items():
        page.goto(site.url + path)
        look_at(page, name)


def test_pages_of_a_listener(page: Page, site: Site):
    log_in(page, site, "listener")
    look_at(page, "home")
    page.locator(".shelf-hybrid .card a").first.click()
    page.wait_for_url("**/songs/*/")
    look_at(page, "song")
    for name in ("artists", "albums", "genres", "moods"):
        page.locator(f"#page a[href^='/{name}/']").first.click()
        page.wait_for_url(f"**/{name}/*/")
        look_at(page, name.removesuffix("s"))
        page.go_back()
        page.wait_for_url("**/songs/*/")
    for name, path in {
        "genres": "/genres/",
        "moods": "/moods/",
        "search": "/search/?q=the",
        "history": "/history/",
        "verdicts": "/verdicts/",
        "tastes": "/tastes/",
        "profile": "/profile/",
    }.items():
        page.goto(site.url + path)
        look_at(page, name)


def test_pages_of_staff(page: Page, site: Site):
    log_in(page, site, "staff")
    page.wait_for_url(site.url + "/**")
    for name, path in {"admin-songs": "catalog/song/", "admin-runs": "recommender/trainingrun/"}.items():
        page.goto(f"{site.url}/admin/{path}")
        expect(page.get_by_role("table").first).to_be_visible()
        page.picture(name)
        assert page.faults == []


def test_a_page_that_is_not_there_says_what_to_do(page: Page, site: Site):
    log_in(page, site, "listener")
    page.goto(f"{site.url}/songs/99999999/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("Traceback")
    page.picture("absent")
