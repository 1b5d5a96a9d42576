"""A recruiter's whole way in a real browser: also without script, by keyboard, on a telephone."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.recruiter import BAD, GOOD, make_list

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from importer.sandbox.server import Sandbox
    from tests.support.recruiter import Site

WAYS: Final[dict[str, dict[str, Any]]] = {
    "script": {},
    "no-script": {"java_script_enabled": False},
    "telephone": {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"},
}


@contextmanager
def open_browser(chromium: Browser, site: Site, **options: Any) -> Iterator[Page]:
    """Yield a signed-in page; an error of its script, or a request to elsewhere, fails the test."""
    context = chromium.new_context(base_url=site.url, accept_downloads=True, **options)
    page = context.new_page()
    page.set_default_timeout(20_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request", lambda each: faults.append(each.url) if _is_foreign(each.url, site) else None
    )
    page.on("console", lambda each: faults.append(each.text) if each.type == "error" else None)
    page.goto(site.link)
    yield page
    context.close()
    assert not faults


def _is_foreign(url: str, site: Site) -> bool:
    return not url.startswith((site.url, "data:", "blob:"))


def upload(page: Page, file: Path, campaign: str) -> str:
    """Upload a list; return its address."""
    page.goto("/lists/new")
    page.set_input_files("#file", file)
    page.fill("#campaign", campaign)
    page.get_by_role("button", name="Upload and check").click()
    again = page.get_by_role("link", name="Look again")
    heading = page.get_by_role("heading", level=1)
    heading.wait_for()
    while "being checked" in heading.inner_text() and again.is_visible():
        again.click()
    page.get_by_role("heading", name="fixing").wait_for()
    return page.url


def people(api: Sandbox, campaign: str) -> list[str]:
    """Return the first names of the people with a conversation."""
    entries = api.conversations.entries
    return sorted(each["firstName"] for each in entries if each["campaignId"] == campaign)


def assert_fits(page: Page) -> None:
    """Require that nothing has to be scrolled sideways."""
    wide = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert wide <= 0, page.url


@pytest.mark.parametrize("way", WAYS)
def test_the_whole_way(
    chromium: Browser, site: Site, api: Sandbox, tmp_path: Path, way: str
) -> None:
    """Upload, correct a cell, leave a row out, preview, send, follow: each person once."""
    file = tmp_path / "messy <b>list.csv"
    file.write_bytes(make_list(*GOOD, *BAD))
    with open_browser(chromium, site, **WAYS[way]) as page:
        address = upload(page, file, way)
        if way == "telephone":
            assert_fits(page)
        page.get_by_role("link", name="Put the rows right here").click()
        cell = page.get_by_role("textbox", name="First Name, row 5")
        cell.fill("Nan")
        if way == "no-script":
            page.locator("#r5").get_by_role("button", name="Save").first.click()
        else:
            cell.press("Tab")
        page.get_by_role("heading", name="1 row needs fixing").wait_for()
        if way == "telephone":
            assert_fits(page)
        page.get_by_role("button", name="Leave row 6 out").click()
        page.get_by_role("heading", name="Every row is ready").wait_for()
        for path in ("", "/preview", "/columns", "/corrections", "/send"):
            page.goto(address + path)
            if way == "telephone":
                assert_fits(page)
        page.get_by_role("button", name="Start 4 conversations").click()
        done = page.get_by_role("heading", name="All 4 rows are through")
        while way == "no-script" and not done.is_visible():
            page.goto(address)
        done.wait_for()
        page.get_by_role("link", name="See each row").click()
        assert page.get_by_text("conversation started", exact=True).count() >= 4
        if way == "telephone":
            assert_fits(page)
    assert people(api, way) == ["Ada", "Cy", "Ed", "Nan"]


def test_by_keyboard_alone(chromium: Browser, site: Site, api: Sandbox, tmp_path: Path) -> None:
    """From cell to cell with Enter; the focus is never lost; the title says how many are left."""
    file = tmp_path / "list.csv"
    rows = [f",Nameless,,n{n}@example.com,GB,Cook\r\n" for n in range(5)]
    file.write_bytes(make_list(*rows))
    with open_browser(chromium, site) as page:
        upload(page, file, "keyboard")
        page.get_by_role("link", name="Put the rows right here").focus()
        page.keyboard.press("Enter")
        page.locator("#r2-1").focus()
        for left in (4, 3, 2, 1, 0):
            page.keyboard.type("Pat")
            page.keyboard.press("Enter")
            words = {0: "Every row is ready", 1: "1 row needs fixing"}
            page.get_by_role("heading", name=words.get(left, f"{left} rows need fixing")).wait_for()
            if left:
                assert page.evaluate("document.activeElement.id") == f"r{7 - left}-1"
        assert "Every row is ready" in page.locator("#live").inner_text()
        page.get_by_role("link", name="Back to the list").focus()
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Go on with 5 rows").focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Start 5 conversations").focus()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="All 5 rows are through").wait_for()
    assert people(api, "keyboard") == ["Pat"] * 5


def test_two_browsers_start_one_list(
    chromium: Browser, site: Site, api: Sandbox, tmp_path: Path
) -> None:
    """Both see it on its way, and it goes once."""
    file = tmp_path / "list.csv"
    file.write_bytes(make_list(*GOOD, BAD[0]))
    with open_browser(chromium, site) as one, open_browser(chromium, site) as two:
        address = upload(one, file, "two")
        for page in (one, two):
            page.goto(f"{address}/send")
        for page in (one, two):
            page.get_by_role("button", name="Start 3 conversations").click()
            page.get_by_role("heading", name="All 3 rows are through").wait_for()
    assert people(api, "two") == ["Ada", "Cy", "Ed"]


def test_a_corrected_row_keeps_its_columns(chromium: Browser, site: Site, tmp_path: Path) -> None:
    """Without reloading, each cell stays under its column, although wrong ones come first."""
    file = tmp_path / "list.csv"
    bad = "Jo,Doe,020 7946 0019,jo@example.com,Germny,Cook\r\n"
    file.write_bytes(make_list(bad, bad.replace("jo@", "mo@").replace("Jo,Doe", "Mo,Ray")))
    with open_browser(chromium, site) as page:
        page.goto(f"{upload(page, file, 'columns')}/fix?task=country-unknown.country")

        def columns() -> list[str]:
            cells = page.locator("#r2 td[data-of]").all()
            return [cell.get_attribute("data-of") or "" for cell in cells]

        heads = [each.inner_text() for each in page.locator("thead th").all()[1:]]
        assert columns() == heads
        assert heads != make_list().decode().strip().split(",")
        page.locator("#r2").get_by_role("button", name="Change to Germany").click()
        page.locator("#r2").get_by_role("button", name="Undo").wait_for()
        assert columns() == heads


def test_the_language_is_switched(chromium: Browser, site: Site) -> None:
    """With one click, on the page where the reader is, and for the pages after it."""
    with open_browser(chromium, site, locale="en-GB") as page:
        page.goto("/lists/new")
        page.get_by_role("button", name="Deutsch").click()
        page.get_by_role("heading", name="Liste hochladen").wait_for()
        assert page.url.endswith("/lists/new")
        page.goto("/")
        assert page.locator("html").get_attribute("lang") == "de"
