"""The main job, end to end, as a newcomer lives it."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site, log_in

pytestmark = pytest.mark.browser


@pytest.fixture
def page(page: Page, site: Site):
    """A page that fails the test on any script error or failed request of ours."""
    faults = []
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))
    page.on("response", lambda reply: reply.status >= 500 and faults.append(f"{reply.status} {reply.url}"))
    yield page
    assert not faults


def at(page: Page) -> float:
    return page.evaluate("document.getElementById('audio').currentTime")


def seek(page: Page, seconds: float) -> None:
    page.get_by_role("slider", name="Seek").evaluate(
        "(range, to) => { range.value = to; range.dispatchEvent(new Event('input', {bubbles: true}));"
        " range.dispatchEvent(new Event('change', {bubbles: true})); }",
        seconds,
    )


def titles(page: Page) -> list[str]:
    return page.locator(".shelf-hybrid .card-title").all_inner_texts()


def sign_up(page: Page, site: Site) -> None:
    page.goto(site.url)
    page.get_by_role("link", name="Sign up").first.click()
    page.get_by_label("Username").fill("wanda")
    page.get_by_label("Email").fill("wanda@example.org")
    page.get_by_label("Password", exact=False).first.fill("correct-horse-battery")
    page.get_by_role("button", name="Sign up").click()


def test_a_newcomer_signs_up_picks_plays_seeks_rates_and_sees_the_list_change(page: Page, site: Site):
    sign_up(page, site)
    expect(page.get_by_role("heading", name="What do you like?")).to_be_visible()
    page.locator("input[name=genres] + span").first.click()
    page.get_by_role("button", name="Save and go on").click()

    hybrid = page.locator(".shelf-hybrid")
    expect(hybrid).to_be_visible(timeout=30_000)
    before = titles(page)
    assert len(before) > 5

    first = hybrid.locator(".card").first
    title = first.locator(".card-title").inner_text()
    first.hover()
    first.locator("button.play").click()
    page.wait_for_function("document.getElementById('audio').currentTime > 1", timeout=20_000)
    seek(page, 14)
    page.wait_for_function("document.getElementById('audio').currentTime > 14.5")
    assert at(page) < 25

    # The player goes on while the page changes under it.
    page.evaluate("window.stayed = true")
    first.get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
    moment = at(page)
    page.wait_for_function("moment => document.getElementById('audio').currentTime > moment + 0.5", arg=moment)
    assert page.evaluate("window.stayed"), "the page was loaded anew"

    page.get_by_role("group", name="Your rating of").first.get_by_role("button", name="5 stars").click()
    expect(page.get_by_role("button", name="5 stars, yours")).to_be_visible()

    # Half of it must really be heard before it counts; back to the start, and listen.
    seek(page, 0)
    with page.expect_response(lambda reply: reply.url.endswith("/plays/"), timeout=40_000) as told:
        pass
    assert told.value.ok
    page.get_by_role("link", name="History").first.click()
    row = page.locator("li.row", has_text=title)
    expect(row).to_be_visible()
    expect(row).to_contain_text("Played")

    # The background learns every three seconds here.
    page.get_by_role("link", name="Home").first.click()
    expect(hybrid).to_be_visible()
    for _ in range(10):
        page.wait_for_timeout(3000)
        page.reload()
        if "fresh one is on its way" not in page.content():
            break
    after = titles(page)
    assert title not in after
    assert after != before


def test_the_way_back_to_a_search_finds_its_words(page: Page, site: Site):
    log_in(page, site, "listener")
    page.goto(site.url + "/search/")
    page.get_by_role("searchbox").press_sequentially("the")
    page.wait_for_url("**/search/?q=the")
    page.locator("a.row-title").first.click()
    page.wait_for_url("**/songs/*/")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("the")


def test_more_rows_take_the_focus_of_the_button_that_brought_them(page: Page, site: Site):
    log_in(page, site, "listener")
    page.goto(site.url + "/search/?q=the")
    rows = page.locator("a.row-title")
    before = rows.count()
    page.get_by_role("link", name="Show more").press("Enter")
    expect(rows.nth(before)).to_be_focused()


def test_who_was_logged_out_meanwhile_is_led_to_the_way_in(page: Page, site: Site):
    log_in(page, site, "listener")
    page.goto(site.url + "/search/?q=the")
    page.locator("a.row-title").first.click()
    page.wait_for_url("**/songs/*/")
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("group", name="Your rating of").first.get_by_role("button", name="5 stars").click()
    page.wait_for_url("**/account/login/?next=/songs/*/")
    expect(page.locator("#player")).to_have_count(0)


def shown(page: Page) -> list[str]:
    """Titles on all shelves; what was blocked a moment ago is hidden."""
    return page.locator(".shelf-cards .card:visible .card-title").all_inner_texts()


def test_a_no_takes_the_song_out_of_this_page_and_the_next_until_it_is_taken_back(page: Page, site: Site):
    log_in(page, site, "listener")
    card = page.locator(".shelf-hybrid .card").nth(1)
    title = card.locator(".card-title").inner_text()
    card.hover()
    card.get_by_role("link", name=f"Love or block {title}").press("Enter")
    menu = page.get_by_role("dialog", name="Love or block")
    menu.get_by_role("group", name=f"What you say of {title}").get_by_role("button", name="Not for me").press("Enter")
    expect(menu).to_be_hidden()
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    assert title not in shown(page)
    page.get_by_role("button", name="Undo").press("Enter")
    expect(page.locator("#notices")).to_contain_text("Taken back")
    expect(card).to_be_visible()
    assert title in shown(page)

    opener = card.get_by_role("link", name=f"Love or block {title}")
    card.hover()
    opener.click()
    menu.get_by_role("button", name="Close").click()
    expect(opener).to_be_focused()
    opener.press("Enter")
    menu.get_by_role("button", name="Not for 30 days").first.click()
    expect(menu).to_be_hidden()
    page.reload()
    expect(page.locator(".shelf-hybrid")).to_be_visible()
    assert title not in shown(page)

    page.locator(".me a.place").click()
    page.get_by_role("link", name="Loved and blocked").click()
    row = page.locator("li.row", has_text=title)
    expect(row).to_contain_text("Not for me until")
    row.get_by_role("button", name="Take back").click()
    expect(row.get_by_role("button", name="Love")).to_be_focused()


def test_a_no_in_the_player_goes_on_to_the_next_song(page: Page, site: Site):
    log_in(page, site, "listener")
    card = page.locator(".shelf-hybrid .card").first
    title, following = page.locator(".shelf-hybrid .card-title").all_inner_texts()[:2]
    card.hover()
    card.locator("button.play").click()
    player = page.get_by_role("region", name="Player")
    expect(player.locator("strong")).to_have_text(title)
    player.get_by_role("button", name="Not for me").click()
    expect(player.locator("strong")).to_have_text(following)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#notices")).to_contain_text("Taken back")


def test_without_scripts_a_no_is_a_page_and_two_presses(browser: Browser, page: Page, site: Site):
    log_in(page, site, "listener")
    bare = browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state()).new_page()
    bare.goto(site.url)
    link = bare.locator(".shelf-hybrid a.say").first
    title = link.get_attribute("aria-label").removeprefix("Love or block ")
    link.click()
    bare.get_by_role("group", name=f"What you say of {title}").get_by_role("button", name="Not for me").click()
    bare.wait_for_url(site.url + "/")
    expect(bare.get_by_role("status").first).to_contain_text(f"No more of {title}.")
    assert title not in bare.locator(".card-title").all_inner_texts()
    bare.goto(site.url + "/verdicts/")
    bare.locator("li.row", has_text=title).get_by_role("button", name="Take back").click()
    bare.context.close()
