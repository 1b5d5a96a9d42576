"""People sign in at an OpenID Connect provider, over real HTTP, and nobody gets in by a trick."""

from __future__ import annotations

import logging
import socket
import sys
import time
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import ValidationError

from importer.errors import ConfigurationError, CredentialsError, SettingsError
from importer.ledger import Ledger
from importer.settings import Settings
from importer.web.identity_provider import read_claims
from importer.web.page_server import refuse_strangers
from importer.web.request_checks import own_path
from importer.web.sign_in import LIFETIME_S, PendingSignIn, SignInFailed, StaffIdentity
from tests.support.oidc_provider import CLIENT, SECRET, Provider, serve_provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.unit.web.conftest import OpenPage

    Opened = Callable[..., AbstractContextManager[OpenPage]]

PAGE_URL = "http://127.0.0.1"
"""Where people find the page; the port on which it listens is another one, as behind a proxy."""
ROLES = {"uploader": ["group:recruiting"], "operator": ["ops@example.com"]}
NOT_VALID = "is not valid, so you are not signed in"
TOO_LONG = "took too long, or was begun in another browser"
AWAY = "does not answer now"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """Yield a provider that knows the page's secret."""
    monkeypatch.setenv("IMPORTER_OIDC_CLIENT_SECRET", SECRET)
    with serve_provider() as served:
        yield served


def team(provider: Provider, **given: Any) -> dict[str, Any]:
    """Return the settings of a page whose people sign in at a provider."""
    usual = {"auth": "oidc", "page_url": PAGE_URL, "roles": ROLES, "oidc_client_id": CLIENT}
    return {**usual, "oidc_issuer": provider.url, **given}


@pytest.fixture
def page(open_page: Opened, provider: Provider) -> Iterator[OpenPage]:
    """Yield a page whose people sign in at the provider."""
    with open_page(**team(provider)) as served:
        yield served


@contextmanager
def browser(page: OpenPage) -> Iterator[httpx.Client]:
    """Yield a browser that has opened the page by its own address."""
    with page.visitor(host=urlsplit(PAGE_URL).netloc) as visitor:
        yield visitor


def go_to_provider(visitor: httpx.Client, start: str = "/sign-in") -> str:
    """Sign in at the provider; return the path and query with which it sends a person back."""
    answer = visitor.get(start)
    assert answer.status_code == 303, answer.text
    answer = httpx.get(answer.headers["location"], trust_env=False)
    parts = urlsplit(answer.headers["location"])
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{PAGE_URL}/sign-in/callback"
    return f"{parts.path}?{parts.query}"


def sessions(page: OpenPage) -> list[tuple[str, str]]:
    """Name and address of everybody who is signed in."""
    with Ledger.open(page.settings.ledger) as ledger:
        return [(each.name, each.email) for each in ledger.sessions.list()]


def assert_nobody(page: OpenPage, answer: httpx.Response, status: int, words: str) -> None:
    """Require that nobody was signed in, and that a plain page says so."""
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert "Sign in again" in answer.text
    assert "Traceback" not in answer.text
    assert "importer=" not in ";".join(answer.headers.get_list("set-cookie"))
    assert sessions(page) == []


# ---- the way in and out --------------------------------------------------------------------------


