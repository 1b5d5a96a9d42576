"""The page as one ASGI application: routes, static files, and pages for what goes wrong."""

from __future__ import annotations

import contextlib
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from importer.errors import ImporterError, LedgerError
from importer.languages import LANGUAGES, choose_language, use_language
from importer.nightly.remote.backends import RemoteFault
from importer.web import (
    check_pages,
    correction_pages,
    follow_pages,
    list_files,
    send_pages,
    uploads,
)
from importer.web.held_files import RemoteInboxes
from importer.web.jobs import COMMAND, Jobs, KnownCampaigns
from importer.web.pages import Refused, Site, render, words_of
from importer.web.request_checks import own_path
from importer.work.page_lists import PageLists
from importer.work.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from importer.ledger import Ledger
    from importer.settings import Credentials, Settings


_LOG: Final = logging.getLogger(__name__)
STATIC: Final = Path(__file__).parent / "static"
_FORM_BYTES: Final = 200_000
_FORBIDDEN: Final = 403
REFUSALS: Final = {
    _FORBIDDEN: "You may not do this.",
    404: "There is no such page.",
    413: "This is too large.",
}


def create_app(
    settings: Settings,
    credentials: Credentials,
    *,
    ledger: Ledger,
    middleware: Sequence[Middleware] = (),
    more_routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """Return the page; while it runs, it also works on its jobs.

    Args:
        settings: the settings of the server.
        credentials: the credentials of the API.
        ledger: open for writing; stays open.
        middleware: controls access.
        more_routes: pages of operation, such as the nights.
    """
    workbench = Workbench(settings, credentials, ledger)
    jobs = Jobs(PageLists(workbench, settings, credentials, ledger, COMMAND))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        jobs.start()
        yield
        await run_in_threadpool(jobs.close)

    app = Starlette(
        routes=[*list_routes(settings.max_bytes), *more_routes],
        middleware=[Middleware(ReaderLanguage), *middleware],
        lifespan=lifespan,
        exception_handlers={
            Refused: _refused,
            LedgerError: _ledger_away,
            RemoteFault: _store_away,
            ImporterError: _failed,
            HTTPException: _not_possible,
        },
    )
    app.state.site = Site(
        settings,
        credentials,
        ledger,
        workbench,
        jobs,
        KnownCampaigns(settings, credentials),
        RemoteInboxes(settings, ledger),
    )
    return app


def list_routes(max_bytes: int) -> list[BaseRoute]:
    """Return the pages of lists and runs; the largest file has `max_bytes`."""
    most = max_bytes + _FORM_BYTES
    one = "/lists/{id}"
    return [
        Mount("/static", StaticFiles(directory=STATIC), name="static"),
        Route("/", uploads.start_page),
        Route("/lists/new", uploads.new_list_page),
        Route("/lists/new", uploads.create_list, methods=["POST"], max_body_size=most),
        Route("/lists/example", uploads.example_list),
        Route(f"{one}/file", uploads.receive_file, methods=["PUT"]),
        Route(f"{one}/choices", uploads.choose_form, methods=["POST"]),
        Route(f"{one}/delete", uploads.delete_form, methods=["POST"]),
        Route(one, check_pages.list_page),
        Route(f"{one}/status", check_pages.list_status),
        Route(f"{one}/fix", correction_pages.rows_page),
        Route(f"{one}/rows/{{row:int}}", correction_pages.correct_form, methods=["POST"]),
        Route(f"{one}/together", correction_pages.together_form, methods=["POST"]),
        Route(f"{one}/corrections", correction_pages.corrections_page),
        Route(f"{one}/corrections", correction_pages.take_back_form, methods=["POST"]),
        Route(f"{one}/columns", check_pages.columns_page),
        Route(f"{one}/columns", check_pages.choose_columns_form, methods=["POST"]),
        Route(f"{one}/to-fix.{{ending}}", list_files.rows_to_fix),
        Route(f"{one}/corrected.{{ending}}", list_files.corrected_list),
        Route(f"{one}/fixed", list_files.take_fixed, methods=["POST"], max_body_size=most),
        Route(f"{one}/preview", send_pages.preview_page),
        Route(f"{one}/send", send_pages.send_page),
        Route(f"{one}/send", send_pages.start_form, methods=["POST"]),
        Route(f"{one}/decision", send_pages.decide_form, methods=["POST"]),
        Route(f"{one}/withdraw", send_pages.withdraw_form, methods=["POST"]),
        Route(f"{one}/halt", follow_pages.halt_form, methods=["POST"]),
        Route(f"{one}/go-on", follow_pages.go_on_form, methods=["POST"]),
        Route("/runs/{run}", follow_pages.run_page),
        Route("/runs/{run}/status", follow_pages.run_status),
        Route("/runs/{run}/rows", follow_pages.results_page),
        Route("/runs/{run}/results.{ending}", follow_pages.results_file),
        Route("/doubts", follow_pages.doubts_page),
        Route("/doubts/look-up", follow_pages.look_up_form, methods=["POST"]),
        Route("/doubts/{key}", follow_pages.settle_form, methods=["POST"]),
    ]


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, Refused) else 400
    return _say(request, status, *_texts(error))


