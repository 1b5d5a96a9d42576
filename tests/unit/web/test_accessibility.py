"""Every page of the site, judged by axe-core (WCAG 2.2 A and AA), at two widths, light and dark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from starlette.routing import Route

import importer
from importer.ledger import Ledger
from importer.ledger.records import ListState
from importer.sandbox.server import SandboxOptions, start_sandbox
from tests.support.waiting import wait_until
from tests.unit.web.conftest import serve_page
from tests.unit.web.test_attackers_tour import SAMPLES, bad_list
from tests.unit.web.test_operations import make_inbox, note_night

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.unit.web.conftest import OpenPage

CHROMIUM: Final = Path("/usr/bin/chromium")
LISTS: Final = ("0" * 31 + "1", "0" * 31 + "2")
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "wide-light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "narrow-dark": {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"},
}
RULES: Final = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    },
    "rules": {"target-size": {"enabled": True}},  # of WCAG 2.2; off by default
    "resultTypes": ["violations"],
}


@pytest.fixture(scope="module")
def axe() -> str:
    """Return the script of axe-core, as a package for tests brings it."""
    base = pytest.importorskip("axe_playwright_python.base", reason="axe-core is not installed")
    return str(base.AXE_SCRIPT)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OpenPage, str]]:
    """Yield a page with something on each of its pages, and the id of a run."""
    folder = tmp_path_factory.mktemp("full")
    inbox = make_inbox(folder)
    given: dict[str, Any] = {
        "templates": SAMPLES / "templates",
        "campaign": "camp-1",
        "meeting": "onsite-45",
        "participants": "panel",
    }
    with (
        start_sandbox(SandboxOptions(faults="reset-after:0.5", seed=1)) as sandbox,
        serve_page(folder, base_url=sandbox.base_url, reconcile=False, **given) as page,
        Ledger.open(page.settings.ledger) as ledger,
        page.signed_in() as visitor,
    ):
        note_night(ledger, inbox)
        token = re.search(r'name="csrf" content="(\w+)"', visitor.get("/").text)
        assert token is not None
        files = ((SAMPLES / "recruiter-export.csv").read_bytes(), bad_list())
        for list_id, content in zip(LISTS, files, strict=True):
            head = {"x-csrf": token[1], "x-file-name": "list.csv"}
            visitor.put(f"/lists/{list_id}/file", content=content, headers=head)
            visitor.post("/lists/new", data={"id": list_id}, headers=head)
        wait_until(lambda: len(ledger.lists.list(states={ListState.OPEN})) == len(LISTS))
        file = folder / "list.csv"
        file.write_bytes(bad_list())
        plan = importer.check([str(file)], page.settings)
        options = importer.RunOptions("a test", page.settings.credentials())
        report = importer.send(plan, page.settings, options)
        yield page, report.run


@pytest.fixture(scope="module")
def browsers(axe: str, full: tuple[OpenPage, str]) -> Iterator[Any]:
    """Yield Debian's Chromium; its loop would disturb what `full` does."""
    del axe, full
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


def addresses(page: OpenPage, run: str) -> list[str]:
    """Return every page, with each list where an address has one."""
    found = ["/lists/none"]
    for route in page.server.routes:
        if isinstance(route, Route) and "GET" in (route.methods or ()):
            path = route.path.replace("{run}", run).replace("{name}", "codes")
            path = path.replace("/nights/{id}", "/nights/night-20261122-020000")
            found += [path.replace("{id}", each) for each in (LISTS if "{id}" in path else ("",))]
    skipped = ("/health/", "/metrics", ".jsonl", ".{ending}", "/status", "/lists/example")
    return [path for path in found if not any(each in path for each in skipped)]


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_can_be_used_by_everybody(
    browsers: Any, full: tuple[OpenPage, str], axe: str, look: str
) -> None:
    """No violation on any page, nothing to scroll sideways, and one first heading."""
    page, run = full
    context = browsers.new_context(base_url=page.url, **LOOKS[look])
    tab: Page = context.new_page()
    tab.goto(page.link)
    wrong: dict[str, list[str]] = {}
    for path in addresses(page, run):
        tab.goto(path)
        tab.evaluate(axe)
        found = tab.evaluate("rules => axe.run(document, rules)", RULES)
        faults = [
            f"{each['id']}: {node['html'][:150]} {node['failureSummary'][:300]}"
            for each in found["violations"]
            for node in each["nodes"]
        ]
        if tab.evaluate("document.documentElement.scrollWidth > innerWidth"):
            faults.append("it is wider than the window")
        if tab.locator("h1").count() != 1:
            faults.append("it has not one first heading")
        if faults:
            wrong[path] = faults
    context.close()
    assert not wrong, "\n".join(
        f"{path}: {fault}" for path, some in wrong.items() for fault in some
    )