def test_a_person_signs_in_and_out(
    page: OpenPage, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    """And comes back to the page that they wanted, with a session of their own."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, logger="httpx")  # our client silences it for the process
    provider.person |= {"email": "ada@example.com", "email_verified": True}
    with browser(page) as visitor:
        visitor.cookies.set("importer", "A" * 22, domain="127.0.0.1")  # planted by somebody
        wanted = visitor.get("/lists/new").headers["location"]
        assert wanted == "/sign-in?back=/lists/new"
        callback = go_to_provider(visitor, wanted)
        pending = visitor.cookies["importer-sign-in"]
        answer = visitor.get(callback)
        assert (answer.status_code, answer.headers["location"]) == (303, "/lists/new")
        assert visitor.cookies["importer"] != "A" * 22
        assert "importer-sign-in" not in visitor.cookies
        assert visitor.get("/lists/new").status_code == 200
        assert visitor.get("/sign-in?back=/lists/new").headers["location"] == "/lists/new"
        assert sessions(page) == [("ada", "ada@example.com")]
        (asked,) = provider.asked
        assert asked["scope"] == "openid profile email"
        assert asked["code_challenge_method"] == "S256"
        assert pending not in str(asked)

        from importer.web.access import _token_of  # noqa: PLC0415

        token = _token_of(visitor.cookies["importer"])
        answer = visitor.post("/sign-out", data={"csrf": token})
        assert answer.headers["location"] == "/sign-in/ended"
        assert "You have signed out" in visitor.get("/sign-in/ended").text
        assert visitor.get("/").headers["location"] == "/sign-in"
    assert sessions(page) == []
    code = parse_qs(urlsplit(callback).query)["code"][0]
    ours = [each.getMessage() for each in caplog.records if each.threadName != "MainThread"]
    assert any("/token" in line for line in ours)
    for secret in (SECRET, code, pending, asked["state"], "ada"):
        assert secret not in " ".join(ours)


def test_a_new_sign_in_ends_the_session_before(page: OpenPage) -> None:
    """Its secret is another one."""
    with browser(page) as visitor:
        first, second = go_to_provider(visitor), ""
        visitor.get(first)
        kept = visitor.cookies["importer"]
        begun = PendingSignIn.begin("/", time.time())
        assert visitor.get(f"/sign-in/callback?code=x&state={begun.state}").status_code == 401
        visitor.cookies.delete("importer")
        second = go_to_provider(visitor)
        visitor.cookies.set("importer", kept, domain="127.0.0.1", path="/")
        answer = visitor.get(second)
        assert answer.status_code == 303
        assert f"importer={kept}" not in ";".join(answer.headers.get_list("set-cookie"))
    assert len(sessions(page)) == 1


@pytest.mark.parametrize("forgets", [True, False])
def test_a_sign_in_counts_once(page: OpenPage, provider: Provider, *, forgets: bool) -> None:
    """Even with the cookie of the person, and even if the provider takes a code twice."""
    provider.forgets_codes = forgets
    with browser(page) as visitor:
        callback = go_to_provider(visitor)
        pending = visitor.cookies["importer-sign-in"]
        assert visitor.get(callback).status_code == 303
    with browser(page) as thief:
        thief.cookies.set("importer-sign-in", pending, domain="127.0.0.1", path="/")
        answer = thief.get(callback)
        assert (answer.status_code, NOT_VALID in answer.text) == (403, True)
        assert "importer" not in thief.cookies
    assert len(sessions(page)) == 1


def test_new_keys_of_the_provider_are_found(page: OpenPage, provider: Provider) -> None:
    """When a token names a key that is not known yet."""
    with browser(page) as visitor:
        assert visitor.get(go_to_provider(visitor)).status_code == 303
    provider.kid, provider.published = "second", ["first", "second"]
    with browser(page) as visitor:
        assert visitor.get(go_to_provider(visitor)).status_code == 303


def test_cookies_belong_to_the_page_alone(open_page: Opened, provider: Provider) -> None:
    """Over https no other host can set them; another address of ours leads to the usual one."""
    settings = team(provider, page_url="https://importer.example.com")
    with open_page(**settings) as page, page.visitor(host="importer.example.com") as visitor:
        parts = visitor.get("/sign-in").headers["set-cookie"].split("; ")
        assert parts[0].startswith("__Host-importer-sign-in=")
        assert set(parts[1:]) == {
            "HttpOnly",
            f"Max-Age={LIFETIME_S}",
            "Path=/",
            "Secure",
            "SameSite=lax",
        }
        with page.visitor() as other:
            answer = other.get("/sign-in")
            assert answer.headers["location"] == "https://importer.example.com/sign-in"
            assert "set-cookie" not in answer.headers


# ---- tokens that are not believed ----------------------------------------------------------------


LIES: tuple[dict[str, Any], ...] = (
    {"claims": {"nonce": "another"}},
    {"claims": {"nonce": None}},
    {"claims": {"aud": "another"}},
    {"claims": {"aud": None}},
    {"claims": {"aud": ["another"], "azp": CLIENT}},
    {"claims": {"aud": [CLIENT, "another"], "azp": "another"}},
    {"claims": {"iss": "https://login.example.com"}},
    {"claims": {"exp": 1_000_000_000}},
    {"claims": {"exp": None}},
    {"claims": {"exp": "soon"}},
    {"claims": {"nbf": 99_999_999_999}},
    {"claims": {"sub": None}},
    {"claims": {"at_hash": "AAAA"}},
    {"claims": {"preferred_username": None}},
    {"claims": {"preferred_username": ["ada"]}},
    {"claims": {"preferred_username": "ops@example.com"}},
    {"signs": "none"},
    {"signs": "none", "header": {"alg": "None"}},
    {"signs": "HS256"},
    {"kid": "unpublished"},
    {"kid": "unpublished", "header": {"kid": "first"}},
    {"header": {"kid": 7}},
    {"header": {"crit": ["exp"]}},
    {"token": ""},
    {"token": "a.b.c"},
    {"token": "é"},
)


def test_a_token_that_is_not_valid_signs_nobody_in(
    page: OpenPage, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says why, and nothing of the person."""
    honest = {field.name: getattr(provider, field.name) for field in fields(provider)}
    with browser(page) as visitor:
        for lie in LIES:
            for name, value in {**honest, **lie}.items():
                setattr(provider, name, value)
            callback = go_to_provider(visitor)
            caplog.clear()
            assert_nobody(page, visitor.get(callback), 403, NOT_VALID)
            assert "importer-sign-in" not in visitor.cookies
            (record,) = [each for each in caplog.records if each.name.startswith("importer.")]
            assert record.getMessage().startswith("nobody was signed in: "), lie
            assert "ada" not in caplog.text
            assert "ops" not in caplog.text
        for name, value in honest.items():
            setattr(provider, name, value)
        assert visitor.get(go_to_provider(visitor)).status_code == 303


def test_a_provider_without_safe_signatures_signs_nobody_in(
    page: OpenPage, provider: Provider
) -> None:
    """None at all is not taken for the usual ones."""
    provider.metadata = {"id_token_signing_alg_values_supported": ["none", "HS256"]}
    with browser(page) as visitor:
        assert_nobody(page, visitor.get(go_to_provider(visitor)), 503, AWAY)


# ---- answers that belong to no sign-in -----------------------------------------------------------


def test_an_answer_needs_the_cookie_of_its_sign_in(page: OpenPage, provider: Provider) -> None:
    """Somebody who sends their own answer to another person signs nobody in."""
    with browser(page) as attacker:
        callback = go_to_provider(attacker)
    query = parse_qs(urlsplit(callback).query)
    code, state = query["code"][0], query["state"][0]
    with browser(page) as visitor:
        assert_nobody(page, visitor.get(callback), 401, TOO_LONG)
        own = parse_qs(urlsplit(go_to_provider(visitor)).query)["state"][0]
        kept = visitor.cookies["importer-sign-in"]
        for wrong in (
            callback,
            f"/sign-in/callback?code={code}",
            f"/sign-in/callback?code={code}&state=",
            f"/sign-in/callback?code={code}&state=%ff",
            f"/sign-in/callback?code={code}&state={own}&state={state}",
        ):
            visitor.cookies.set("importer-sign-in", kept, domain="127.0.0.1", path="/")
            assert_nobody(page, visitor.get(wrong), 401, TOO_LONG)
        for declined in (f"error=access_denied&state={own}", f"state={own}", f"code=&state={own}"):
            visitor.cookies.set("importer-sign-in", kept, domain="127.0.0.1", path="/")
            answer = visitor.get(f"/sign-in/callback?{declined}")
            assert_nobody(page, answer, 403, "did not let you in")
            assert "access_denied" not in answer.text
        visitor.cookies.set("importer-sign-in", kept, domain="127.0.0.1", path="/")
        stolen = visitor.get(f"/sign-in/callback?code={code}&state={own}")  # PKCE
        assert_nobody(page, stolen, 403, NOT_VALID)
    assert len(provider.exchanged) == 1


def test_a_sign_in_that_has_begun_ends_by_itself() -> None:
    """After ten minutes; and a person who changes its cookie has another sign-in."""
    begun = PendingSignIn.begin("/runs/a", 1_800_000_000.5)
    read = PendingSignIn.read(begun.cookie, 1_800_000_000.0 + LIFETIME_S - 1)
    assert read == begun
    assert PendingSignIn.read(begun.cookie, 1_800_000_000.0 + LIFETIME_S + 1) is None
    assert PendingSignIn.read(begun.cookie, 1_700_000_000.0) is None
    secret, at, place = begun.cookie.split(".")
    later = PendingSignIn.read(f"{secret}.{int(at) + 300}.{place}", 1_800_000_301.0)
    assert later is not None
    assert not later.is_answered_by(begun.state)
    assert len({begun.state, begun.nonce, begun.verifier, begun.cookie}) == 4
    assert begun.cookie not in repr(begun)
    for wrong in ("", "a.b.c", f"{secret}.{at}", f"{secret}.{at}.A", f"{secret}.{at}._w", f"{at}"):
        assert PendingSignIn.read(wrong, 1_800_000_001.0) is None, wrong


ELSEWHERE = (
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "/a\\b",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "javascript:alert(1)",
    "evil.example",
    "/é",
    "/" + "a" * 1_000,
    "",
)


def test_nobody_is_sent_to_another_site(page: OpenPage) -> None:
    """Not after the sign-in, and not if there is a session already."""
    for back in ELSEWHERE:
        assert own_path(back) == "/"
        start = str(httpx.URL("/sign-in", params={"back": back}))
        with browser(page) as visitor:
            answer = visitor.get(go_to_provider(visitor, start))
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
            assert visitor.get(start).headers["location"] == "/"


# ---- who may do what -----------------------------------------------------------------------------


def test_nobody_has_a_role_by_default(page: OpenPage, provider: Provider) -> None:
    """A plain page says who to ask; a role that is given then counts at the next sign-in."""
    provider.person = {"preferred_username": "kim", "groups": ["staff"]}
    with browser(page) as visitor:
        assert visitor.get(go_to_provider(visitor)).headers["location"] == "/"
        answer = visitor.get("/")
        assert answer.status_code == 403
        assert "kim, who may not use this page yet" in answer.text
        assert "Ask the person who looks after it" in answer.text
        assert 'href="/sign-in"' in answer.text
        german = visitor.get("/", headers={"accept-language": "de"}).text
        assert "Sie sind als kim angemeldet" in german
        assert "Neu anmelden" in german
        provider.person["groups"] = "recruiting"
        assert visitor.get(go_to_provider(visitor)).status_code == 303
        assert visitor.get("/").status_code == 200
    assert len(sessions(page)) == 1


@pytest.mark.parametrize(
    ("claims", "given", "identity"),
    [
        ({}, {}, StaffIdentity("ada")),
        ({"email": "a@example.com"}, {}, StaffIdentity("ada")),
        ({"email": "a@example.com", "email_verified": False}, {}, StaffIdentity("ada")),
        (
            {"email": "a@example.com", "email_verified": "true"},
            {},
            StaffIdentity("ada", "a@example.com"),
        ),
        (
            {"upn": "a@example.com", "email_verified": True},
            {"oidc_email_claim": "upn"},
            StaffIdentity("ada"),
        ),
        (
            {"upn": "a@example.com"},
            {"oidc_email_claim": "upn", "oidc_unverified_email": True},
            StaffIdentity("ada", "a@example.com"),
        ),
        ({"groups": ["a", 7, "", "x" * 300, "b\n"]}, {}, StaffIdentity("ada", "", frozenset("a"))),
        ({"groups": {"a": 1}}, {}, StaffIdentity("ada")),
        (
            {"realm_access": {"roles": ["a"]}},
            {"oidc_groups_claim": "realm_access.roles"},
            StaffIdentity("ada", "", frozenset("a")),
        ),
        (
            {"https://example.com/groups": ["a"]},
            {"oidc_groups_claim": "https://example.com/groups"},
            StaffIdentity("ada", "", frozenset("a")),
        ),
        ({"sub": "7"}, {"oidc_name_claim": "sub"}, StaffIdentity("7")),
    ],
)
def test_claims_say_who_somebody_is(
    claims: dict[str, Any], given: dict[str, Any], identity: StaffIdentity
) -> None:
    """By the claims that the settings name; an address only if it is verified."""
    settings = Settings.model_validate(given)
    assert read_claims({"preferred_username": "ada", **claims}, settings) == identity


def test_a_user_name_that_may_be_somebodys_address_is_refused() -> None:
    """Lists belong to addresses."""
    with pytest.raises(SignInFailed, match="not verified"):
        read_claims({"preferred_username": "ada@example.com"}, Settings())


# ---- a provider that does not answer as one ------------------------------------------------------


FAULTS: tuple[dict[str, Any], ...] = (
    {"statuses": {"/.well-known/openid-configuration": 500}},
    {"statuses": {"/.well-known/openid-configuration": 302}},
    {"statuses": {"/keys": 404}},
    {"metadata": {"issuer": "https://login.example.com"}},
    {"metadata": {"token_endpoint": "http://login.example.com/token"}},
    {"metadata": {"authorization_endpoint": "javascript:alert(1)"}},
    {"metadata": {"jwks_uri": None}},
    {"metadata": {"jwks_uri": "http://["}},
    {"metadata": {"more": "x" * 1_000_001}},
)


def test_a_provider_that_is_not_one_is_not_asked(page: OpenPage, provider: Provider) -> None:
    """A plain page says so; once the provider is well again, people can sign in."""
    with browser(page) as visitor:
        for fault in FAULTS:
            provider.statuses, provider.metadata = {}, {}
            for name, value in fault.items():
                setattr(provider, name, value)
            assert_nobody(page, visitor.get("/sign-in"), 503, AWAY)
        provider.statuses, provider.metadata = {}, {}
        assert visitor.get(go_to_provider(visitor)).status_code == 303


def test_a_provider_may_be_down(open_page: Opened, provider: Provider) -> None:
    """Before the sign-in, or when a person comes back."""
    with serve_provider() as short, open_page(**team(short)) as page, browser(page) as visitor:
        callback = go_to_provider(visitor)
        short.statuses = {"/token": 503}
        assert_nobody(page, visitor.get(callback), 503, AWAY)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # nobody listens there, and nobody else can
        issuer = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with open_page(**team(provider, oidc_issuer=issuer)) as page, browser(page) as visitor:
            assert_nobody(page, visitor.get("/sign-in"), 503, AWAY)
            machine = visitor.get("/sign-in", headers={"accept": "application/json"})
            assert machine.status_code == 503
            assert machine.headers["content-type"].startswith("text/plain")


# ---- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "issuer",
    [
        "http://login.example.com",
        "login.example.com",
        "https://a@b.example",
        "https://[",
        "https://a.example?x=1",
    ],
)
def test_an_issuer_is_an_https_address(issuer: str) -> None:
    """On this machine http will do."""
    with pytest.raises(ValidationError):
        Settings.model_validate({"oidc_issuer": issuer})


