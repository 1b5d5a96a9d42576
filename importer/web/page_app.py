"""The page as one ASGI application: routes, static files, and pages for what goes wrong."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from importer.errors import ImporterError, LedgerError
from importer.web import (
    check_pages,
    columns_page,
    follow_pages,
    list_files,
    preview,
    send_pages,
    uploads,
)
from importer.web.jobs import Jobs
from importer.web.known_campaigns import KnownCampaigns
from importer.web.pages import Refused, Site, render, words_of
from importer.web.reader_language import ReaderLanguage
from importer.web.workbench import Workbench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from importer.ledger import Ledger
    from importer.settings import Credentials, Settings


STATIC: Final = Path(__file__).parent / "static"
_FORM_BYTES: Final = 200_000
_FORBIDDEN: Final = 403
_MESSAGES: Final = {
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
    """Return the page, which works on its jobs as long as it runs.

    Args:
        settings: of the server.
        credentials: of the API.
        ledger: open for writing; stays open.
        middleware: lets people in.
        more_routes: pages of operation, such as the nights.
    """
    workbench = Workbench(settings, credentials, ledger)
    jobs = Jobs(workbench, settings, credentials, ledger)

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
            ImporterError: _failed,
            HTTPException: _not_possible,
        },
    )
    app.state.site = Site(
        settings, credentials, ledger, workbench, jobs, KnownCampaigns(settings, credentials)
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
        Route(f"{one}/fix", check_pages.rows_page),
        Route(f"{one}/rows/{{row:int}}", check_pages.correct_form, methods=["POST"]),
        Route(f"{one}/corrections", check_pages.corrections_page),
        Route(f"{one}/columns", columns_page.columns_page),
        Route(f"{one}/columns", columns_page.choose_columns_form, methods=["POST"]),
        Route(f"{one}/to-fix.{{ending}}", list_files.rows_to_fix),
        Route(f"{one}/corrected.{{ending}}", list_files.corrected_list),
        Route(f"{one}/fixed", list_files.take_fixed, methods=["POST"], max_body_size=most),
        Route(f"{one}/preview", preview.preview_page),
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
    message = {404: "There is no such page.", 413: "This is too large."}.get(status)
    return _say(
        request,
        status,
        words(
            message or ("You may not do this." if status == _FORBIDDEN else "This is not possible.")
        ),
        words(said) if status == _FORBIDDEN else words("Go back to the start page."),
    )


def _say(request: Request, status: int, message: str, fix: str) -> Response:
    """Return a page, or for the script of the page a line, that says why nothing was done."""
    if "text/html" not in request.headers.get("accept", "text/html"):
        return PlainTextResponse(f"{message} {fix}".strip(), status)
    return render(request, "refusal.html.j2", status, message=message, fix=fix)
