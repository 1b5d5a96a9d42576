"""An attacker's tour of the page: every address and method of its routes."""

from __future__ import annotations

import re
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import pytest
from starlette.routing import Route

import importer
from importer.ledger import Ledger
from importer.ledger.records import ListState
from importer.sandbox.server import start_sandbox
from importer.web.request_checks import Pace
from tests.support.waiting import wait_until
from tests.unit.web.conftest import serve_page
from tests.unit.web.test_access import HOST, TEAM, talk

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.unit.web.conftest import OpenPage

SAMPLES: Final = Path(__file__).parents[3] / "samples"
LIST: Final = "0123456789abcdef0123456789abcdef"
BAD: Final = "<img src=x onerror=alert(1)>"
OPEN: Final = frozenset({"/health/live", "/health/ready"})
EVERYBODYS: Final = frozenset({"/help/{name}", "/lists/{id}/file"})
"""Addresses with something in them that is nobody's own, or that makes a new list."""


@dataclass
class Colleague:
    """Somebody of the team, in a browser."""

    browser: httpx.Client
    csrf: str

    def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Send a request as the page's own script would."""
        headers = {"x-csrf": self.csrf, "sec-fetch-site": "same-origin", **given.pop("headers", {})}
        return self.browser.request(method, path, headers=headers, **given)


@dataclass
class Team:
    """A page of a team: Sam has a list and a run; Kim has the same roles; Olga is the operator."""

    page: OpenPage
    run: str

    @contextmanager
    def colleague(self, name: str, groups: str = "senders") -> Iterator[Colleague]:
        """Let somebody sign in."""
        given = {"x-forwarded-user": name, "x-forwarded-email": f"{name}@example.com"}
        given["x-forwarded-groups"] = groups
        with self.page.visitor(**HOST, **given) as browser:
            answer = browser.get("/")
            cookie = answer.headers["set-cookie"].partition(";")[0]
            browser.headers["cookie"] = cookie  # the page is https, this connection is not
            found = re.search(r'name="csrf" (?:content|value)="(\w+)"', answer.text)
            assert found is not None
            yield Colleague(browser, found[1])

    def addresses(self) -> Iterator[tuple[str, str, str]]:
        """Yield method, route and address of everything that the page answers."""
        values = {"id": LIST, "run": self.run, "row": "2", "key": "0" * 64}
        values |= {"ending": "csv", "name": "codes", "inbox": "e" * 32}
        for route in self.page.server.routes:
            if not isinstance(route, Route):
                continue
            path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: values[found[1]], route.path)
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield method, route.path, path

    def of_nobody(self, path: str) -> str:
        """Return the same address, with the id of a list or run that does not exist."""
        return path.replace(LIST, "f" * 32).replace(self.run, "20261122-153000-ffff")

    def state(self) -> tuple[object, ...]:
        """Return everything about Sam's list that somebody could have changed."""
        with Ledger.open(self.page.settings.ledger) as ledger:
            known = ledger.lists.find(LIST)
            events = [each.action for each in ledger.audit.all() if each.list == LIST]
            folder = Path(self.page.settings.uploads)
            files = sorted((str(path), path.stat().st_size) for path in folder.rglob("*"))
            return known, events, files


def bad_list() -> bytes:
    """Return a list with markup in every header and cell; two rows can be sent."""
    head = f'first_name,last_name,phone_number,email,"{BAD}"\n'
    rows = "".join(
        f'"{BAD}","{BAD}",+44 20 7946 00{number:02d},ada{number}@example.com,"{BAD}"\n'
        for number in (18, 19)
    )
    return (head + rows + f'"{BAD}","{BAD}","{BAD}","{BAD}","{BAD}"\n').encode()


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Yield a page with Sam's list, which was checked and sent."""
    folder = tmp_path_factory.mktemp("team")
    with start_sandbox() as sandbox, _serve_team(folder, sandbox.base_url) as team:
        yield team


