"""What the tests in a browser share: Chromium, a stand-in for the API, and one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from importer.sandbox.server import start_sandbox
from importer.settings import load_settings
from tests.support.recruiter import open_site, write_project
from tests.support.remote_inboxes import moto_port, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from importer.sandbox.server import Sandbox
    from tests.support.recruiter import Site

__all__ = ["moto_port", "s3_server"]  # fixtures

CHROMIUM: Final = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Yield Debian's Chromium, for one file.

    Playwright's event loop runs in this thread until the end. Nothing that begins a loop of its
    own could be tested after it, so no other file may find it running.
    """
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    """Yield a stand-in for the API."""
    with start_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def site(api: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield the page, for all tests of a file."""
    settings = write_project(tmp_path_factory.mktemp("page"), api.base_url)
    with open_site(load_settings(settings)) as site:
        yield site
