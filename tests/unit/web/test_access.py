"""Only people who are signed in are let through, and only with requests that they mean."""

from __future__ import annotations

import asyncio
import re
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from importer.errors import SettingsError
from importer.ledger import Ledger
from importer.ledger.page_people import hash_session
from importer.web.access import AccessControl, Forbidden, Person, Role, require_role
from importer.web.page_server import refuse_strangers
from importer.web.request_checks import Origins, Pace
from importer.web.sign_in import SignInLinks

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from starlette.requests import Request
    from starlette.responses import Response

    from tests.unit.web.conftest import OpenPage

TEAM: dict[str, Any] = {
    "auth": "proxy-header",
    "page_url": "https://importer.example.com",
    "trusted_proxies": ["127.0.0.1"],
    "roles": {"uploader": ["group:recruiting"], "operator": ["ops@example.com"]},
}
HOST = {"host": "importer.example.com"}


def cookie(answer: httpx.Response) -> str:
    """Return the secret of the session that an answer starts."""
    found = re.search(r"importer=([\w-]+)", answer.headers.get("set-cookie", ""))
    assert found is not None
    return found[1]


def talk(url: str, request: bytes, more: tuple[bytes, ...] = ()) -> bytes:
    """Send bytes over a socket, and return everything that comes back."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(request)
        for each in more:
            connection.sendall(each)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


# ---- one person, with a link from the terminal ---------------------------------------------------


def test_the_link_works_once(page: OpenPage) -> None:
    """After that only the next one does, which the terminal has."""
    link = page.link
    with page.visitor() as visitor:
        assert visitor.get("/").headers["location"] == "/sign-in"
        assert visitor.get("/sign-in").status_code == 401
        answer = visitor.get(link)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
    with page.visitor() as thief:
        answer = thief.get(link)
        assert answer.status_code == 403
        assert "used already" in answer.text
        assert "set-cookie" not in answer.headers
        assert page.link != link
        assert thief.get(page.link).status_code == 303


@pytest.mark.parametrize("token", ["", "x", "%00", "%ff%fe", "a" * 5000, "é"])
def test_a_link_cannot_be_guessed(page: OpenPage, token: str) -> None:
    """Whatever the token is, and it does not use up the right one."""
    link = page.link
    with page.visitor() as visitor:
        assert visitor.get(f"/sign-in?token={token}").status_code in {401, 403}
        assert visitor.post(link).status_code == 403
        assert visitor.get(link).status_code == 303


def test_the_cookie_is_kept_from_scripts_and_other_sites(page: OpenPage) -> None:
    """And its secret is in no table."""
    with page.visitor() as visitor:
        answer = visitor.get(page.link)
    parts = answer.headers["set-cookie"].split("; ")
    assert parts[1:] == ["Path=/", "HttpOnly", "SameSite=Lax"]
    with Ledger.open(page.settings.ledger) as ledger:
        (session,) = ledger.sessions.list()
    assert session.id == hash_session(cookie(answer), "link")
    assert cookie(answer) not in repr(session)


def test_a_session_is_not_one_that_somebody_else_chose(page: OpenPage) -> None:
    """A cookie that was planted in the browser is worth nothing after the sign-in."""
    planted = "AAAAAAAAAAAAAAAAAAAAAA"
    with page.visitor(cookie=f"importer={planted}") as visitor:
        answer = visitor.get(page.link)
        assert cookie(answer) != planted
        assert visitor.get("/", headers={"cookie": f"importer={planted}"}).status_code == 303
    with page.visitor(cookie=f"importer={cookie(answer)}") as visitor:
        again = visitor.get(page.link)  # signing in again ends the session before
        assert cookie(again) != cookie(answer)
        assert visitor.get("/").headers["location"] == "/sign-in"


def test_signing_out_ends_the_session(page: OpenPage) -> None:
    """On the server, whatever the browser keeps."""
    with page.signed_in() as visitor:
        kept = dict(visitor.cookies)
        token = token_of(visitor)
        answer = visitor.post("/sign-out", data={"csrf": token})
        assert answer.headers["location"] == "/sign-in"
        assert "Max-Age=0" in answer.headers["set-cookie"]
    with page.visitor() as thief:
        thief.cookies.update(kept)
        assert thief.get("/").headers["location"] == "/sign-in"
    with Ledger.open(page.settings.ledger) as ledger:
        assert [event.action for event in ledger.audit.all()] == ["signed-in", "signed-out"]


def token_of(visitor: httpx.Client) -> str:
    """Return the token of the forms of somebody who is signed in, as the page makes it."""
    from importer.web.access import _token_of  # noqa: PLC0415

    return _token_of(visitor.cookies["importer"])


def test_sessions_end_by_themselves(page: OpenPage) -> None:
    """After an hour without use, and after twelve in any case."""
    with page.signed_in() as visitor, Ledger.open(page.settings.ledger) as ledger:
        assert visitor.get("/sign-in").headers["location"] == "/"
        (session,) = ledger.sessions.list()
        ledger.sessions.note_seen(session.id, datetime.now(UTC) - timedelta(minutes=61))
        assert visitor.get("/sign-in").status_code == 401
        assert ledger.sessions.list() == ()


# ---- requests that nobody meant ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"origin": "{url}", "sec-fetch-site": "same-origin"}, 303),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, 303),
        ({"origin": "null"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "{url}.evil.example"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_another_site_cannot_change_anything(
    page: OpenPage, headers: dict[str, str], status: int
) -> None:
    """Even with the token and the cookie."""
    with page.signed_in() as visitor:
        given = {name: value.format(url=page.url) for name, value in headers.items()}
        data = {"csrf": token_of(visitor)}
        assert visitor.post("/sign-out", data=data, headers=given).status_code == status


def test_a_change_needs_the_token_of_its_session(page: OpenPage) -> None:
    """In a field, in the first field of an upload, or in a header."""
    with page.signed_in() as visitor, page.signed_in() as other:
        token = token_of(visitor)
        refused: list[dict[str, Any]] = [
            {},
            {"data": {"csrf": ""}},
            {"data": {"csrf": token_of(other)}},
            {"data": {"csrf": token[:-1]}},
            {"data": {"token": token}},
            {"params": {"csrf": token}},
            {"json": {"csrf": token}},
            {"headers": {"x-csrf": "é".encode()}},
            {"files": {"file": b"x", "csrf": (None, token)}},
            {"files": {"csrf": ("a.txt", token)}},
            {"content": token, "headers": {"content-type": "text/plain"}},
            {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
            {"content": b"", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        ]
        for each in refused:
            assert visitor.post("/sign-out", **each).status_code in {400, 403}, each
        assert visitor.get("/sign-in").status_code == 303, "still signed in"
        assert visitor.post("/sign-out", headers={"x-csrf": token}).status_code == 303
        files: dict[str, Any] = {"csrf": (None, token_of(other)), "file": ("a", b"x" * 100_000)}
        assert other.post("/sign-out", files=files).status_code == 303


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "REPORT"])
def test_every_method_but_reading_needs_the_token(page: OpenPage, method: str) -> None:
    """Whether or not there is such a page."""
    with page.signed_in() as visitor:
        assert visitor.request(method, "/no-such-page").status_code == 403


def test_forms_are_bounded(page: OpenPage) -> None:
    """In fields and in bytes."""
    with page.signed_in() as visitor:
        token = token_of(visitor)
        head = {"content-type": "application/x-www-form-urlencoded"}
        many = "&".join(f"a{number}=1" for number in range(10_000))
        answer = visitor.post("/sign-out", content=f"csrf={token}&{many}", headers=head)
        assert (answer.status_code, "1,000 fields" in answer.text) == (400, True)
        long = f"csrf={token}&a={'x' * 300_000}"
        assert visitor.post("/sign-out", content=long, headers=head).status_code == 413


def test_the_address_must_be_ours(page: OpenPage) -> None:
    """Another site that points its name at us reads nothing, and cannot use a link."""
    port = urlsplit(page.url).port
    with page.signed_in() as visitor:
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port}.evil"):
            answer = visitor.get("/", headers={"host": host})
            assert answer.status_code == 421
            assert answer.headers["x-frame-options"] == "DENY"
            assert visitor.get(page.link, headers={"host": host}).status_code == 421
        assert visitor.get("/sign-in", headers={"host": f"LocalHost:{port}"}).status_code == 303
        forwarded = {"x-forwarded-host": "evil.example", "x-forwarded-for": "10.0.0.1"}
        assert visitor.get("/sign-in", headers=forwarded).headers["location"] == "/"
    twice = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nHost: evil.example\r\n\r\n" % (port or 0)
    assert b"HTTP/1.1 4" in talk(page.url, twice)


def test_every_answer_is_protected(page: OpenPage) -> None:
    """A page, a refusal, and what is sent on."""
    with page.signed_in() as visitor:
        answers = [
            visitor.get("/sign-in"),
            visitor.get("/no-such-page"),
            visitor.post("/"),
            visitor.get("/", headers={"host": "evil.example"}),
        ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"


def test_an_upload_that_trickles_in_is_stopped(
    open_page: Callable[..., AbstractContextManager[OpenPage]],
) -> None:
    """With an answer that says so, and nothing is kept waiting for it."""
    with open_page(Pace(grace_s=0.3, bytes_per_s=1_000_000)) as page, page.signed_in() as visitor:
        host = urlsplit(page.url).netloc
        head = (
            f"POST /sign-out HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Cookie: importer={visitor.cookies['importer']}\r\n\r\n"
        )
        answer = talk(page.url, head.encode(), (b"c",))
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"too slowly" in answer
        assert visitor.get("/sign-in").status_code == 303, "still signed in"


# ---- a team, behind a proxy ----------------------------------------------------------------------


def test_a_session_counts_only_for_the_way_in_that_began_it(
    open_page: Callable[..., AbstractContextManager[OpenPage]],
) -> None:
    """A person that a proxy let in would have every role with a link, so they sign in again."""
    ada = {"x-forwarded-user": "ada", "x-forwarded-groups": "recruiting"}
    with open_page(**TEAM) as page, page.visitor(**HOST) as visitor:
        answer = visitor.get("/no-such-page", headers=ada)
        secret = answer.headers["set-cookie"].partition(";")[0].partition("=")[2]
    with open_page() as page, page.visitor() as visitor:
        answer = visitor.get("/", headers={"cookie": f"importer={secret}"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert visitor.get(page.link).status_code == 303


def test_a_proxy_says_who_somebody_is(
    open_page: Callable[..., AbstractContextManager[OpenPage]],
) -> None:
    """With a session for the token; another person behind the same cookie starts another one."""
    ada = {"x-forwarded-user": "ada", "x-forwarded-email": "ada@example.com"}
    ada["x-forwarded-groups"] = "staff, recruiting"
    with open_page(**TEAM) as page, page.visitor(**HOST) as visitor:
        answer = visitor.get("/no-such-page", headers=ada)
        assert answer.status_code == 404
        first = answer.headers["set-cookie"]
        assert first.startswith("__Host-importer=")
        assert first.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        kept = {"cookie": first.partition(";")[0]}
        assert "set-cookie" not in visitor.get("/no-such-page", headers=ada | kept).headers
        sam = {"x-forwarded-user": "sam", "x-forwarded-groups": "recruiting"}
        second = visitor.get("/no-such-page", headers=sam | kept).headers["set-cookie"]
        assert second != first


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([], "did not say who you are"),
        ([("x-forwarded-user", "")], "did not say who you are"),
        ([("x-forwarded-user", "kim")], "may not use this page yet"),
        ([("x-forwarded-user", "recruiting")], "may not use this page yet"),
        ([("x-forwarded-user", "ops@example.com")], "gives an e-mail address"),
        (
            [("x-forwarded-user", "ops@example.com"), ("x-forwarded-email", "kim@example.com")],
            "may not use this page yet",
        ),
        ([("x-forwarded-user", "a"), ("x-forwarded-user", "b")], "two users"),
        ([("remote-user", "ada"), ("x-forwarded-groups", "recruiting")], "did not say who"),
    ],
)
def test_a_proxy_that_names_nobody_we_know_lets_nobody_in(
    open_page: Callable[..., AbstractContextManager[OpenPage]],
    headers: list[tuple[str, str]],
    words: str,
) -> None:
    """Nobody has a role by default, or by what they call themselves."""
    with open_page(**TEAM) as page, page.visitor(**HOST) as visitor:
        answer = visitor.get("/", headers=[*HOST.items(), ("accept", "text/html"), *headers])
        assert answer.status_code == 403
        assert words in answer.text


def test_only_the_proxy_is_believed(
    open_page: Callable[..., AbstractContextManager[OpenPage]],
) -> None:
    """Somebody who reaches the page past it is refused, whatever they claim."""
    claims = {
        "x-forwarded-user": "ops",
        "x-forwarded-email": "ops@example.com",
        "x-forwarded-for": "10.1.2.3",
        "x-real-ip": "10.1.2.3",
        "forwarded": "for=10.1.2.3",
    }
    with open_page(**{**TEAM, "trusted_proxies": ["10.1.2.3"]}) as page:
        with page.visitor(**HOST) as visitor:
            answer = visitor.get("/", headers=claims)
            assert answer.status_code == 403
            assert "only through your company" in answer.text
            assert "set-cookie" not in answer.headers
            assert visitor.get(page.link, headers=claims).headers["location"] == "/"
        with Ledger.open(page.settings.ledger) as ledger:
            assert ledger.sessions.list() == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"listen": "0.0.0.0:0"}, "from other machines"),
        ({"listen": "[::]:0"}, "from other machines"),
        ({**TEAM, "trusted_proxies": []}, "trusted_proxies"),
        ({**TEAM, "page_url": None}, "page_url"),
        ({**TEAM, "roles": {}}, "roles"),
    ],
)
def test_no_page_is_open_to_strangers(page: OpenPage, given: dict[str, object], words: str) -> None:
    """It is not served at all."""
    settings = page.settings.model_validate({**page.settings.model_dump(), **given})
    with pytest.raises(SettingsError, match=words):
        refuse_strangers(settings)


def test_a_refusal_says_what_a_person_may_not_do() -> None:
    """And who to ask."""
    person = Person("sam", "", frozenset({Role.UPLOADER}), "")
    require_role(person, Role.OPERATOR, Role.UPLOADER)
    with pytest.raises(Forbidden, match="sam, who may not start conversations") as refused:
        require_role(person, Role.SENDER)
    assert refused.value.status_code == 403


def test_an_error_of_ours_says_nothing_of_anybody(
    page: OpenPage, caplog: pytest.LogCaptureFixture
) -> None:
    """The person gets a page; the log has the kind of error and its place."""

    async def fail(request: Request) -> Response:
        raise ValueError(f"Ada Lovelace {request.url.path}")

    paths: list[str] = []
    links = SignInLinks(paths.append)
    links.renew()
    origins = Origins(frozenset({"http://page.example"}), secure=False)
    with Ledger.open(page.settings.ledger) as ledger:
        access = Middleware(
            AccessControl, settings=page.settings, ledger=ledger, origins=origins, links=links
        )
        guarded = Starlette(routes=[Route("/fails", fail)], middleware=[access])

        async def visit() -> httpx.Response:
            transport = httpx.ASGITransport(guarded)
            headers = {"accept": "text/html"}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://page.example", headers=headers
            ) as visitor:
                await visitor.get(paths[-1])
                return await visitor.get("/fails")

        answer = asyncio.run(visit())
    assert answer.status_code == 500
    assert "Something went wrong" in answer.text
    assert "Lovelace" not in answer.text + caplog.text
    assert "unexpected ValueError at test_access:" in caplog.text