@contextmanager
def _serve_team(folder: Path, base_url: str) -> Iterator[Team]:
    given: dict[str, Any] = {
        **TEAM,
        "base_url": base_url,
        "templates": SAMPLES / "templates",
        "campaign": BAD,
        "meeting": "onsite-45",
        "participants": "panel",
        "max_bytes": 1_000_000,
        "roles": {
            "uploader": ["sam", "kim"],
            "sender": ["group:senders"],
            "operator": ["olga"],
        },
    }
    with serve_page(folder, Pace(grace_s=2.0, bytes_per_s=1_000_000), **given) as page:
        team = Team(page, "")
        with team.colleague("sam") as sam:
            name = {"x-file-name": quote(f"{BAD}.csv", safe="")}
            assert sam.ask(
                "PUT", f"/lists/{LIST}/file", content=bad_list(), headers=name
            ).is_success
            form = {"id": LIST, "campaign": BAD}
            assert sam.ask("POST", "/lists/new", data=form).status_code == 303
        with Ledger.open(page.settings.ledger) as ledger:

            def is_checked() -> bool:
                known = ledger.lists.find(LIST)
                return known is not None and known.state not in {
                    ListState.UPLOADED,
                    ListState.CHECKING,
                }

            wait_until(is_checked)
            file = folder / "list.csv"
            file.write_bytes(bad_list())
            plan = importer.check([str(file)], page.settings)
            options = importer.RunOptions("a test", page.settings.credentials())
            report = importer.send(plan, page.settings, options)
            ledger.lists.change(LIST, {ListState.OPEN}, run=report.run)
            team.run = report.run
            yield team


def test_nobody_is_let_in_without_signing_in(team: Team) -> None:
    """Whatever the address, and nothing is changed."""
    before = team.state()
    with team.page.visitor(**HOST) as visitor:
        for method, route, path in team.addresses():
            answer = visitor.request(method, path)
            assert (answer.status_code == 200) == (route in OPEN), (method, path)
            assert route in OPEN or answer.status_code == 403, (method, path)
    assert team.state() == before


def test_no_address_changes_anything_without_the_token(team: Team) -> None:
    """Nor if another site asks with it."""
    before = team.state()
    with team.colleague("sam") as sam:
        for method, _, path in team.addresses():
            if method == "GET":
                continue
            assert sam.browser.request(method, path).status_code == 403, (method, path)
            assert sam.browser.request(method, path, data={"csrf": "0" * 64}).status_code == 403
            evil = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
            assert sam.ask(method, path, headers=evil).status_code == 403, (method, path)
    assert team.state() == before


def test_a_list_of_a_colleague_does_not_exist(team: Team) -> None:
    """By its id, in every address and with every method."""
    before = team.state()
    tried = set()
    with team.colleague("kim") as kim:
        for method, route, path in team.addresses():
            if "{" not in route or route in EVERYBODYS:
                continue
            for each in sorted({method, "GET", "POST"}):
                answer, ghost = kim.ask(each, path), kim.ask(each, team.of_nobody(path))
                refused = {400, 403, 404, 405} if "{key}" not in route else {303, 404, 405}
                assert answer.status_code in refused, (each, path)
                assert answer.status_code == ghost.status_code, (each, path)
                assert answer.text == ghost.text, (each, path)
                tried.add((each, route))
        form = {"id": LIST, "campaign": "mine"}
        assert kim.ask("POST", "/lists/new", data=form).status_code >= 400
        assert kim.ask("PUT", f"/lists/{LIST}/file", content=b"mine").status_code == 404
        assert LIST not in kim.ask("GET", "/").text
    assert len(tried) > 30
    assert team.state() == before


def test_uploading_is_not_sending(team: Team) -> None:
    """Without that role, not even with one's own list."""
    before = team.state()
    with team.colleague("sam", groups="") as sam:
        for path in ("send", "halt", "go-on", "decision"):
            assert sam.ask("POST", f"/lists/{LIST}/{path}").status_code == 403, path
        assert sam.ask("POST", "/doubts/look-up").status_code == 403
        assert sam.ask("POST", f"/doubts/{'0' * 64}").status_code == 403
    assert team.state() == before


def test_what_is_in_a_list_is_never_markup(team: Team) -> None:
    """In every page of its owner and of the operator, whatever it was called."""
    shown = 0
    for name in ("sam", "olga"):
        with team.colleague(name) as colleague:
            for method, _, path in team.addresses():
                if method != "GET":
                    continue
                answer = colleague.ask("GET", path)
                assert answer.status_code < 500, path
                if "html" in answer.headers.get("content-type", ""):
                    assert "<img" not in answer.text, path
                    shown += "&lt;img" in answer.text
                else:
                    assert answer.headers["x-content-type-options"] == "nosniff"
    assert shown > 5


