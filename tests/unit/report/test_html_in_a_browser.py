"""The page in a real browser: it shows what it should, complains of nothing, asks nobody."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from importer.report import html, view
from importer.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from importer.model import Plan

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")


class Browser:
    """Chromium without a window."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ran(self, *flags: str) -> subprocess.CompletedProcess[str]:
        """Return what it printed and what it complained of."""
        assert CHROMIUM is not None
        return subprocess.run(
            [
                CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-background-networking", "--disable-component-update",
                "--enable-logging=stderr", f"--user-data-dir={self.folder / 'profile'}", *flags,
            ],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip

    def opened(self, page: Path) -> tuple[str, list[str], list[str]]:
        """Return the page as the browser understood it, its complaints, and its requests."""
        log = self.folder / "net.json"
        done = self.ran(f"--log-net-log={log}", "--dump-dom", page.as_uri())
        complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        events = json.loads(log.read_text())["events"]
        asked = [
            event["params"]["url"]
            for event in events
            if event.get("params", {}).get("initiator") not in {None, "not an origin"}
        ]
        return done.stdout, complaints, asked


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """Return a browser with a profile of its own."""
    return Browser(tmp_path)


@pytest.fixture
def page(recruiter_plan: Plan, tmp_path: Path) -> Path:
    """Return the page of the recruiter's plan."""
    path = tmp_path / "report.html"
    html.write_page(view.plan_view(recruiter_plan, Settings()), path)
    return path


def test_the_tasks_are_there_and_nobody_is_asked(browser: Browser, page: Path) -> None:
    """No complaint on the console, no request from the page."""
    text, complaints, asked = browser.opened(page)
    assert "Correct the phone number" in text
    assert "3 need fixing" in text
    assert 'id="r0-3"' in text
    assert complaints == []
    assert asked == []


def test_the_browser_would_have_noticed(browser: Browser, tmp_path: Path) -> None:
    """A page that complains and asks is seen doing both: the test above can fail."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<!doctype html><title>x</title><img src='https://tracker.example/x.png'>"
        "<script>console.error('boom')</script>"
    )
    _, complaints, asked = browser.opened(page)
    assert "boom" in complaints[0]
    assert asked == ["https://tracker.example/x.png"]


def test_it_prints(browser: Browser, page: Path, tmp_path: Path) -> None:
    """To a few pages, not to none."""
    paper = tmp_path / "report.pdf"
    browser.ran("--no-pdf-header-footer", f"--print-to-pdf={paper}", page.as_uri())
    content = paper.read_bytes()
    assert content.startswith(b"%PDF")
    assert 1 <= content.count(b"/Type /Page\n") <= 8


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_are_two_pictures(
    browser: Browser, page: Path, tmp_path: Path, *, dark: bool
) -> None:
    """The scheme that the reader prefers is the one that is drawn."""
    picture = tmp_path / "page.png"
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    browser.ran(*scheme, "--window-size=800,600", f"--screenshot={picture}", page.as_uri())
    other = tmp_path / "other.png"
    browser.ran("--window-size=800,600", f"--screenshot={other}", page.as_uri())
    assert (picture.read_bytes() != other.read_bytes()) is dark
