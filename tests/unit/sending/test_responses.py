"""What an answer says, whatever bytes it is made of."""

from __future__ import annotations

import gzip
import html
import json
import math
import re
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.model import Response
from importer.sending.echo import text_at
from importer.sending.responses import (
    ERROR_CHARS,
    Creation,
    RawResponse,
    ResponseTooLarge,
    parse_creation,
    parse_page,
    parse_single,
    unpack,
)

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
ID_PATHS = ("id", "data.id", "conversation.id", "conversationId")


def answer(status: int, body: object = None, **headers: str) -> RawResponse:
    """Return an answer; write a body as JSON unless it is bytes, header names with `_` for `-`."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return RawResponse(status, {k.replace("_", "-"): v for k, v in headers.items()}, raw, AT)


def response(status: int, body: object = None, **headers: str) -> Response:
    """Return what the answer to a creation says."""
    return parse_creation(answer(status, body, **headers), asked())


def asked(*values: str) -> Creation:
    """Return a request with these values of a row."""
    body = {f"value{number}": value for number, value in enumerate(values)}
    return Creation(body, "org-1", AT, ID_PATHS)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"id": "c-1"}, "c-1"),
        ({"data": {"id": "c-2"}}, "c-2"),
        ({"conversation": {"id": "c-3"}}, "c-3"),
        ({"conversationId": 4}, "4"),
        ({"conversationId": "c-9", "id": "c-1"}, "c-1"),
        ({"id": None, "data": {"id": "c-2"}}, "c-2"),
        ({"id": ""}, None),
        ({"id": True}, None),
        ({"id": {"id": "x"}}, None),
        ({"id": 1.5}, None),
        ({"id": "x" * 201}, None),
        ({"data": [{"id": "c-1"}]}, None),
        ({}, None),
    ],
)
def test_the_id_is_found_where_the_settings_say(body: object, expected: str | None) -> None:
    """The first of the paths that holds text or a whole number."""
    assert response(201, body).conversation_id == expected
    assert response(201, body).readable


def test_a_bare_id_in_an_error_is_not_taken_for_a_conversation() -> None:
    """It may be the request's; a conversationId is what it says."""
    assert response(409, {"error": "exists", "id": "req-1"}).conversation_id is None
    named = response(409, {"error": "exists", "id": "req-1", "conversationId": "c-1"})
    assert named.conversation_id == "c-1"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"a": 1}', b' {"a": "\xc3\xbc"}\n', b'\xef\xbb\xbf{"a": 1}']
)
def test_an_object_or_nothing_is_readable(body: bytes) -> None:
    """An empty 2xx says all that it has to."""
    assert response(200, body).readable


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"null",
        b"[]",
        b'"c-1"',
        b"12",
        b"{",
        b"\xff\xfe",
        b'{"id": "\xff"}',
        b" ",
        b"NaN",
    ],
)
def test_anything_else_is_not(body: bytes) -> None:
    """And no exception escapes."""
    assert not response(200, body).readable


@pytest.mark.parametrize("body", [b"[" * 50_000, b'{"a":' * 20_000, b"1" * 60_000])
def test_json_made_to_hurt_is_not_readable(body: bytes) -> None:
    """Nesting without end, a number without end."""
    assert not response(200, body).readable


def test_a_body_that_could_not_be_unpacked_is_not_readable() -> None:
    """The status counts anyway."""
    assert parse_creation(RawResponse(200, {}, None, AT), asked()) == Response(200, readable=False)


