"""One request against servers that really misbehave, and the gate that says what it means."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from pydantic import SecretStr

from importer.errors import CredentialsError, SettingsError
from importer.model import Action, MaybeSent, NotSent, Response
from importer.sending.client import (
    ANSWER_BYTES,
    MAY_HAVE_ARRIVED,
    REACHED_NOBODY,
    Client,
    map_exception,
)
from importer.sending.retry import Policy, decide
from importer.settings import Credentials
from tests.support.builders import BODY, CREDENTIALS, settings, submission
from tests.support.certificates import make_certificate
from tests.support.server_behaviours import (
    CLEAR,
    CREATED,
    DOUBTFUL,
    answers_on,
    answers_twice,
    dribbles,
    resets_amid_reading,
    resets_before_reading,
    says,
)
from tests.support.sockets import Peer, Seen, closed_port, serve_raw

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

    from importer.model import Json, Submission
    from tests.support.server_behaviours import Behaviour

Happened = Response | NotSent | MaybeSent


async def attempt(url: str, one: Submission | None = None, /, **chosen: object) -> Happened:
    """Return what one request to a server comes to."""
    async with Client(settings(base_url=url, **chosen), CREDENTIALS) as client:
        try:
            return await client.create(one or submission(), "r-1")
        except (NotSent, MaybeSent) as exc:
            return exc


def meet(
    behaviour: Behaviour, tls: ssl.SSLContext | None = None, **chosen: object
) -> tuple[Happened, Seen]:
    """Return what one request comes to, and what the server saw of it."""

    async def main() -> tuple[Happened, Seen]:
        async with serve_raw(behaviour, tls) as seen:
            return await attempt(seen.url, **chosen), seen

    return asyncio.run(main())


def verb(happened: Happened) -> Action:
    """Return what the table makes of it, the first time."""
    return decide(happened, 1, 0.0, Policy(), lambda: 1.0).action


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_is_no_clear_answer_is_doubtful_and_asked_once(name: str) -> None:
    """The server saw one request, on one connection, and nothing goes again."""
    happened, seen = meet(DOUBTFUL[name])
    assert verb(happened) is Action.DOUBTFUL
    assert (len(seen.requests), seen.connections) == (1, 1)


@pytest.mark.parametrize("behaviour", [resets_before_reading, resets_amid_reading])
def test_a_connection_lost_amid_sending_is_doubtful(behaviour: Behaviour) -> None:
    """Some of it was on its way; no second connection is made for it."""
    happened, seen = meet(behaviour)
    assert isinstance(happened, MaybeSent)
    assert seen.connections == 1


@pytest.mark.parametrize("name", CLEAR)
def test_a_clear_answer_counts_and_is_asked_for_once(name: str) -> None:
    """One request, and the action of the table."""
    behaviour, expected = CLEAR[name]
    happened, seen = meet(behaviour)
    assert verb(happened) is expected
    assert len(seen.requests) == 1


def test_a_port_that_refuses_is_not_sent() -> None:
    """It may be tried again."""
    with closed_port() as url:
        happened = asyncio.run(attempt(url))
    assert isinstance(happened, NotSent)
    assert str(happened) == "ConnectError"
    assert verb(happened) is Action.AGAIN


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Return a server's TLS with a certificate that nobody vouches for."""
    return make_certificate(tmp_path_factory.mktemp("tls")).tls


def test_tls_that_cannot_be_proved_is_not_sent(own_certificate: ssl.SSLContext) -> None:
    """The request, and the secrets in it, never leave."""
    happened, seen = meet(says("201 Created", CREATED), own_certificate)
    assert isinstance(happened, NotSent)
    assert seen.requests == []


def test_a_server_without_tls_is_not_sent_to_as_if_it_had() -> None:
    """An https URL that meets plain HTTP ends before the request."""

    async def main() -> tuple[Happened, Seen]:
        async with serve_raw(says("201 Created", CREATED)) as seen:
            return await attempt(seen.url.replace("http://", "https://")), seen

    happened, seen = asyncio.run(main())
    assert isinstance(happened, NotSent)
    assert seen.requests == []


