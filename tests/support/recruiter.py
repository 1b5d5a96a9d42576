"""A recruiter's half of the talk with the page: upload, correct, send, and wait for it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import httpx

from importer.web.page_server import start_page
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.settings import Settings
    from importer.web.page_server import PageServer

SAMPLES: Final = Path(__file__).resolve().parents[2] / "samples"

HEADER: Final = "First Name,Surname,Mobile,Email,Country,Job Title\r\n"
GOOD: Final = (
    "Ada,Lovelace,+44 20 7946 0018,ada@example.com,GB,Engineer\r\n",
    "Cy,Young,+1 202 555 0104,cy@example.com,US,Analyst\r\n",
    "Ed,Edit,+61 491 570 006,ed@example.com,AU,Analyst\r\n",
)
BAD: Final = (
    ",Nameless,+44 20 7946 0019,nn@example.com,GB,Engineer\r\n",
    "Di,Prince,,,FR,Analyst\r\n",
)


def make_list(*rows: str) -> bytes:
    """Return a list with a header and these rows."""
    return (HEADER + "".join(rows)).encode()


def write_project(folder: Path, base_url: str, *lines: str) -> Path:
    """Write settings and templates for a page whose API is at an address; return the settings."""
    for kind, text in (
        ("meetings/onsite", (SAMPLES / "templates/meetings/onsite-45.yaml").read_text("utf-8")),
        ("participants/panel", (SAMPLES / "templates/participants/panel.yaml").read_text("utf-8")),
    ):
        path = folder / "templates" / f"{kind}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    known = (
        f"base_url: {base_url}",
        "rehearsal: true",
        "campaign: camp-1",
        "rate_per_s: 1000",
        "listen: 127.0.0.1:0",
    )
    settings = folder / "importer.yaml"
    settings.write_text("\n".join((*known, *lines, "")), "utf-8")
    return settings


@contextmanager
def open_site(settings: Settings) -> Iterator[Site]:
    """Serve a page in a thread of this process until the context ends."""
    terminal: list[str] = []
    with start_page(settings, settings.credentials(), say=terminal.append) as server:
        server.links.renew()
        yield Site(server, terminal)


class Site:
    """A page that is served, and what it printed on its terminal."""

    def __init__(self, server: PageServer, terminal: list[str]) -> None:
        self.url = server.address
        self._terminal = terminal

    @property
    def link(self) -> str:
        """The newest one-time link, without the address."""
        found = re.findall(r"/sign-in\?token=\S+", "\n".join(self._terminal))
        return str(found[-1])

    @contextmanager
    def sign_in(self) -> Iterator[Recruiter]:
        """Yield somebody who has used the newest link."""
        headers = {"accept": "text/html"}
        with httpx.Client(base_url=self.url, headers=headers, trust_env=False) as browser:
            assert browser.get(self.link).status_code == 303
            yield Recruiter(browser)

    @contextmanager
    def member(self, name: str, *groups: str) -> Iterator[Recruiter]:
        """Yield somebody that the proxy in front of the page lets in."""
        headers = {
            "accept": "text/html",
            "host": "importer.example.com",
            "x-forwarded-user": name,
            "x-forwarded-email": f"{name}@example.com",
            "x-forwarded-groups": ",".join(groups),
        }
        with httpx.Client(base_url=self.url, headers=headers, trust_env=False) as browser:
            cookie = browser.get("/").headers["set-cookie"].partition(";")[0]
            browser.headers["cookie"] = cookie
            yield Recruiter(browser)


class Recruiter:
    """Somebody who is signed in, with a browser that has no script.

    Args:
        browser: with the cookie of a session.
    """

    def __init__(self, browser: httpx.Client) -> None:
        self.browser = browser

    @cached_property
    def token(self) -> str:
        """The token of this session's forms."""
        found = re.search(r'<meta name="csrf" content="([^"]+)"', self.browser.get("/").text)
        assert found is not None
        return found[1]

    def new_id(self) -> str:
        """Return an id for a list, from the form."""
        found = re.search(r'name="id" value="([0-9a-f]{32})"', self.browser.get("/lists/new").text)
        assert found is not None
        return found[1]

    def put(self, list_id: str, data: bytes, name: str = "list.csv") -> httpx.Response:
        """Send the bytes of a file, as the script does."""
        headers = {"x-csrf": self.token, "x-file-name": quote(name)}
        return self.browser.put(f"/lists/{list_id}/file", content=data, headers=headers)

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form."""
        return self.browser.post(path, data={"csrf": self.token, **fields})

    def upload(self, data: bytes, name: str = "list.csv", **choices: str) -> str:
        """Upload a list and wait until it is checked; return its id."""
        list_id = self.new_id()
        assert self.put(list_id, data, name).status_code == 201
        chosen = {"meeting": "onsite", "participants": "panel", **choices}
        answer = self.post("/lists/new", id=list_id, **chosen)
        assert answer.headers["location"] == f"/lists/{list_id}"
        self.wait_until_checked(list_id)
        return list_id

    def wait_until_checked(self, list_id: str) -> None:
        """Wait until a list is no longer being checked."""
        wait_until(lambda: "x-reload" in self.browser.get(f"/lists/{list_id}/status").headers)

    def correct(
        self, list_id: str, row: int, header: str, value: str, seen: int = 0
    ) -> httpx.Response:
        """Correct a cell, as the form without script does."""
        fields = {"header": header, "value": value, "seen": str(seen), "action": "save"}
        return self.post(f"/lists/{list_id}/rows/{row}", **fields)

    def offer(self, list_id: str) -> dict[str, str]:
        """Return the hidden fields of the page on which a list is started."""
        text = self.browser.get(f"/lists/{list_id}/send").text
        names = ("plan", "ready", "version")
        found = {name: re.search(rf'name="{name}" value="([^"]*)"', text) for name in names}
        return {name: each[1] for name, each in found.items() if each is not None}

    def start(self, list_id: str) -> str:
        """Start a list; return the path of its run."""
        assert self.post(f"/lists/{list_id}/send", **self.offer(list_id)).status_code == 303
        return self.wait_for_run(list_id)

    def wait_for_run(self, list_id: str) -> str:
        """Wait until a list has a run, and return the run's path."""

        def path() -> str:
            return str(self.browser.get(f"/lists/{list_id}").headers.get("location", ""))

        wait_until(lambda: path().startswith("/runs/"))
        return path()

    def wait_until_sent(self, run: str) -> str:
        """Wait until a run has ended, and return its page."""
        wait_until(lambda: "x-reload" in self.browser.get(f"{run}/status").headers)
        return self.browser.get(run).text
