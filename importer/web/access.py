"""Access to the page: who is signed in, what they may do, and which requests are let through."""

from __future__ import annotations

import getpass
import hmac
import logging
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from importer.errors import LedgerError, describe_fault
from importer.languages import language, translate, translate_filled
from importer.ledger.page_people import AuditEvent, PageSession, hash_session
from importer.settings.page_settings import Role
from importer.web.request_checks import (
    SAFE_METHODS,
    STATIC,
    USUAL_PACE,
    Answer,
    Origins,
    Pace,
    PacedBody,
    check_host,
    check_origin,
    check_token,
    find_token,
    own_path,
)
from importer.web.sign_in import (
    CALLBACK,
    LIFETIME_S,
    SIGN_IN,
    SIGN_OUT,
    SIGNED_OUT,
    PendingSignIn,
    ProviderAway,
    SignInFailed,
    SignInLinks,
    StaffIdentity,
    is_scraper,
    read_proxy,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from importer.ledger import Ledger
    from importer.settings.page_settings import PageSettings
    from importer.web.identity_provider import IdentityProvider

__all__ = [
    "AccessControl",
    "Forbidden",
    "Person",
    "Role",
    "csrf_token",
    "record_event",
    "require_role",
]

_LOG: Final = logging.getLogger(__name__)
_OPEN: Final = frozenset({"/health/live", "/health/ready"})
_SECRET: Final = re.compile(r"[\w-]{22}")
_SEEN_S: Final = 60.0
"""Seconds after which a session's use is written again."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in.

    Attributes:
        name: the user name.
        email: empty if unknown.
        roles: what they may do.
        session: id of the session, for the audit trail; tells nobody how to take it over.
    """

    name: str
    email: str
    roles: frozenset[Role]
    session: str

    def may(self, *roles: Role) -> bool:
        """Whether the person has one of these roles."""
        return not self.roles.isdisjoint(roles)


class Forbidden(HTTPException):
    """Somebody may not do what they asked for; `detail` says so in plain words."""

    def __init__(self, detail: str) -> None:
        super().__init__(403, detail)


_NEEDS: Final = {
    Role.UPLOADER: "upload and correct lists",
    Role.SENDER: "start conversations",
    Role.APPROVER: "approve lists",
    Role.OPERATOR: "look after runs and nights",
    Role.AUDITOR: "read the audit trail",
}


_SCRAPER: Final = Person("metrics", "", frozenset({Role.AUDITOR}), "")


def require_role(person: Person, *roles: Role) -> None:
    """Raise Forbidden unless a person has one of these roles."""
    if not person.may(*roles):
        raise Forbidden(
            f"You are signed in as {person.name}, who may not {_NEEDS[roles[0]]}. "
            "Ask the person who looks after this page if you need to."
        )


def csrf_token(request: Request) -> str:
    """Return the token that a form sends as `csrf`, and a script as the header `X-CSRF`."""
    token: str = request.state.csrf
    return token


def record_event(
    ledger: Ledger,
    person: Person,
    action: str,
    *,
    list_id: str = "",
    run: str = "",
    row: int | None = None,
    column: str = "",
    plan_hash: str = "",
) -> None:
    """Write to the audit trail what a person did; never a value of a candidate.

    Args:
        ledger: open for writing.
        person: who did it.
        action: such as `list-uploaded`.
        list_id: the list that it concerns.
        run: the run that it concerns.
        row: the spreadsheet row that it concerns.
        column: the canonical column that it concerns.
        plan_hash: the hash of the plan that it concerns.
    """
    ledger.audit.append(
        AuditEvent(
            at=datetime.now(UTC),
            name=person.name,
            email=person.email,
            session=person.session,
            action=action,
            list=list_id,
            run=run,
            row=row,
            column=column,
            plan_hash=plan_hash,
        )
    )


class AccessControl:
    """ASGI middleware: lets a request through if the person is signed in and meant to send it.

    Args:
        app: the page.
        settings: say who may do what.
        ledger: open for writing; keeps sessions and the audit trail.
        origins: where the page may be opened.
        links: one-time links, for `auth: link`.
        provider: signs people in, for `auth: oidc`.
        pace: how slowly a body may arrive.
        now: the clock; timezone-aware.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: PageSettings,
        ledger: Ledger,
        origins: Origins,
        links: SignInLinks,
        provider: IdentityProvider | None = None,
        pace: Pace = USUAL_PACE,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._app = app
        self._settings = settings
        self._ledger = ledger
        self._origins = origins
        self._links = links
        self._provider = provider
        self._pace = pace
        self._now = now
        self._cookie = "__Host-importer" if origins.secure else "importer"
        self._pending = f"{self._cookie}-sign-in"
        self._idle = timedelta(minutes=settings.session_idle_minutes)
        self._lifetime = timedelta(minutes=settings.session_minutes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on to the page."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        answer = Answer(send, scope["path"], secure=self._origins.secure)
        body = PacedBody(receive, self._pace)
        request = Request(scope, body.receive)
        try:
            response = await self._admit(request, answer, body.receive)
        except ClientDisconnect:
            response = None
            if body.too_slow:
                response = _refusal(
                    request, 408, "The upload came in too slowly and was stopped. Try it again."
                )
        except HTTPException as refused:
            response = _refusal(request, refused.status_code, refused.detail)
        except LedgerError as error:
            _LOG.error("%s", error)
            response = _refusal(
                request, 503, "The page cannot reach its records. Nothing is lost; try again soon."
            )
        except Exception as error:  # noqa: BLE001 - a page for the person, a line for the operator
            _LOG.error("unexpected %s", describe_fault(error))
            response = _refusal(
                request,
                500,
                "Something went wrong on this page. Nothing is lost; go back, and "
                "tell the person who looks after it.",
            )
        if response is not None and not answer.started:
            await response(scope, body.receive, answer.send)

    async def _admit(self, request: Request, answer: Answer, receive: Receive) -> Response | None:
        """Pass a request on, or return the answer to it."""
        path = request.url.path
        if path not in _OPEN:
            check_host(request, self._origins)
        if path in _OPEN or path.startswith(STATIC):
            await self._app(request.scope, receive, answer.send)
            return None
        if is_scraper(request):
            request.state.csrf = ""
            await self._pass_on(request, _SCRAPER, receive, answer)
            return None
        secret = request.cookies.get(self._cookie, "")
        session = await to_thread.run_sync(self._find, secret)
        if path in {SIGN_IN, CALLBACK, SIGNED_OUT}:
            if self._provider is not None:
                return await self._sign_in_by_provider(request, self._provider, session, answer)
            if path == SIGN_IN:
                return await self._sign_in(request, session, answer)
        if self._settings.auth == "proxy-header":
            identity = read_proxy(request, self._settings)
            if session is None or not _is_same(session, identity):
                secret, session = await self._start(identity, session, answer)
        elif session is None:
            return _ask_to_sign_in(request, with_path=self._provider is not None)
        else:
            identity = _identity_of(session)
        person = Person(identity.name, identity.email, self._roles(identity), session.id[:16])
        request.state.csrf = _token_of(secret)
        return await self._serve(request, person, session, receive, answer)

    async def _serve(
        self,
        request: Request,
        person: Person,
        session: PageSession,
        receive: Receive,
        answer: Answer,
    ) -> Response | None:
        """Pass on the request of a signed-in person, if its token is valid and they have a role."""
        if request.method not in SAFE_METHODS:
            check_origin(request, self._origins)
            token, receive = await find_token(request, receive)
            check_token(token, request.state.csrf)
        if request.url.path == SIGN_OUT and request.method == "POST":
            return await self._sign_out(person, session, answer)
        if not person.roles:
            return _refusal(
                request,
                403,
                f"You are signed in as {person.name}, who may not use this page yet. "
                "Ask the person who looks after it to give you a role.",
                link="" if self._provider is None else translate("Sign in again"),
            )
        await self._pass_on(request, person, receive, answer)
        return None

    async def _pass_on(
        self, request: Request, person: Person, receive: Receive, answer: Answer
    ) -> None:
        """Pass a request on, with the person who sent it."""
        request.state.person = person
        await self._app(request.scope, receive, answer.send)

    # ---- sessions ----------------------------------------------------------------------------

    def _find(self, secret: str) -> PageSession | None:
        """Return the session of a cookie, if it is not over."""
        if not _SECRET.fullmatch(secret):
            return None
        session, now = self._ledger.sessions.find(self._hash(secret)), self._now()
        if session is None:
            return None
        if now - session.seen_at > self._idle or now - session.started_at > self._lifetime:
            self._ledger.sessions.end([session.id])
            return None
        if (now - session.seen_at).total_seconds() > _SEEN_S:
            self._ledger.sessions.note_seen(session.id, now)
        return session

    def _hash(self, secret: str) -> str:
        return hash_session(secret, self._settings.auth)

    async def _start(
        self, identity: StaffIdentity, replaced: PageSession | None, answer: Answer
    ) -> tuple[str, PageSession]:
        """Start a session with a new secret; ignore the cookie of the request."""
        secret, now = secrets.token_urlsafe(16), self._now()
        session = PageSession(
            self._hash(secret), identity.name, identity.email, identity.groups, now, now
        )

        def write() -> None:
            self._ledger.sessions.end_expired(now, idle=self._idle, lifetime=self._lifetime)
            self._ledger.sessions.start(session, replaces=replaced.id if replaced else "")
            person = Person(identity.name, identity.email, frozenset(), session.id[:16])
            record_event(self._ledger, person, "signed-in")

        await to_thread.run_sync(write)
        answer.cookie = self._set_cookie(secret)
        return secret, session

    def _set_cookie(self, secret: str) -> bytes:
        """Return the Set-Cookie header of a session; an empty secret removes the cookie."""
        parts = [f"{self._cookie}={secret}", "Path=/", "HttpOnly", "SameSite=Lax"]
        parts += ["Secure"] if self._origins.secure else []
        parts += [] if secret else ["Max-Age=0"]
        return "; ".join(parts).encode()

    def _roles(self, identity: StaffIdentity) -> frozenset[Role]:
        """Return what somebody may do; everything on one's own machine."""
        if self._settings.auth == "link":
            return frozenset(Role)
        return self._settings.roles_of(identity.name, identity.email, identity.groups)

    # ---- signing in and out ------------------------------------------------------------------

    async def _sign_in(
        self, request: Request, session: PageSession | None, answer: Answer
    ) -> Response:
        """Use a one-time link."""
        token = request.query_params.get("token", "")
        if self._settings.auth != "link" or (session is not None and not token):
            return RedirectResponse("/", 303)
        if not token:
            return _refusal(request, 401, f"You are not signed in. {_NEWEST_LINK}")
        if request.method != "GET" or not self._links.use(token):
            return _refusal(
                request,
                403,
                f"This link was used already, or is not the newest one. {_NEWEST_LINK}",
            )
        await self._start(StaffIdentity(getpass.getuser()), session, answer)
        return RedirectResponse("/", 303)

    async def _sign_in_by_provider(
        self,
        request: Request,
        provider: IdentityProvider,
        session: PageSession | None,
        answer: Answer,
    ) -> Response:
        """Redirect a person to the company's provider, or sign them in when they come back."""
        path, now_s = request.url.path, self._now().timestamp()
        again = translate("Sign in again")
        if path == SIGNED_OUT:
            return _refusal(
                request,
                200,
                "You have signed out of this page. Your company's sign-in may still know you.",
                link=again,
            )
        here = self._settings.page_url or ""
        if path == SIGN_IN:
            back = request.query_params.get("back", "/")
            if session is not None and self._roles(_identity_of(session)):
                return RedirectResponse(own_path(back), 303)
            if request.headers.get("host", "").lower() != urlsplit(here).netloc:
                return RedirectResponse(f"{here}{SIGN_IN}", 303)  # where the cookie will be needed
        pending = PendingSignIn.read(request.cookies.get(self._pending, ""), now_s)
        try:
            if path == SIGN_IN:
                begun = PendingSignIn.begin(back, now_s)
                response: Response = RedirectResponse(await provider.address_of(begun), 303)
                self._keep_pending(response, begun.cookie)
                return response
            identity = await _identify(request, provider, pending)
        except ProviderAway as away:
            _LOG.warning("the provider of sign-ins is not available: %s", away)
            return _refusal(
                request,
                503,
                "Your company's sign-in does not answer now. Nothing is lost; try again soon.",
                link=again,
            )
        except HTTPException as refused:
            response = _refusal(request, refused.status_code, refused.detail, link=again)
        else:
            await self._start(identity, session, answer)
            response = RedirectResponse("/" if pending is None else pending.back, 303)
        self._keep_pending(response, "")
        return response

    def _keep_pending(self, response: Response, cookie: str) -> None:
        """Set the cookie of a sign-in that has begun; an empty one removes it."""
        response.set_cookie(
            self._pending,
            cookie,
            max_age=LIFETIME_S if cookie else 0,
            secure=self._origins.secure,
            httponly=True,
            samesite="lax",
        )

    async def _sign_out(self, person: Person, session: PageSession, answer: Answer) -> Response:
        """End a session."""

        def write() -> None:
            self._ledger.sessions.end([session.id])
            record_event(self._ledger, person, "signed-out")

        await to_thread.run_sync(write)
        answer.cookie = self._set_cookie("")
        return RedirectResponse(SIGN_IN if self._provider is None else SIGNED_OUT, 303)


_NEWEST_LINK: Final = "Open the newest link from the terminal in which the page was started."


def _token_of(secret: str) -> str:
    """Return the token of a session's forms; it tells nothing about the session's secret."""
    return hmac.new(secret.encode(), b"csrf", sha256).hexdigest()


def _identity_of(session: PageSession) -> StaffIdentity:
    return StaffIdentity(session.name, session.email, session.groups)


def _is_same(session: PageSession, identity: StaffIdentity) -> bool:
    return (session.name, session.email) == (identity.name, identity.email)


async def _identify(
    request: Request, provider: IdentityProvider, pending: PendingSignIn | None
) -> StaffIdentity:
    """Return the person who comes back from the provider.

    Raises:
        HTTPException: the request signs nobody in.
        ProviderAway: the provider does not answer.
    """
    given = {name: request.query_params.getlist(name) for name in ("state", "code", "error")}
    is_ours = (
        request.method == "GET"
        and pending is not None
        and len(given["state"]) == 1
        and pending.is_answered_by(given["state"][0])
    )
    if not is_ours or pending is None:
        raise HTTPException(
            401, "This sign-in took too long, or was begun in another browser. Sign in again."
        )
    if given["error"] or len(given["code"]) != 1 or not given["code"][0]:
        raise HTTPException(
            403,
            "Your company's sign-in did not let you in. Try again, or ask the person who looks "
            "after it.",
        )
    try:
        return await provider.identify(given["code"][0], pending)
    except ProviderAway:
        raise
    except SignInFailed as failed:
        _LOG.warning("nobody was signed in: %s", failed)
        raise HTTPException(
            403,
            "What your company's sign-in said about you is not valid, so you are not signed in. "
            "Try again. If it happens again, tell the person who looks after this page.",
        ) from None


def _ask_to_sign_in(request: Request, *, with_path: bool) -> Response:
    """Answer somebody who is not signed in; `with_path` brings them back to their page."""
    if request.method == "GET" and _wants_page(request):
        path = request.url.path
        back = f"?back={quote(path)}" if with_path and path != "/" else ""
        return RedirectResponse(f"{SIGN_IN}{back}", 303)
    return _refusal(request, 401, "You are not signed in any more. Reload the page.")


def _wants_page(request: Request) -> bool:
    """Whether a browser is about to show the answer as a page."""
    return "text/html" in request.headers.get("accept", "")


TITLES: Final = {
    200: "You have signed out",
    400: "This request cannot be read",
    401: "Please sign in",
    403: "This is not possible",
    408: "The upload was too slow",
    413: "This is too large",
    421: "This is not the right address",
    500: "Something went wrong",
    503: "The page is not available at the moment",
}


def _refusal(request: Request, status: int, words: str, *, link: str = "") -> Response:
    """Return a page, or a line, that says why a request was refused; `link`: to the sign-in."""
    said = translate(words)
    words = translate_filled(words) if said == words else said
    if not _wants_page(request):
        return PlainTextResponse(f"{words}\n", status)
    more = f'<p><a href="{SIGN_IN}">{escape(link)}</a></p>\n' if link else ""
    title = translate(TITLES.get(status, TITLES[403]))
    return HTMLResponse(
        f'<!doctype html>\n<html lang="{language()}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n<link rel="stylesheet" href="/static/page.css">\n'
        f"<title>{escape(title)}</title>\n</head>\n<body>\n"
        f'<main id="main" class="page">\n<h1>{escape(title)}</h1>\n<p>{escape(words)}</p>\n{more}'
        "</main>\n</body>\n</html>\n",
        status,
    )