ODD: Final = (
    "/lists/../lists/{id}",
    "/lists/%2e%2e/{id}",
    "/lists/{id}%2ffile",
    "/lists/{id}/../../help",
    "//lists/{id}",
    "/lists/{id}/",
    "/lists/{upper}",
    "/lists/{id}%00",
    "/lists/{id}.csv",
    "/lists/" + "a" * 20_000,
    "/lists/%c3%28",
    "/static/../page_server.py",
    "/static/%2e%2e/page_server.py",
    "/static/..%2f..%2fpage_server.py",
    "/static/..%5cpage_server.py",
    "/static//etc/passwd",
    "/static/%00",
    "/help/../settings",
    "/help/%2e%2e%2fdocs%2fcodes",
    "/help/page.md",
    "/runs/../runs/{run}",
    "/runs/%27%20OR%201=1",
    "/nights/%3Cscript%3E",
    "/audit?before=%27",
    "/audit?before=-1",
    "/audit?before=99999999999999999999",
    "/lists/{id}/to-fix.exe",
    "/lists/{id}/rows/-1",
    "/lists/{id}/rows/99999999999999999999",
    "/lists/{id}/fix?page=-1",
    "/lists/{id}/fix?page=99999999999999999999",
    "/lists/{id}/fix?page=x&task=%00",
    "/lists/{id}/preview?row=99999999999999999999",
    "/runs/{run}/rows?state=%00&page=-1",
)


def test_odd_addresses_lead_nowhere(team: Team) -> None:
    """Not to files, not to errors of the server, and not past who may see what."""
    for name in ("kim", "olga"):
        with team.colleague(name) as colleague:
            for each in ODD:
                path = each.format(id=LIST, upper=LIST.upper(), run=team.run)
                head = (
                    f"GET {path} HTTP/1.1\r\nHost: {HOST['host']}\r\nConnection: close\r\n"
                    f"Cookie: {colleague.browser.headers['cookie']}\r\n"
                    f"X-Forwarded-User: {name}\r\nX-Forwarded-Email: {name}@example.com\r\n\r\n"
                )
                answer = talk(team.page.url, head.encode())
                assert int(answer.split(b" ")[1]) < 500, (path, answer)
                assert b"import " not in answer, path
                if name == "kim":
                    assert BAD.encode() not in answer, path
                    assert b"&lt;img" not in answer, path


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
# Starlette leaves the temporary file of a part that has no end to the garbage collector.
def test_broken_and_huge_uploads_leave_nothing(team: Team) -> None:
    """And the page goes on working."""
    before = team.state()
    one = "--x\r\nContent-Disposition: form-data; name="
    many = "".join(f'{one}"f{number}"\r\n\r\n1\r\n' for number in range(10_000)) + "--x--\r\n"
    bodies = [
        b"",
        b"--x",
        b"--x--\r\n",
        b"\r\n" * 50_000,
        b"--x\r\n" + b"A" * 100_000,
        b"--x\r\n" + b"Header: value\r\n" * 5_000 + b"\r\n\r\n--x--",
        f'{one}"file"; filename="{"a" * 50_000}"\r\n\r\n1\r\n--x--\r\n'.encode(),
        f'{one}"file"; filename="../../../etc/passwd"\r\n\r\n1\r\n'.encode(),
        f'{one}"id"\r\n\r\n{"b" * 70_000}\r\n--x--\r\n'.encode(),
        f'{one}"id"\r\n\r\n{LIST}\r\n{one}"id"\r\n\r\n{"0" * 32}\r\n--x--\r\n'.encode(),
        many.encode(),
        many.replace("form-data;", "form-data" + ";" * 100).encode(),
    ]
    head = {"content-type": "multipart/form-data; boundary=x"}
    with team.colleague("kim") as kim:
        for body in bodies:
            answer = kim.ask("POST", "/lists/new", content=body, headers=head)
            assert 400 <= answer.status_code < 500, (body[:60], answer.status_code)
        other = LIST.replace("0", "f")

        def too_much() -> Iterator[bytes]:
            for _ in range(30):
                yield b"x" * 100_000

        answer = kim.ask("PUT", f"/lists/{other}/file", content=too_much())
        assert answer.status_code == 413
        assert kim.ask("GET", "/").status_code == 200
    after = team.state()
    assert before[:2] == after[:2]
    assert not list(Path(team.page.settings.uploads).rglob("*.part"))


def test_an_upload_that_trickles_in_leaves_nothing(team: Team) -> None:
    """It is stopped, with an answer, and its part of the file is gone."""
    address = urlsplit(team.page.url)
    with team.colleague("kim") as kim:
        head = (
            f"PUT /lists/{LIST.replace('0', 'f')}/file HTTP/1.1\r\nHost: {HOST['host']}\r\n"
            f"Cookie: {kim.browser.headers['cookie']}\r\nX-CSRF: {kim.csrf}\r\n"
            "X-Forwarded-User: kim\r\nX-Forwarded-Email: kim@example.com\r\n"
            "Content-Length: 1000\r\n\r\n"
        )
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(head.encode())
            connection.sendall(b"a")
            answer = connection.recv(65536)
    assert answer.split(b" ")[1] in {b"400", b"408"}
    assert not list(Path(team.page.settings.uploads).rglob("*.part"))
