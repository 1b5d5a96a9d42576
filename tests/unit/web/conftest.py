"""A page on a real socket, and a browser's half of the talk with it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from importer.sandbox.server import start_sandbox
from importer.settings import Settings, load_settings
from importer.web.page_server import start_page
from importer.web.request_checks import USUAL_PACE, Pace
from tests.support.recruiter import Recruiter, open_site, write_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from importer.sandbox.server import Sandbox
    from importer.web.page_server import PageServer


@dataclass
class OpenPage:
    """A page that is served, and what it printed on its terminal."""

    server: PageServer
    settings: Settings
    terminal: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.server.address

    @property
    def link(self) -> str:
        """The newest one-time link, without the address."""
        found = [re.search(r"/sign-in\?token=\S+", line) for line in self.terminal]
        return [each[0] for each in found if each][-1]

    def visitor(self, **headers: str) -> httpx.Client:
        """Return a browser without cookies."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.Client(
            base_url=self.url, headers={"accept": "text/html,*/*", **named}, trust_env=False
        )

    @contextmanager
    def signed_in(self) -> Iterator[httpx.Client]:
        """Yield a browser that has used the newest link."""
        with self.visitor() as visitor:
            assert visitor.get(self.link).status_code == 303
            yield visitor


@contextmanager
def serve_page(folder: Path, pace: Pace = USUAL_PACE, **given: Any) -> Iterator[OpenPage]:
    """Serve a page that keeps everything in a folder."""
    settings = Settings.model_validate(
        {
            "ledger": f"sqlite:///{folder / 'importer.db'}",
            "uploads": folder / "uploads",
            "rehearsal": True,
            "base_url": "http://127.0.0.1:1/v1",
            "listen": "127.0.0.1:0",
            **given,
        }
    )
    terminal: list[str] = []
    with start_page(settings, settings.credentials(), say=terminal.append, pace=pace) as server:
        server.links.renew()
        yield OpenPage(server, settings, terminal)


@pytest.fixture
def open_page(tmp_path: Path) -> Callable[..., AbstractContextManager[OpenPage]]:
    """Return a function that serves a page with other settings than usual."""
    return partial(serve_page, tmp_path)


@pytest.fixture
def page(open_page: Callable[..., AbstractContextManager[OpenPage]]) -> Iterator[OpenPage]:
    """Yield a page for one person on this machine."""
    with open_page() as served:
        yield served


# ---- a recruiter's page with an API -------------------------------------------------------------


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    """Yield a stand-in for the API, for all tests of this file."""
    with start_sandbox() as api:
        yield api


@pytest.fixture(scope="module")
def settings(api: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return settings of a page whose API is the sandbox."""
    return load_settings(write_project(tmp_path_factory.mktemp("page"), api.base_url))


@pytest.fixture(scope="module")
def ann(settings: Settings) -> Iterator[Recruiter]:
    """Yield somebody who may do everything on their own machine."""
    with open_site(settings) as site, site.sign_in() as ann:
        yield ann


@pytest.fixture
def campaign(request: pytest.FixtureRequest) -> str:
    """Return a campaign for one test: nobody is in it yet."""
    return str(request.node.name)