def test_a_packed_bomb_takes_no_memory() -> None:
    """It is unpacked no further than what is kept of it."""
    bomb = gzip.compress(b" " * 20_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ResponseTooLarge):
            unpack(bomb, "gzip", 65_536)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": "no campaign"}, "no campaign"),
        ({"error": {"message": "no campaign"}}, "no campaign"),
        ({"message": "no campaign"}, "no campaign"),
        (
            {"errors": [{"message": "one"}, "two", {"detail": "three"}, "four"]},
            "one; two; three; four",
        ),
        ({"error": "", "message": "why"}, "why"),
        (
            {"message": ["firstName is too long", "phone is bad"]},
            "firstName is too long; phone is bad",
        ),
        ({"errors": [{"field": "phone", "message": "is bad"}]}, "phone: is bad"),
        ({"issues": [{"path": ["a", 0], "message": "is bad"}]}, "a.0: is bad"),
        ({"errors": {"phone": ["is bad", "is long"]}}, "phone: is bad; phone: is long"),
        ({"title": "Invalid", "detail": "See errors"}, "Invalid; See errors"),
        ({"error": "bad", "message": "bad"}, "bad"),
        ({"error": 5}, ""),
        ({"error": "  two\r\n lines\t"}, "two lines"),
        ({"error": "red \x1b[31m, a zero \x00, half \ud800"}, "red [31m, a zero , half"),
        (b"<html>502</html>", ""),
    ],
)
def test_the_apis_own_words_are_found_and_tidied(body: object, expected: str) -> None:
    """On one line, without anything that a terminal or a database would choke on."""
    assert response(400, body).error == expected


def test_a_2xx_has_an_error_only_where_it_says_so() -> None:
    """Its `message` is no complaint."""
    assert response(200, {"id": "c-1", "message": "Welcome"}).error == ""
    assert response(200, {"error": "no"}).error == "no"


def test_an_error_text_is_cut() -> None:
    """To a size for a table cell."""
    error = response(400, {"error": "long " * 10_000}).error
    assert len(error) == ERROR_CHARS
    assert error.endswith("…")


def test_an_error_text_tells_nothing_of_the_person() -> None:
    """Neither what the request held, in any case, nor any other phone or e-mail."""
    result = (
        "ADA Lovelace (+442079460018, 020 7946 0018, ada@example.com) already exists; "
        "Adams of bob@example.org does not"
    )
    hidden = ("+442079460018", "ada@example.com", "Ada", "Lovelace", "")
    error = parse_creation(answer(400, {"error": result}), asked(*hidden)).error
    for secret in ("ADA", "Lovelace", "7946", "ada@", "bob@", "example"):
        assert secret not in error
    assert "already exists" in error
    assert "Adams" in error


@pytest.mark.parametrize(
    "result",
    [
        "JOSE MARIA GARCIA-NUNEZ is blocked",
        "Participant José (García)",
        "slug josemariagarcia-nunez",
        "conv_jose_maria_garcia",
        "/c?name=Jos%C3%A9%20Mar%C3%ADa%20Garc%C3%ADa",
        'name: "Jos\\u00e9 Mar\\u00eda"',
        "Jos&eacute;&#32;Garc&iacute;a",
        "user jose.garcia not deliverable",
        "MAILBOX JGARCIA FULL",
        "Garcías' phone, María's, JoséGarcía",
        "long " * 199 + "García",
    ],
)
def test_an_error_text_tells_no_part_of_a_name(result: str) -> None:
    """However it is spelled, encoded, joined or cut."""
    body = {"firstName": "José María", "lastName": "García-Núñez", "emailAddress": "jgarcia@x.org"}
    messages = parse_creation(answer(422, {"error": result}), replace(asked(), body=body)).error
    plain = unquote(html.unescape(messages)).casefold()
    assert not re.search("jos|mar[ií]|garc|n[uú]ñ?n?ez", plain), messages


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("1-67891233-abcdef012345678912345678", True),
        ("7f8e-7f8e", True),
        ("conv-ada-lovelace", False),
        ("for +12025550104", False),
        ("req-2025550104", False),
        ("no id today", False),
    ],
)
def test_a_request_id_tells_nothing_of_the_person(given: str, *, kept: bool) -> None:
    """The ledger keeps it; the importer's own id takes its place."""
    body = {"firstName": "Ada", "lastName": "Lovelace", "phoneNumber": "+12025550104"}
    result = parse_creation(answer(504, x_request_id=given), replace(asked(), body=body))
    assert result.request_id == (given if kept else "")