async def _ledger_away(request: Request, error: Exception) -> Response:
    words = words_of(request)
    message, fix = _texts(error)
    return _say(
        request,
        503,
        words("The importer's records cannot be reached now. Nothing is lost."),
        f"{words('Try again in a minute.')} {message} {fix}",
    )


async def _store_away(request: Request, error: Exception) -> Response:
    _LOG.error("%s", error)
    words = words_of(request)
    return _say(
        request,
        503,
        words("The place where lists are kept cannot be reached now. Nothing was changed."),
        words("Try again in a minute."),
    )


async def _failed(request: Request, error: Exception) -> Response:
    words = words_of(request)
    message, fix = _texts(error)
    return _say(request, 400, words(message), words(fix))


def _texts(error: Exception) -> tuple[str, str]:
    return (error.message, error.fix) if isinstance(error, ImporterError) else ("", "")


async def _not_possible(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    said = error.detail if isinstance(error, HTTPException) else ""
    words = words_of(request)
    return _say(
        request,
        status,
        words(REFUSALS.get(status, "This is not possible.")),
        words(said) if status == _FORBIDDEN else words("Go back to the start page."),
    )


def _say(request: Request, status: int, message: str, fix: str) -> Response:
    """Return an error as a page, or as a line for the script of the page."""
    if "text/html" not in request.headers.get("accept", "text/html"):
        return PlainTextResponse(f"{message} {fix}".strip(), status)
    return render(request, "refusal.html.j2", status, message=message, fix=fix)


COOKIE: Final = "language"
SWITCH: Final = "/language/"
_YEAR_S: Final = 31_536_000


def preferred(accepted: str) -> list[str]:
    """Return the languages of an `Accept-Language` header, the preferred one first."""
    offers = []
    for part in accepted.lower().split(",")[:20]:
        name, _, quality = part.strip().partition(";")
        weight = quality.strip().removeprefix("q=") or "1"
        with_weight = float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight) else 0.0
        if name and with_weight:
            offers.append((-with_weight, name))
    return [name for _, name in sorted(offers, key=lambda each: each[0])]


class ReaderLanguage:
    """ASGI middleware: answers in the reader's language, and remembers the one that they chose.

    It holds no secret and needs no session, so it works before anybody has signed in.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose the language of a request, or answer the switch itself."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        wanted = request.url.path.removeprefix(SWITCH)
        if request.method == "POST" and request.url.path.startswith(SWITCH) and wanted in LANGUAGES:
            await _switch(request, wanted)(scope, receive, send)
            return
        chosen = request.cookies.get(COOKIE, "")
        accepted = preferred(request.headers.get("accept-language", ""))
        with use_language(choose_language([chosen, *accepted])):
            await self._app(scope, receive, send)


def _is_ours(request: Request) -> bool:
    """Whether one of our forms asks; browsers give no origin, as our `Referrer-Policy` says."""
    origin = request.headers.get("origin", "null")
    if origin == "null":
        return request.headers.get("sec-fetch-site") == "same-origin"
    return urlsplit(origin).netloc == request.headers.get("host")


def _switch(request: Request, wanted: str) -> RedirectResponse:
    """Send the browser back to the page where it was, with a cookie that names the language."""
    back = request.query_params.get("back", "/")
    answer = RedirectResponse(own_path(back), status_code=303)
    if _is_ours(request):
        answer.set_cookie(
            COOKIE,
            wanted,
            max_age=_YEAR_S,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
    return answer