def test_a_handshake_that_never_ends_is_not_sent() -> None:
    """The connect timeout covers TLS too."""

    async def accepts_only(peer: Peer) -> None:
        await peer.until_gone()

    async def main() -> Happened:
        async with serve_raw(accepts_only) as seen:
            url = seen.url.replace("http://", "https://")
            return await attempt(url, connect_timeout_s=0.1)

    happened = asyncio.run(main())
    assert (type(happened), str(happened)) == (NotSent, "ConnectTimeout")


def test_requests_at_once_do_not_wait_for_each_other() -> None:
    """Each has a connection, whatever becomes of the others."""

    async def main() -> Seen:
        together = asyncio.Barrier(3)

        async def answers_all_at_once(peer: Peer) -> None:
            await peer.request()
            await together.wait()
            await peer.answer("201 Created", CREATED)

        async with serve_raw(answers_all_at_once) as seen:
            async with Client(settings(base_url=seen.url), CREDENTIALS) as client:
                await asyncio.gather(*(client.create(submission(n), f"r-{n}") for n in range(3)))
            return seen

    assert asyncio.run(main()).connections == 3


def test_a_server_that_does_not_read_is_doubtful() -> None:
    """What was written may have been taken."""

    async def never_reads(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async def main() -> Happened:
        async with serve_raw(never_reads) as seen:
            much = submission(body={**BODY, "note": "x" * 20_000_000})
            return await attempt(seen.url, much, write_timeout_s=0.1)

    happened = asyncio.run(main())
    assert (type(happened), str(happened)) == (MaybeSent, "WriteTimeout")


def test_a_server_that_dribbles_is_given_up() -> None:
    """A byte now and then keeps no worker forever."""
    happened, seen = meet(dribbles, connect_timeout_s=0.1, write_timeout_s=0.1, read_timeout_s=0.1)
    assert (type(happened), str(happened)) == (MaybeSent, "TimeoutError")
    assert len(seen.requests) == 1


@pytest.mark.parametrize("status", ["500 Oops", "400 No", "201 Created"])
@pytest.mark.parametrize("sized", [True, False])
def test_a_huge_answer_is_not_read(status: str, sized: bool) -> None:  # noqa: FBT001
    """Of 10 MB hardly more is taken than what is kept and what the sockets hold."""
    size = 10_000_000

    async def huge(peer: Peer) -> None:
        await peer.request()
        length = f"Content-Length: {size}\r\n" if sized else ""
        await peer.send(f"HTTP/1.1 {status}\r\n{length}\r\n".encode())
        for _ in range(size // 10_000):
            await peer.send(b"<p>sorry" * 1_250)

    happened, seen = meet(huge)
    assert (type(happened), str(happened)) == (MaybeSent, "ResponseTooLarge")
    assert len(seen.requests) == 1
    assert seen.sent_bytes < size


def test_a_packed_bomb_is_not_unpacked() -> None:
    """Ten megabytes in ten kilobytes are as huge."""
    bomb = gzip.compress(b" " * 10_000_000)
    assert len(bomb) < ANSWER_BYTES
    happened, _ = meet(says("200 OK", bomb, "Content-Encoding: gzip"))
    assert str(happened) == "ResponseTooLarge"


def three(behaviour: Behaviour, rate_per_s: float) -> tuple[list[str | None], Seen]:
    """Return the ids that three requests get, one after the other, from one client."""

    async def main() -> tuple[list[str | None], Seen]:
        async with serve_raw(behaviour) as seen:
            chosen = settings(base_url=seen.url, rate_per_s=rate_per_s)
            async with Client(chosen, CREDENTIALS) as client:
                replies = [await client.create(submission(n), f"r-{n}") for n in range(3)]
            return [response.conversation_id for response in replies], seen

    return asyncio.run(main())


@pytest.mark.parametrize("rate_per_s", [5, 1_000])
def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(rate_per_s: float) -> None:
    """The next request goes out on a new connection, and all are answered."""
    ids, seen = three(says("201 Created", CREATED), rate_per_s)
    assert ids == ["c-1"] * 3
    assert (len(seen.requests), seen.connections) == (3, 3)


def test_a_left_over_answer_is_never_taken_for_the_next_one() -> None:
    """Each request has a connection of its own, so nothing is left on it."""
    ids, seen = three(answers_twice, rate_per_s=5)
    assert ids == ["c-0", "c-1", "c-2"]
    assert seen.connections == 3


def test_connections_are_kept_at_a_high_rate() -> None:
    """One is then enough for one request after the other."""
    _, seen = three(answers_on, rate_per_s=1_000)
    assert (len(seen.requests), seen.connections) == (3, 1)


def test_the_request_is_what_the_contract_says() -> None:
    """Path, both headers, JSON in UTF-8, and nothing from the environment."""
    body: dict[str, Json] = {"firstName": "Zoë", "meetingConfiguration": {"title": "{{X}} für"}}

    async def main() -> Seen:
        async with serve_raw(says("201 Created", CREATED)) as seen:
            await attempt(f"{seen.url}/v1", submission(body=body))
            return seen

    head, _, content = asyncio.run(main()).requests[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /v1/scheduling/conversations http/1.1"
    assert {"x-api-key: made-up-key", "x-organization-id: org-1"} <= set(lines)
    assert "content-type: application/json" in lines
    assert json.loads(content) == body
    assert "Zoë".encode() in content


def test_a_plain_conversation_goes_to_its_own_path() -> None:
    """The setting `conversation: campaign` is the other call."""
    _, seen = meet(says("201 Created", CREATED), conversation="campaign")
    assert seen.requests[0].startswith(b"POST /conversations HTTP/1.1")


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates' data goes where base_url says and nowhere else."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    happened, seen = meet(says("201 Created", CREATED))
    assert verb(happened) is Action.CREATED
    assert len(seen.requests) == 1


def test_what_cannot_be_said_in_json_is_not_sent() -> None:
    """It fails before anything leaves."""

    async def main() -> tuple[Happened, Seen]:
        async with serve_raw(says("201 Created", CREATED)) as seen:
            return await attempt(seen.url, submission(body={"n": float("nan")})), seen

    happened, seen = asyncio.run(main())
    assert isinstance(happened, NotSent)
    assert seen.connections == 0


@pytest.mark.parametrize("key", ["", "two words", "line\n", "schlüssel"])
def test_a_key_that_no_header_can_hold_is_named_without_being_shown(key: str) -> None:
    """Better than an exception that has the secret in it."""
    with pytest.raises(CredentialsError) as caught:
        Client(settings(), Credentials(SecretStr(key), "org-1"))
    assert "POPP_API_KEY" in str(caught.value)
    assert not key or key not in str(caught.value)


def test_pages_of_the_list_are_asked_for_by_token() -> None:
    """GET with both headers; the token is a query parameter, whatever is in it."""

    async def main() -> Seen:
        page = b'{"data": [{"id": "c-1"}], "nextToken": "a&b=c"}'

        async def list_on(peer: Peer) -> None:
            while True:
                await peer.request()
                await peer.answer("200 OK", page)

        async with serve_raw(list_on) as seen:
            async with Client(settings(base_url=seen.url), CREDENTIALS) as client:
                first = await client.conversations()
                assert first.next_token == "a&b=c"
                assert [each["id"] for each in first.conversations] == ["c-1"]
                await client.conversations(first.next_token)
                await client.conversation("../c 1")
            return seen

    targets = [each.split(b" ")[1] for each in asyncio.run(main()).requests]
    assert targets == [
        b"/conversations",
        b"/conversations?nextToken=a%26b%3Dc",
        b"/conversations/..%2Fc%201",
    ]


def _families(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for child in root.__subclasses__():
        yield from _families(child)


def test_every_exception_of_httpx_is_mapped() -> None:
    """Each class is in one of the two lists; a later httpx with more of them fails here."""
    public = {
        each
        for each in vars(httpx).values()
        if isinstance(each, type) and issubclass(each, Exception)
    }
    known = {each for root in public for each in _families(root)}
    assert {each for each in known if each.__module__.startswith("httpx")} == (
        REACHED_NOBODY | MAY_HAVE_ARRIVED
    )
    assert not REACHED_NOBODY & MAY_HAVE_ARRIVED


@pytest.mark.parametrize("kind", sorted(REACHED_NOBODY | MAY_HAVE_ARRIVED, key=str))
def test_each_exception_of_httpx_comes_out_as_it_is_listed(kind: type[Exception]) -> None:
    """Raised inside the transport, it leaves the client as ours, with its class for a text."""
    exc = kind.__new__(kind)

    def broken(_: httpx.Request) -> httpx.Response:
        raise exc

    async def main() -> Happened:
        transport = httpx.MockTransport(broken)
        async with Client(settings(), CREDENTIALS, transport=transport) as client:
            try:
                return await client.create(submission(), "r-1")
            except (NotSent, MaybeSent) as ours:
                return ours

    happened = asyncio.run(main())
    expected = NotSent if kind in REACHED_NOBODY else MaybeSent
    assert (type(happened), str(happened)) == (expected, kind.__name__)


@pytest.mark.parametrize("exc", [ValueError("x"), OSError(5, "x"), RuntimeError(), KeyError("a")])
def test_an_exception_that_nobody_knows_is_doubtful(exc: Exception) -> None:
    """Never not sent: it may have come at any moment. Also a new member of a known family."""

    class NewConnectError(httpx.ConnectError):
        """A subclass says nothing about when it is raised."""

    assert type(map_exception(exc)) is MaybeSent
    assert str(map_exception(exc)) == type(exc).__name__
    assert type(map_exception(NewConnectError("x"))) is MaybeSent


def test_the_texts_of_exceptions_stay_inside() -> None:
    """They may quote what was sent."""
    assert str(map_exception(httpx.ReadError("ada@example.com"))) == "ReadError"


def test_retry_after_a_date_is_measured_by_the_servers_clock() -> None:
    """Ours may be wrong by hours."""
    headers = (
        "Date: Sun, 22 Nov 2026 10:00:00 GMT",
        "Retry-After: Sun, 22 Nov 2026 10:00:07 GMT",
    )
    happened, _ = meet(says("429 No", b"", *headers))
    assert isinstance(happened, Response)
    assert happened.retry_after_s == 7


def test_the_time_of_day_is_the_one_that_is_passed_in() -> None:
    """A date without the server's own is measured by it."""

    async def main() -> Response:
        async with serve_raw(
            says("429 No", b"", "Retry-After: Sun, 22 Nov 2026 10:00:09 GMT")
        ) as seen:
            now = datetime(2026, 11, 22, 10, tzinfo=UTC)
            chosen = settings(base_url=seen.url)
            async with Client(chosen, CREDENTIALS, now=lambda: now) as client:
                return await client.create(submission(), "r-1")

    assert asyncio.run(main()).retry_after_s == 9


def test_a_certificate_that_is_not_trusted_is_named(tmp_path: Path) -> None:
    """With what to do about it; named in ca_file it is trusted."""
    made = make_certificate(tmp_path)
    happened, seen = meet(says("201 Created", CREATED), made.tls)
    assert isinstance(happened, NotSent)
    assert happened.detail.startswith("The certificate of 127.0.0.1:")
    assert "self-signed" in happened.detail
    assert "ca_file" in decide(happened, 1, 0, Policy(), lambda: 1).message
    assert seen.requests == []
    happened, seen = meet(says("201 Created", CREATED), made.tls, ca_file=made.file)
    assert isinstance(happened, Response)
    assert happened.conversation_id == "c-1"


def test_certificates_that_cannot_be_read_are_a_setting(tmp_path: Path) -> None:
    """Named with what it needs."""
    for path in (tmp_path / "gone.pem", tmp_path / "empty.pem"):
        if path.stem == "empty":
            path.write_text("no certificate")
        with pytest.raises(SettingsError, match="ca_file"):
            Client(settings(ca_file=path), CREDENTIALS)


def test_a_proxy_is_used_only_if_the_settings_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the environment if they say `environment`."""

    async def main(**chosen: object) -> tuple[Happened, list[bytes]]:
        async with serve_raw(says("201 Created", CREATED)) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("no_proxy", "")
            named = {k: proxy.url if v == "it" else v for k, v in chosen.items()}
            return await attempt("http://127.0.0.1:9", **named), proxy.requests

    for proxy in ("it", "environment"):
        happened, requests = asyncio.run(main(proxy=proxy))
        assert isinstance(happened, Response)
        assert requests[0].startswith(b"POST http://127.0.0.1:9/scheduling/conversations ")
    happened, requests = asyncio.run(main())
    assert isinstance(happened, NotSent)
    assert requests == []