def test_a_sentence_is_no_conversation_id() -> None:
    """Beside a 409 it would prove a duplicate, and the row would be lost."""
    result = {"error": "Conflict", "conversationId": "could not be made", "data": {"id": "c 1"}}
    assert response(409, result).conversation_id is None
    assert response(201, {"id": "see data", "data": {"id": "c-1"}}).conversation_id == "c-1"


def test_names_in_other_scripts_are_hidden() -> None:
    """There one sign may be a name."""
    body = {"firstName": "小龙", "lastName": "李"}
    response = parse_creation(
        answer(422, {"error": "李小龙 no, 李 no"}), replace(asked(), body=body)
    )
    assert response.error == "••• no, ••• no"


def test_a_short_name_hides_no_word_that_holds_it() -> None:
    """The API's own words stay."""
    body = {"firstName": "Art", "lastName": "Van", "emailAddress": "art.van@example.org"}
    error = "The participant is not relevant: Art Van"
    response = parse_creation(answer(422, {"error": error}), replace(asked(), body=body))
    assert response.error == "The participant is not relevant: ••• •••"


def test_names_that_are_words_do_not_hide_a_duplicate() -> None:
    """Only the whole word is masked."""
    error = parse_creation(answer(400, {"error": "already exists"}), asked("Al", "Exi")).error
    assert error == "already exists"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("Sun, 22 Nov 2026 10:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 12:00:30 +0200", 30.0),
        ("Sunday, 22-Nov-26 10:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 09:00:00 GMT", 0.0),
        ("999999999999", 999999999999.0),
        ("9" * 400, None),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Sun, 99 Nov 2026 10:00:30 GMT", None),
        ("Sun, 22 Nov 99999999999 10:00:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, expected: float | None) -> None:
    """Anything else is as if it were not there."""
    assert response(429, retry_after=text).retry_after_s == expected


def test_a_date_counts_from_the_servers_own_clock() -> None:
    """Where it tells its time."""
    headers = {
        "retry_after": "Sun, 22 Nov 2026 08:00:05 GMT",
        "date": "Sun, 22 Nov 2026 08:00:00 GMT",
    }
    assert response(429, **headers).retry_after_s == 5
    assert response(429, **{**headers, "date": "now"}).retry_after_s == 0


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ratelimit_remaining": "3", "ratelimit_reset": "10"}, (3, 10.0)),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "60"}, (0, 60.0)),
        ({"x_rate_limit_remaining": "0", "x_rate_limit_reset": "60"}, (0, 60.0)),
        ({"ratelimit": "limit=100, remaining=50, reset=5"}, (50, 5.0)),
        ({"ratelimit": '"default";r=0;t=7'}, (0, 7.0)),
        ({"ratelimit_remaining": "3, 3;w=60"}, (3, None)),
        ({"x_ratelimit_remaining": "1", "x_ratelimit_reset": str(AT.timestamp() + 9)}, (1, 9.0)),
        (
            {"x_ratelimit_remaining": "1", "x_ratelimit_reset": str(int(AT.timestamp()) + 9)},
            (1, 9.0),
        ),
        ({"x_ratelimit_reset": str((int(AT.timestamp()) + 9) * 1000)}, (None, 9.0)),
        ({"x_ratelimit_reset": str(int(AT.timestamp()) - 9)}, (None, 0.0)),
        ({"x_ratelimit_remaining": "-1", "x_ratelimit_reset": "soon"}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_quotas_are_read_as_servers_write_them(
    headers: dict[str, str], expected: tuple[int | None, float | None]
) -> None:
    """Seconds, or a point in time in seconds or milliseconds."""
    result = response(200, **headers)
    assert (result.remaining, result.reset_s) == expected


def test_a_page_of_the_list() -> None:
    """The promised shape, whatever else is in it."""
    page = parse_page(answer(200, {"data": [{"id": "a"}, {}], "nextToken": "t", "total": 2}))
    assert (page.response.readable, page.next_token, len(page.conversations)) == (True, "t", 2)


@pytest.mark.parametrize("end", [{"nextToken": None}, {"nextToken": ""}, {}])
def test_the_last_page_has_no_token(end: dict[str, object]) -> None:
    """In any of three ways."""
    page = parse_page(answer(200, {"data": [], **end}))
    assert page.response.readable
    assert page.next_token is None


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        {"items": []},
        {"data": {"id": "a"}},
        {"data": [{"id": "a"}, "b"]},
        {"data": None},
        {"data": [], "nextToken": 5},
        {"data": [], "nextToken": {"a": 1}},
    ],
)
def test_half_a_page_is_none(body: object) -> None:
    """A list that is not as promised must not pass for a whole one."""
    page = parse_page(answer(200, body))
    assert not page.response.readable
    assert (page.conversations, page.next_token) == ((), None)