@pytest.mark.parametrize("name", ["oidc_issuer", "oidc_client_id", "page_url", "roles"])
def test_a_page_without_its_provider_is_not_served(provider: Provider, name: str) -> None:
    """What is missing is named."""
    given = {key: value for key, value in team(provider).items() if key != name}
    with pytest.raises(SettingsError, match=f"auth: oidc needs `{name}`"):
        refuse_strangers(Settings.model_validate(given))


@pytest.mark.parametrize(("secret", "words"), [("", "is not set"), ("a b", "has a character")])
def test_the_secret_comes_from_the_environment(
    open_page: Opened, provider: Provider, monkeypatch: pytest.MonkeyPatch, secret: str, words: str
) -> None:
    """Without it the page is not served."""
    monkeypatch.setenv("IMPORTER_OIDC_CLIENT_SECRET", secret)
    with (
        pytest.raises(CredentialsError, match=f"IMPORTER_OIDC_CLIENT_SECRET {words}"),
        open_page(**team(provider)),
    ):
        pass


def test_only_this_way_of_signing_in_needs_the_extra(
    open_page: Opened, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others work without it; this one says what to install."""
    monkeypatch.delitem(sys.modules, "importer.web.identity_provider")
    monkeypatch.setitem(sys.modules, "authlib.oauth2.auth", None)
    with open_page() as page, page.signed_in() as visitor:
        assert visitor.get("/").status_code == 200
    with (
        pytest.raises(ConfigurationError, match="not installed") as refused,
        open_page(**team(provider)),
    ):
        pass
    assert "[oidc]" in refused.value.fix