@pytest.mark.parametrize(
    "body", [{"id": "a"}, {"data": {"id": "a"}}, {"conversation": {"id": "a"}}]
)
def test_one_conversation(body: object) -> None:
    """Bare or wrapped."""
    page = parse_single(answer(200, body), "conversation")
    assert [each["id"] for each in page.conversations] == ["a"]


def test_an_error_about_one_conversation_is_no_conversation() -> None:
    """Nor is an unreadable one."""
    assert parse_single(answer(404, {"error": "no such"}), "conversation").conversations == ()
    assert not parse_single(answer(200, b"<html>"), "conversation").response.readable


@pytest.mark.parametrize("path", ["a", "a.b", "", ".", "a..b", "a.b.c.d"])
def test_any_path_may_lead_nowhere(path: str) -> None:
    """Without a fuss."""
    assert text_at({"a": {"b": None}}, path) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["id", "data", "error", "nextToken", "message"]) | st.text(), inner
        )
    ),
    max_leaves=12,
)


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()),
    headers=st.dictionaries(
        st.sampled_from(
            ["retry-after", "date", "ratelimit", "ratelimit-remaining", "x-ratelimit-reset"]
        ),
        st.text(max_size=30) | st.from_regex(r"[0-9,;=. rt]{1,30}"),
    ),
)
def test_no_answer_makes_it_fail(status: int, body: bytes, headers: dict[str, str]) -> None:
    """And what comes out is fit for a ledger: short, printable, finite."""
    given_answer = RawResponse(status, headers, body, AT)
    result = parse_creation(given_answer, asked("Ada"))
    parse_page(given_answer)
    parse_single(given_answer, "conversation")
    assert len(result.error) <= ERROR_CHARS
    assert result.error.isprintable()
    for text in (result.error, result.conversation_id or ""):
        text.encode()
    for number in (result.retry_after_s, result.reset_s):
        assert number is None or (math.isfinite(number) and number >= 0)
    assert result.remaining is None or result.remaining >= 0


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"id": "c-1"}, ""),
        ({"id": "c-1", "error": None, "errors": []}, ""),
        ({"error": "no"}, "error"),
        ({"data": {"errors": ["no"]}}, "errors"),
        ({"success": False}, "success: false"),
        ({"ok": "false"}, "ok: false"),
        ({"success": []}, ""),
        ({"status": "ERROR"}, "status: error"),
        ({"status": "CREATED"}, ""),
        ({"status": 400}, "status: 400"),
        ({"statusCode": 422}, "statusCode: 422"),
        ({"id": "c-1", "result": "FAILED"}, "result: failed"),
        ({"data": {"id": "c-1", "outcome": "Rejected"}}, "outcome: rejected"),
        ({"id": "c-1", "result": {"state": "not_created"}}, "state: not created"),
        ({"id": "c-1", "code": "VALIDATION_ERROR"}, "code: validation error"),
        ({"id": "c-1", "message": "Declined."}, "message: declined"),
        ({"id": "c-1", "created": False}, "created: false"),
        ({"id": "c-1", "accepted": "False"}, "accepted: false"),
        ({"id": "c-1", "failures": [{"field": "campaignId"}]}, "failures"),
        ({"id": "c-1", "code": 422}, "code: 422"),
        ({"id": "c-1", "code": 201, "created": True, "failures": []}, ""),
        ({"id": "c-1", "code": "500"}, "code: 500"),
        ({"id": "c-1", "status": {"code": 422, "text": "no"}}, "code: 422"),
        ({"id": "c-1", "meta": {"outcome": "REFUSED"}}, "outcome: refused"),
        ({"id": "c-1", "rejected": True}, "rejected"),
        ({"id": "c-1", "errorMessage": "campaign closed"}, "errorMessage"),
        ({"id": "c-1", "errorMessage": "", "error": "none", "rejected": 0}, ""),
        ({"id": "c-1", "success": "no"}, "success: false"),
        ({"id": "c-1", "completed": False, "delivered": False}, ""),
        ({"id": "c-1", "status": "DELIVERY_FAILED"}, ""),
        ({"id": "c-1", "message": "Has your application failed to reach us?"}, ""),
        ({"id": "c-1", "title": "Failure analyst", "warnings": ["title is long"]}, ""),
        ({"id": "c-1", "created": "2026-11-27T01:00:00Z", "message": "Conversation created"}, ""),
    ],
)
def test_a_success_that_says_no_is_noticed(body: object, refusal: str) -> None:
    """However it says so; in an error nobody looks for it."""
    assert response(200, body).refusal == refusal
    assert response(400, body).refusal == ""


def test_a_repeated_value_of_the_row_is_no_refusal() -> None:
    """However unlucky the words of an opening message or a title are."""
    unlucky = Creation({"title": "Error", "openingMessage": "Declined?"}, "org-1", AT, ["id"])
    shown = {"id": "c-1", "message": "declined", "type": "ERROR", "error": "Error"}
    raw = RawResponse(200, {}, json.dumps(shown).encode(), AT)
    assert parse_creation(raw, unlucky).refusal == ""
    other = RawResponse(200, {}, json.dumps({**shown, "state": "refused"}).encode(), AT)
    assert parse_creation(other, unlucky).refusal == "state: refused"


def test_what_an_error_says_without_the_row() -> None:
    """Neither values of the request, nor what is quoted: only the API's own words."""
    request = Creation(
        {"firstName": "Duplicate", "meetingConfiguration": {"title": "Archived campaign"}},
        "org-1",
        AT,
        ID_PATHS,
    )
    result = {"error": "Duplicate: title Archived campaign of 'no such campaign' is BAD_REQUEST"}
    assert parse_creation(answer(400, result), request).words == ": title of is bad request"


@pytest.mark.parametrize(
    ("body", "incomplete"),
    [
        ({"data": [], "nextToken": None}, ""),
        ({"data": [], "nextToken": ""}, ""),
        ({"data": [], "hasMore": False}, ""),
        ({"data": []}, "it does not say where it ends"),
        ({"data": [], "nextToken": None, "hasMore": True}, "it says hasMore"),
        ({"data": [], "nextToken": None, "meta": {"truncated": True}}, "it says truncated"),
        ({"data": [], "nextToken": None, "links": {"next": "/x"}}, "it says next"),
        ({"data": [], "nextToken": "t", "hasMore": True}, ""),
    ],
)
def test_a_page_says_whether_it_is_the_last(body: object, incomplete: str) -> None:
    """Only an explicit end is one."""
    assert parse_page(answer(200, body)).incomplete == incomplete


def test_a_partial_answer_is_never_the_last_page() -> None:
    """206 means that there is more, whatever the token says."""
    page = parse_page(answer(206, {"data": [], "nextToken": None}))
    assert page.incomplete == "it comes with HTTP 206"


def test_a_total_is_read() -> None:
    """It may say that conversations are missing."""
    assert parse_page(answer(200, {"data": [], "nextToken": None, "total": 7})).total == 7
    assert parse_page(answer(200, {"data": [], "nextToken": None})).total is None


def test_request_ids_and_the_clock_are_read() -> None:
    """The first of the headers that carry one; the skew against our clock."""
    result = response(504, None, x_amzn_requestid="a-1", date="Sun, 22 Nov 2026 10:01:40 GMT")
    assert (result.request_id, result.skew_s) == ("a-1", 100.0)
    assert (response(504).request_id, response(504).skew_s) == ("", None)
